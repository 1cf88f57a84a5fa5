"""Kinesis in memory: for the simulation, for trying things out, and for tests of what reads streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.apis.memory import NO_FAULTS, Faults, Link
from poller.apis.memory_streams import MemoryStreams
from poller.errors import Unavailable

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from poller.ports import Clock, StreamDescription
    from poller.services import KinesisIterator, KinesisIteratorType, KinesisPage, KinesisShard

MAX_RECORD_BYTES: Final = 1024 * 1024
"""Kinesis, unless a stream is told to take more."""


class MemoryKinesis:
    """`KinesisApi` over contents in memory; `connect` makes another connection to the same `streams`."""

    def __init__(self, clock: Clock, faults: Faults = NO_FAULTS, *, streams: MemoryStreams | None = None) -> None:
        self._clock = clock
        self._link = Link(faults)
        self.streams = MemoryStreams(clock) if streams is None else streams

    def connect(self, faults: Faults = NO_FAULTS) -> MemoryKinesis:
        """Another connection to the same streams, with its own faults."""
        return MemoryKinesis(self._clock, faults, streams=self.streams)

    def cut(self) -> None:
        """Cuts this connection off for ever; see `Link.cut`."""
        self._link.cut()

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """See `KinesisApi.describe_stream`."""
        return await self._link.carry("DescribeStreamSummary", lambda: self.streams.describe(stream_arn))

    async def list_shards(self, stream_arn: str) -> tuple[KinesisShard, ...]:
        """See `KinesisApi.list_shards`."""
        return await self._link.carry("ListShards", lambda: self.streams.list_shards(stream_arn))

    async def get_shard_iterator(
        self,
        stream_arn: str,
        shard: ShardId,
        kind: KinesisIteratorType,
        *,
        sequence_number: str | None = None,
        timestamp: float | None = None,
    ) -> KinesisIterator:
        """See `KinesisApi.get_shard_iterator`."""
        at = sequence_number if sequence_number is not None else timestamp
        return await self._link.carry("GetShardIterator", lambda: self.streams.iterator(stream_arn, shard, kind, at))

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """See `KinesisApi.get_records`."""
        return await self._link.carry("GetRecords", lambda: self.streams.records(stream_arn, iterator, limit))

    async def put_record(self, stream_arn: str, partition_key: str, data: bytes) -> None:
        """See `KinesisApi.put_record`."""
        if len(data) > MAX_RECORD_BYTES:
            raise Unavailable("PutRecord", "other", f"{stream_arn}: ValidationException: a record of {len(data)} bytes")
        await self._link.carry("PutRecord", lambda: self.streams.put_record(stream_arn, partition_key, data))
