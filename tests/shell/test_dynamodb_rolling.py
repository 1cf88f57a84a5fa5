"""A mapping of a table's stream whose shards roll: parents before children, and a LATEST that misses nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.processes import Process, World, running
from support.stage import until, virtually

from poller.apis.memory_dynamodb import MemoryDynamoDbStreams
from poller.apis.memory_dynamodb_tables import MemoryTables
from poller.apis.memory_streams import Behaviour
from poller.core.model import Start
from poller.errors import Unavailable
from poller.sources.dynamodb import DynamoDbShape, DynamoDbSource
from poller.sources.pace import ReadPace

if TYPE_CHECKING:
    from support.doubles import Call

    from poller.core.model import ShardId

rule = pytest.mark.rule


class TableWorld(World):
    """What outlives a process: a table in the place of a stream."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        super().__init__()
        self.tables = MemoryTables(self.clock, behaviour or Behaviour(empty_every=3, late_end=True))
        self.arn = self.tables.create_table("orders", shards=2)

    def change(self, *counts: int) -> None:
        """Changes each of eight items so often."""
        for count in counts:
            for index in range(8):
                self.tables.put_item(self.arn, {"id": {"S": f"i{index}"}, "n": {"N": str(count)}})


@dataclass(kw_only=True)
class TableProcess(Process):
    """One process with one mapping of the world's table."""

    world: TableWorld

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = DynamoDbShape(stream_arn=self.world.arn, region="us-east-1")
        self.streams = MemoryDynamoDbStreams(self.world.clock, self.reading, tables=self.world.tables)
        clock = self.world.clock
        self.source = DynamoDbSource(api=self.streams, shape=shape, pace=ReadPace(clock), clock=clock)  # type: ignore[assignment]

    def cut(self) -> None:
        self.streams.cut()
        super().cut()

    @property
    def changes(self) -> list[tuple[str, int]]:
        """What the function saw: items, and their number."""
        return [change for call in self.executor.calls for change in changes_of(call)]


def changes_of(call: Call) -> list[tuple[str, int]]:
    images = [record["dynamodb"]["NewImage"] for record in call.records]
    return [(image["id"]["S"], int(image["n"]["N"])) for image in images]


def in_order(changes: list[tuple[str, int]], counts: list[int]) -> bool:
    """Whether each item was seen with these numbers, in their order, each once."""
    return all([count for name, count in changes if name == f"i{index}"] == counts for index in range(8))


def finished(world: TableWorld) -> set[ShardId]:
    return {shard for shard, state in world.shards.items() if state.finished}


@rule("dynamodb.poll.rolling")
@rule("stream.shards.parent-before-child")
@virtually
async def test_changes_of_an_item_stay_in_order_over_generations_of_shards() -> None:
    world = TableWorld()
    world.change(1, 2)
    world.tables.roll_all(world.arn)  # while nobody reads
    world.change(3)
    process = TableProcess(world=world)
    async with running(process):
        await until(lambda: len(process.changes) >= 24)
        for count in (4, 5):
            world.tables.roll_all(world.arn)
            world.change(count)
            await asyncio.sleep(20)
    assert in_order(process.changes, [1, 2, 3, 4, 5])
    assert len(finished(world)) == 6


@rule("dynamodb.poll.rolling")
@virtually
async def test_a_child_waits_for_its_parent() -> None:
    world = TableWorld()
    world.change(1)
    world.tables.roll_all(world.arn)
    world.change(2)
    process = TableProcess(world=world)
    process.storing.refuse(Unavailable("advance", "connection"), "advance")
    async with running(process):
        await asyncio.sleep(100)
        assert {count for _, count in process.changes} == {1}
        process.storing.heal()
        await until(lambda: in_order(process.changes, [1, 2]))
    assert in_order(process.changes, [1, 2])


@rule("dynamodb.start.latest-is-lossless")
@pytest.mark.parametrize("crash", [True, False])
@virtually
async def test_latest_misses_nothing_though_a_process_dies_and_shards_roll_before_the_first_change(*, crash: bool) -> None:
    world = TableWorld()
    world.change(1)
    world.tables.roll_all(world.arn)
    world.change(2)
    await asyncio.sleep(60)
    first = TableProcess(world=world, start=Start(type="LATEST"))
    async with running(first):
        await asyncio.sleep(5)
        if crash:
            first.cut()
    world.tables.roll_all(world.arn)
    world.change(3)
    await asyncio.sleep(60)
    second = TableProcess(world=world, owner="two", start=Start(type="LATEST"))
    async with running(second):
        await until(lambda: len(second.changes) >= 8)
        world.tables.roll_all(world.arn)
        world.change(4)
        await until(lambda: len(second.changes) >= 16)
    assert first.changes == []
    assert in_order(second.changes, [3, 4])


@rule("stream.iterator-age.rises-while-reads-fail")
@virtually
async def test_the_age_rises_while_reads_fail_though_the_service_tells_no_lag() -> None:
    world = TableWorld()
    process, shard = TableProcess(world=world), world.tables.list_shards(world.arn)[0].id
    async with running(process):
        await asyncio.sleep(30)
        assert process.count("iterator_age_seconds", shard=shard) == 0
        assert process.count("source_behind_seconds", shard=shard) is None
        process.reading.refuse(Unavailable("GetRecords", "server"), "GetRecords")
        await asyncio.sleep(300)
        age = process.count("iterator_age_seconds", shard=shard)
    assert age == pytest.approx(300, abs=1)
