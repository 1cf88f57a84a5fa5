"""A Kinesis that costs next to nothing: pages are rendered once, a request costs a search and a copy.

It exists so that the reader under measurement is never waiting for it. Any stream has the given shards, each with the given
records; iterators are page numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
import time
from dataclasses import dataclass

PAGE = 1_000
MARK = b"@@@@@@@@@@@@"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TARGET = re.compile(rb"\r\nx-amz-target: *Kinesis_20131202\.(\w+)", re.IGNORECASE)
ITERATOR = re.compile(rb'"ShardIterator": *"(\d+)-(\d+)"')
SHARD = re.compile(rb'"ShardId": *"shardId-(\d+)"')


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What every stream holds."""

    shards: int
    pages: int
    page: bytes

    @classmethod
    def of(cls, shards: int, records: int, size: int) -> Stream:
        """`records` a shard, each with `size` bytes of data."""
        data = base64.b64encode(b'{"order":"' + b"x" * (size - 12) + b'"}').decode()
        now = round(time.time(), 3)
        rows = [
            f'{{"SequenceNumber":"4966{MARK.decode()}{row:012d}","ApproximateArrivalTimestamp":{now},"Data":"{data}",'
            f'"PartitionKey":"customer-{row % 97}"}}'
            for row in range(PAGE)
        ]
        return cls(shards=shards, pages=records // PAGE, page=",".join(rows).encode())

    def answer(self, operation: bytes, body: bytes) -> bytes:
        """The JSON that Kinesis would answer, as far as a reader looks."""
        match operation:
            case b"GetRecords":
                return self._records(body)
            case b"GetShardIterator":
                found = SHARD.search(body)
                assert found is not None
                return b'{"ShardIterator":"%d-0"}' % int(found[1])
            case b"ListShards":
                return json.dumps({"Shards": [{"ShardId": f"shardId-{n:012d}"} for n in range(self.shards)]}).encode()
            case _:
                summary = {"StreamARN": "", "StreamCreationTimestamp": 1.7e9, "RetentionPeriodHours": 24}
                return json.dumps({"StreamDescriptionSummary": summary}).encode()

    def _records(self, body: bytes) -> bytes:
        found = ITERATOR.search(body)
        assert found is not None
        shard, page = int(found[1]), int(found[2])
        if page >= self.pages:
            return b'{"Records":[],"NextShardIterator":"%d-%d","MillisBehindLatest":0}' % (shard, page)
        records = self.page.replace(MARK, b"%012d" % page)
        behind = (self.pages - page - 1) * 1000
        return b'{"Records":[%b],"NextShardIterator":"%d-%d","MillisBehindLatest":%d}' % (records, shard, page + 1, behind)


async def serve(stream: Stream) -> None:
    """Listens on a free port of loopback, which it prints."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = b"\r\n" + await reader.readuntil(b"\r\n\r\n")
                length, target = LENGTH.search(head), TARGET.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                answer = stream.answer(target[1] if target else b"", body)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n" % len(answer)
                )
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--records", type=int, required=True, help="of each shard")
    parser.add_argument("--size", type=int, default=1024, help="bytes of data in a record")
    given = parser.parse_args()
    asyncio.run(serve(Stream.of(given.shards, given.records, given.size)))
