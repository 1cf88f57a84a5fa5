"""A process's connections to Kinesis or DynamoDB Streams for one mapping: the memory Apis with the storm's manners, watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.apis.memory_dynamodb import MemoryDynamoDbStreams
from poller.apis.memory_kinesis import MemoryKinesis
from poller.services import DynamoDbPage, KinesisPage
from support.sim.eyes import Eyes

if TYPE_CHECKING:
    from poller.apis.memory_dynamodb_tables import MemoryTables
    from poller.apis.memory_streams import MemoryStreams
    from poller.core.model import ShardId
    from poller.services import (
        DynamoDbIterator,
        DynamoDbIteratorType,
        DynamoDbShard,
        KinesisIterator,
        KinesisIteratorType,
        KinesisShard,
    )
    from support.sim.process import Process
    from support.sim.scenario import MappingPlan
    from support.sim.weather import Trouble
    from support.virtual import VirtualClock


class SimKinesis(MemoryKinesis):
    """`KinesisApi` of one process for one mapping."""

    def __init__(self, process: Process, plan: MappingPlan, service: tuple[VirtualClock, MemoryStreams], faults: Trouble) -> None:
        super().__init__(service[0], faults, streams=service[1])
        self.eyes = Eyes(process, plan, faults)

    async def list_shards(self, stream_arn: str) -> tuple[KinesisShard, ...]:
        """See `KinesisApi.list_shards`."""
        shards = await super().list_shards(stream_arn)
        listed = self.eyes.told(shard.id for shard in shards)
        return tuple(shard for shard in shards if shard.id in listed)

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
        self.eyes.asks(shard, sequence_number)
        grant = await super().get_shard_iterator(stream_arn, shard, kind, sequence_number=sequence_number, timestamp=timestamp)
        self.eyes.got(shard, f"{kind} {sequence_number or timestamp}", sequence_number if kind == "AT_SEQUENCE_NUMBER" else None)
        self.eyes.iterator(shard, grant.iterator)
        if kind == "LATEST":
            self.eyes.grant(shard, grant.server_time, int(grant.iterator.split("|")[3]))
        return grant

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """See `KinesisApi.get_records`. Not every page is new from its first record on."""
        shard = self.eyes.reads(iterator)
        page = await super().get_records(stream_arn, iterator, limit)
        self.eyes.iterator(shard, page.next_iterator)
        self.eyes.read(shard, [int(record["SequenceNumber"]) for record in page.records])
        records = self.eyes.stuttering(shard, page.records)
        return KinesisPage(records=records, next_iterator=page.next_iterator, behind=page.behind, children=page.children)


class SimDynamoDb(MemoryDynamoDbStreams):
    """`DynamoDbStreamsApi` of one process for one mapping."""

    def __init__(self, process: Process, plan: MappingPlan, service: tuple[VirtualClock, MemoryTables], faults: Trouble) -> None:
        super().__init__(service[0], faults, tables=service[1])
        self.eyes = Eyes(process, plan, faults)

    async def list_shards(self, stream_arn: str) -> tuple[DynamoDbShard, ...]:
        """See `DynamoDbStreamsApi.list_shards`."""
        shards = await super().list_shards(stream_arn)
        listed = self.eyes.told(shard.id for shard in shards)
        return tuple(shard for shard in shards if shard.id in listed)

    async def get_shard_iterator(
        self, stream_arn: str, shard: ShardId, kind: DynamoDbIteratorType, *, sequence_number: str | None = None
    ) -> DynamoDbIterator:
        """See `DynamoDbStreamsApi.get_shard_iterator`."""
        self.eyes.asks(shard, sequence_number)
        grant = await super().get_shard_iterator(stream_arn, shard, kind, sequence_number=sequence_number)
        self.eyes.got(shard, f"{kind} {sequence_number}", None)
        self.eyes.iterator(shard, grant.iterator)
        if kind == "LATEST":
            self.eyes.grant(shard, grant.server_time, int(grant.iterator.split("|")[2]))
        return grant

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> DynamoDbPage:
        """See `DynamoDbStreamsApi.get_records`. Not every page is new from its first record on."""
        shard = self.eyes.reads(iterator)
        page = await super().get_records(stream_arn, iterator, limit)
        self.eyes.iterator(shard, page.next_iterator)
        self.eyes.read(shard, [int(record["dynamodb"]["SequenceNumber"]) for record in page.records])
        return DynamoDbPage(records=self.eyes.stuttering(shard, page.records), next_iterator=page.next_iterator)
