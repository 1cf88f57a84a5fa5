"""A table whose stream is read under virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from poller.apis.memory_dynamodb import MemoryDynamoDbStreams
from poller.apis.memory_dynamodb_tables import MemoryTables
from poller.apis.memory_streams import LENIENT, Behaviour
from poller.core.model import Start, position
from poller.sources.dynamodb import DynamoDbShape, DynamoDbSource
from poller.sources.pace import ReadPace
from support.doubles import Trouble
from support.virtual import VirtualClock

if TYPE_CHECKING:
    from poller.core.model import StartType
    from poller.ports import Page, ShardReader


class Reading:
    """A table whose stream has one shard, and readers of it. Items 1 and 2 were there before the start; 3 counts first."""

    def __init__(self, behaviour: Behaviour = LENIENT) -> None:
        self.clock = VirtualClock()
        self.tables = MemoryTables(self.clock, behaviour)
        self.arn = self.tables.create_table("orders")
        self.shard = self.tables.list_shards(self.arn)[0].id
        self.trouble = Trouble()
        self.source = self.another(self.trouble)

    def another(self, trouble: Trouble | None = None) -> DynamoDbSource:
        """The stream, as another process sees it."""
        api = MemoryDynamoDbStreams(self.clock, trouble or Trouble(), tables=self.tables)
        return source(api, self.arn, self.clock)

    def put(self, *names: str) -> list[str]:
        """A new item for each name. Returns the sequence numbers."""
        told = [self.tables.put_item(self.arn, {"id": {"S": name}}) for name in names]
        return [each[1] for each in told if each is not None]

    async def begin(self, kind: StartType) -> ShardReader:
        """A reader from one of STARTS, with two records before it unless it begins at the oldest."""
        if kind == "TRIM_HORIZON":
            return self.source.reader(self.shard, Start(type=kind))
        old = self.put("1", "2")
        await asyncio.sleep(10)
        start = Start(type="AFTER_SEQUENCE_NUMBER", position=position(old[1]))
        if kind == "LATEST":
            start = await self.source.boundary(self.shard)
        self.trouble.calls.clear()
        return self.source.reader(self.shard, start)

    @property
    def iterators(self) -> int:
        """How often a new iterator was asked for."""
        return len(self.trouble.calls["GetShardIterator"])


def source(api: MemoryDynamoDbStreams, arn: str, clock: VirtualClock) -> DynamoDbSource:
    shape = DynamoDbShape(stream_arn=arn, region="us-east-1")
    return DynamoDbSource(api=api, shape=shape, pace=ReadPace(clock), clock=clock)


def names_of(page: Page) -> list[str]:
    """The ids of its items."""
    return [record.group.split('"')[-2] for record in page.records]


async def read_all(reader: ShardReader) -> list[str]:
    """Reads on until two pages in a row are empty. Nothing may come twice."""
    read: list[str] = []
    empty = 0
    while empty < 2:
        page = await reader.read()
        read += names_of(page)
        empty = 0 if page.records else empty + 1
        assert page.repeated == 0
    return read
