"""Kinesis in memory, the service's side: streams that are split and merged, expire, and answer as Kinesis does."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from poller.apis.memory_shard import MemoryShard, Stored
from poller.core.model import ShardId, StreamId
from poller.errors import IteratorExpired, SourceGone, Unavailable
from poller.ports import StreamDescription
from poller.services import KinesisIterator, KinesisPage, KinesisRecord, KinesisShard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.ports import Clock
    from poller.services import KinesisIteratorType

ARN_PREFIX: Final = "arn:aws:kinesis:us-east-1:000000000000:stream/"
HASH_KEYS: Final = 2**128
ITERATOR_LIFE: Final = 300.0
MAX_LIMIT: Final = 10_000
DAY: Final = 86_400.0

FIRST_SEQUENCE: Final = 495 * 10**53
SEQUENCE_STEP: Final = 1_000_003
"""Sequence numbers have 56 digits and grow with gaps, over all streams together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the service behaves where Kinesis may do one thing or another.

    Attributes:
        reads_per_second: GetRecords of one shard in any second, at the most; more are throttled. Kinesis: 5. None: no limit.
        empty_every: every so many reads of a shard come back empty although records are left, as Kinesis sometimes answers;
            0: none.
        late_end: a closed shard says that it has ended on one more, empty page, not with its last records.
    """

    reads_per_second: int | None = None
    empty_every: int = 0
    late_end: bool = False


LENIENT: Final = Behaviour()


@dataclass(slots=True, kw_only=True)
class _Stream:
    arn: str
    created_at: float
    retention: float
    shards: dict[ShardId, MemoryShard]
    made: int


class MemoryStreams:
    """All streams of an account: the contents that connections share. A stream is named by its ARN."""

    def __init__(self, clock: Clock, behaviour: Behaviour = LENIENT) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._streams: dict[str, _Stream] = {}
        self._sequence = FIRST_SEQUENCE

    # ---- producers and operators

    def create_stream(self, name: str, *, shards: int = 1, retention: float = DAY) -> str:
        """Makes a stream whose shards share the hash keys evenly; `retention` is in seconds. Returns its ARN."""
        arn = ARN_PREFIX + name
        if arn in self._streams:
            raise ValueError(f"there is a stream {arn}")
        stream = _Stream(arn=arn, created_at=self._clock.time(), retention=retention, shards={}, made=0)
        for index in range(shards):
            _open_shard(stream, HASH_KEYS * index // shards, HASH_KEYS * (index + 1) // shards - 1)
        self._streams[arn] = stream
        return arn

    def delete_stream(self, arn: str) -> None:
        """Takes the stream away; one made anew under its name is another incarnation."""
        del self._streams[arn]

    def put_record(self, arn: str, partition_key: str, data: bytes) -> tuple[ShardId, str]:
        """Adds a record to the open shard of its key. Returns the shard and the sequence number."""
        stream = self._stream("PutRecord", arn)
        hash_key = int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest())
        shard = next(shard for shard in stream.shards.values() if shard.covers(hash_key))
        self._sequence += SEQUENCE_STEP
        last = shard.stored[-1].arrived_at if shard.stored else 0.0
        arrived_at = max(int(self._clock.time() * 1000) / 1000, last)  # milliseconds; a shard's times never go back
        record = KinesisRecord(
            SequenceNumber=str(self._sequence),
            ApproximateArrivalTimestamp=arrived_at,
            Data=base64.b64encode(data).decode(),
            PartitionKey=partition_key,
        )
        size = len(data) + len(partition_key.encode())
        shard.stored.append(Stored(record=record, sequence=self._sequence, arrived_at=arrived_at, size=size))
        return shard.id, record["SequenceNumber"]

    def put_records(self, arn: str, records: Iterable[tuple[str, bytes]]) -> list[tuple[ShardId, str]]:
        """Adds (partition key, data) pairs in order. Returns (shard, sequence number) pairs."""
        return [self.put_record(arn, key, data) for key, data in records]

    def split(self, arn: str, shard: ShardId) -> tuple[ShardId, ShardId]:
        """Closes an open shard in favour of two, each with half of its hash keys. Returns their ids."""
        stream = self._stream("SplitShard", arn)
        parent = _close_shard(stream, shard, self._clock.time())
        middle = (parent.hash_from + parent.hash_to) // 2
        lower = _open_shard(stream, parent.hash_from, middle, shard)
        return lower, _open_shard(stream, middle + 1, parent.hash_to, shard)

    def merge(self, arn: str, shard: ShardId, adjacent: ShardId) -> ShardId:
        """Closes two open shards whose hash keys are neighbours in favour of one. Returns its id."""
        stream = self._stream("MergeShards", arn)
        one, other = sorted((stream.shards[shard], stream.shards[adjacent]), key=lambda shard: shard.hash_from)
        if one.hash_to + 1 != other.hash_from:
            raise ValueError(f"{shard} and {adjacent} are not neighbours")
        for parent in (one.id, other.id):
            _close_shard(stream, parent, self._clock.time())
        return _open_shard(stream, one.hash_from, other.hash_to, shard, adjacent)

    # ---- consumers: the effects of the calls of `KinesisApi`

    def describe(self, arn: str) -> StreamDescription:
        """DescribeStreamSummary."""
        stream = self._stream("DescribeStreamSummary", arn)
        return StreamDescription(id=StreamId(arn=arn, created_at=stream.created_at), retention=stream.retention)

    def list_shards(self, arn: str) -> tuple[KinesisShard, ...]:
        """ListShards: also the closed ones, until retention has taken their records."""
        return tuple(_listed(shard) for shard in self._stream("ListShards", arn).shards.values())

    def iterator(self, arn: str, shard_id: ShardId, kind: KinesisIteratorType, at: str | float | None) -> KinesisIterator:
        """GetShardIterator; `at` is a sequence number or a time in Unix seconds, as the kind wants."""
        stream = self._stream("GetShardIterator", arn)
        shard = _shard("GetShardIterator", stream, shard_id)
        now = self._clock.time()
        if kind == "LATEST":
            offset = shard.end
        elif kind == "TRIM_HORIZON":
            offset = shard.trimmed
        elif kind == "AT_TIMESTAMP":
            if at is None or float(at) > now:
                raise Unavailable("GetShardIterator", "other", f"{arn} {shard_id}: InvalidArgumentException: timestamp {at}")
            offset = shard.at_time(float(at))
        elif kind == "AT_SEQUENCE_NUMBER":
            offset = shard.at_sequence(int(at or 0))
        else:
            offset = shard.after_sequence(int(at or 0))
        return KinesisIterator(iterator=_token(stream, shard, offset, now), server_time=float(int(now)))  # as HTTP tells it

    def records(self, arn: str, iterator: str, limit: int) -> KinesisPage:
        """GetRecords."""
        stream, shard, offset = self._resolve(arn, iterator)
        if not 1 <= limit <= MAX_LIMIT:
            raise Unavailable("GetRecords", "other", f"{arn}: InvalidArgumentException: limit {limit}")
        now = self._clock.time()
        self._throttle(arn, shard, now)
        shard.reads += 1
        hollow = self._behaviour.empty_every > 0 and shard.reads % self._behaviour.empty_every == 0
        taken, behind_them = ([], max(offset, shard.trimmed)) if hollow else shard.page(offset, limit)
        ended = shard.closed_at is not None and behind_them >= shard.end and not (self._behaviour.late_end and taken)
        return KinesisPage(
            records=[one.record.copy() for one in taken],
            next_iterator=None if ended else _token(stream, shard, behind_them, now),
            behind=shard.behind(behind_them, now),
            children=_children(stream, shard) if ended else (),
        )

    def _throttle(self, arn: str, shard: MemoryShard, now: float) -> None:
        shard.read_at = [at for at in shard.read_at if now - at < 1.0]
        if self._behaviour.reads_per_second is not None and len(shard.read_at) >= self._behaviour.reads_per_second:
            raise Unavailable("GetRecords", "throttled", f"{arn} {shard.id}: ProvisionedThroughputExceededException")
        shard.read_at.append(now)

    def _resolve(self, arn: str, iterator: str) -> tuple[_Stream, MemoryShard, int]:
        stream = self._stream("GetRecords", arn)
        parts = iterator.split("|")
        if len(parts) != 5 or parts[0] != arn or parts[1] != repr(stream.created_at):  # noqa: PLR2004 -- the parts of `_token`
            raise Unavailable("GetRecords", "other", f"{arn}: InvalidArgumentException: invalid shard iterator")
        if self._clock.time() - float(parts[4]) > ITERATOR_LIFE:
            raise IteratorExpired(f"GetRecords: {arn}: ExpiredIteratorException")
        return stream, _shard("GetRecords", stream, ShardId(parts[2])), int(parts[3])

    def _stream(self, operation: str, arn: str) -> _Stream:
        """The stream, less what retention has taken by now."""
        stream = self._streams.get(arn)
        if stream is None:
            raise SourceGone(f"{operation}: there is no stream {arn}")
        horizon = self._clock.time() - stream.retention
        for shard in stream.shards.values():
            shard.trim(horizon)
        stream.shards = {shard.id: shard for shard in stream.shards.values() if not shard.forgotten(horizon)}
        return stream


def _token(stream: _Stream, shard: MemoryShard, offset: int, now: float) -> str:
    """Opaque to callers. Read by `MemoryStreams._resolve`; holds all its state, so that none is kept for lost iterators."""
    return f"{stream.arn}|{stream.created_at!r}|{shard.id}|{offset}|{now!r}"


def _shard(operation: str, stream: _Stream, shard: ShardId) -> MemoryShard:
    if shard not in stream.shards:
        raise SourceGone(f"{operation}: there is no shard {shard} in {stream.arn}")
    return stream.shards[shard]


def _listed(shard: MemoryShard) -> KinesisShard:
    return KinesisShard(id=shard.id, parents=shard.parents)


def _children(stream: _Stream, shard: MemoryShard) -> tuple[KinesisShard, ...]:
    return tuple(_listed(child) for child in stream.shards.values() if shard.id in child.parents)


def _open_shard(stream: _Stream, hash_from: int, hash_to: int, *parents: ShardId) -> ShardId:
    shard = ShardId(f"shardId-{stream.made:012d}")
    stream.made += 1
    stream.shards[shard] = MemoryShard(id=shard, hash_from=hash_from, hash_to=hash_to, parents=parents)
    return shard


def _close_shard(stream: _Stream, shard: ShardId, now: float) -> MemoryShard:
    closing = stream.shards[shard]
    if closing.closed_at is not None:
        raise ValueError(f"{shard} is closed already")
    closing.closed_at = now
    return closing
