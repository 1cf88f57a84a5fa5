"""DynamoDB Streams in memory: for the simulation, for trying things out, and for tests of what reads streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.apis.memory import NO_FAULTS, Faults, Link
from poller.apis.memory_dynamodb_tables import MemoryTables

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from poller.ports import Clock, StreamDescription
    from poller.services import DynamoDbIterator, DynamoDbIteratorType, DynamoDbPage, DynamoDbShard


class MemoryDynamoDbStreams:
    """`DynamoDbStreamsApi` over contents in memory; `connect` makes another connection to the same `tables`."""

    def __init__(self, clock: Clock, faults: Faults = NO_FAULTS, *, tables: MemoryTables | None = None) -> None:
        self._clock = clock
        self._link = Link(faults)
        self.tables = MemoryTables(clock) if tables is None else tables

    def connect(self, faults: Faults = NO_FAULTS) -> MemoryDynamoDbStreams:
        """Another connection to the same tables, with its own faults."""
        return MemoryDynamoDbStreams(self._clock, faults, tables=self.tables)

    def cut(self) -> None:
        """Cuts this connection off for ever; see `Link.cut`."""
        self._link.cut()

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """See `DynamoDbStreamsApi.describe_stream`."""
        return await self._link.carry("DescribeStream", lambda: self.tables.describe(stream_arn))

    async def list_shards(self, stream_arn: str) -> tuple[DynamoDbShard, ...]:
        """See `DynamoDbStreamsApi.list_shards`."""
        return await self._link.carry("DescribeStream", lambda: self.tables.list_shards(stream_arn))

    async def get_shard_iterator(
        self, stream_arn: str, shard: ShardId, kind: DynamoDbIteratorType, *, sequence_number: str | None = None
    ) -> DynamoDbIterator:
        """See `DynamoDbStreamsApi.get_shard_iterator`."""
        return await self._link.carry("GetShardIterator", lambda: self.tables.iterator(stream_arn, shard, kind, sequence_number))

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> DynamoDbPage:
        """See `DynamoDbStreamsApi.get_records`."""
        return await self._link.carry("GetRecords", lambda: self.tables.records(stream_arn, iterator, limit))
