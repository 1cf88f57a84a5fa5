"""Kinesis, for the stand-in: every stream has the same shards, each with the same pages; an iterator is a page's number."""

from __future__ import annotations

import base64
import json
import re
import time

from benchmarks.reply import Reply

PAGE = 1_000
MARK = "@@@@@@@@@@@@"
ITERATOR = re.compile(rb'"ShardIterator": *"(\d+)-(\d+)"')
SHARD = re.compile(rb'"ShardId": *"shardId-(\d+)"')


class Streams:
    """All streams of one server: `records` a shard, each with `size` bytes of data."""

    def __init__(self, shards: int, records: int, size: int) -> None:
        self._reads = 0
        self._pages = records // PAGE
        self._page = _page(size)
        self._shards = json.dumps({"Shards": [{"ShardId": f"shardId-{n:012d}"} for n in range(shards)]}).encode()
        summary = {"StreamARN": "", "StreamCreationTimestamp": 1.7e9, "RetentionPeriodHours": 24}
        self._summary = json.dumps({"StreamDescriptionSummary": summary}).encode()

    def answer(self, operation: bytes, body: bytes) -> Reply:
        """See `stand_in.Service`."""
        match operation:
            case b"GetRecords":
                return Reply(self._records(body))
            case b"GetShardIterator":
                found = SHARD.search(body)
                assert found is not None
                return Reply(b'{"ShardIterator":"%d-0"}' % int(found[1]))
            case b"ListShards":
                return Reply(self._shards)
            case b"Reads":  # not Kinesis's: how many there were
                return Reply(b"%d" % self._reads)
            case _:
                return Reply(self._summary)

    def _records(self, body: bytes) -> bytes:
        self._reads += 1
        found = ITERATOR.search(body)
        assert found is not None
        shard, page = int(found[1]), int(found[2])
        if page >= self._pages:
            return b'{"Records":[],"NextShardIterator":"%d-%d","MillisBehindLatest":0}' % (shard, page)
        records = self._page.replace(MARK.encode(), b"%012d" % page)
        behind = (self._pages - page - 1) * 1000
        return b'{"Records":[%b],"NextShardIterator":"%d-%d","MillisBehindLatest":%d}' % (records, shard, page + 1, behind)


def _page(size: int) -> bytes:
    data = base64.b64encode(b'{"order":"' + b"x" * (size - 12) + b'"}').decode()
    now = round(time.time(), 3)
    rows = [
        f'{{"SequenceNumber":"4966{MARK}{row:012d}","ApproximateArrivalTimestamp":{now},"Data":"{data}",'
        f'"PartitionKey":"customer-{row % 97}"}}'
        for row in range(PAGE)
    ]
    return ",".join(rows).encode()
