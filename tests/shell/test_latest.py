"""LATEST loses nothing that is put once the mapping is enabled: whoever crashes, however the stream changes at that moment."""

from __future__ import annotations

import asyncio

import pytest
from support.processes import Process, World, put_everywhere, running
from support.stage import SHARD, STREAM_ARN, later, until, virtually
from support.virtual import EPOCH

from poller.core.model import ShardId, Start
from poller.core.shards import start_from
from poller.errors import Unavailable

rule = pytest.mark.rule

LATEST = Start(type="LATEST")
SECOND = ShardId("shardId-000000000001")
DOWN = Unavailable("somewhere", "connection")
HOUR = 3_600.0


def begun(world: World) -> dict[ShardId, str]:
    """Where the store says that each shard begins."""
    return {shard: start_from(state.checkpoint).type for shard, state in world.shards.items()}


@rule("stream.start.latest-boundary-is-stored")
@rule("stream.start.new-shards-from-their-beginning")
@pytest.mark.parametrize("change", ["split", "merge"])
@pytest.mark.parametrize("moment", ["DescribeStreamSummary", "ListShards", "GetShardIterator", "enroll"])
@virtually
async def test_a_stream_that_changes_during_the_enrolment_loses_nothing_from_the_change_on(moment: str, change: str) -> None:
    world = World(shards=2)
    world.put("old")
    process = Process(world=world, start=LATEST)
    (process.storing if moment == "enroll" else process.reading).late(2, moment)
    some: list[str] = []

    def reshard() -> None:
        if change == "split":
            world.streams.split(STREAM_ARN, SHARD)
        else:
            world.streams.merge(STREAM_ARN, SHARD, SECOND)
        for shard, names in put_everywhere(world, 1).items():
            if moment == "enroll" or (moment != "DescribeStreamSummary" and shard not in (SHARD, SECOND)):
                some.extend(names)  # its boundary has been taken, or will not be, as it was not there when shards were listed

    later(1, reshard)
    async with running(process):
        await until(lambda: process.count("mapping_state", state="Enabled"), within=60)
        some.extend(name for names in put_everywhere(world, 1).values() for name in names)
        await asyncio.sleep(90)
    assert "old" not in process.all_seen
    assert sorted(process.all_seen) == sorted(some)


@rule("stream.start.latest")
@virtually
async def test_children_that_are_listed_when_the_mapping_begins_begin_at_their_newest_as_well() -> None:
    world = World()
    world.put("parent's")
    world.streams.split(STREAM_ARN, SHARD)
    put_everywhere(world, 2)
    await asyncio.sleep(5)
    process = Process(world=world, start=LATEST)
    async with running(process):
        await asyncio.sleep(5)
        new = put_everywhere(world, 1)
        await asyncio.sleep(5)
    assert sorted(process.all_seen) == sorted(name for names in new.values() for name in names)


@rule("stream.start.latest-boundary-is-stored")
@pytest.mark.parametrize("wait", [1, 400], ids=["at once", "when the iterator has expired"])
@virtually
async def test_a_crash_between_the_enrolment_and_the_first_read_loses_nothing(wait: float) -> None:
    world = World()
    world.put("old")
    await asyncio.sleep(5)
    first = Process(world=world, start=LATEST)
    first.reading.refuse(DOWN, "GetRecords")
    async with running(first) as (task,):
        await until(lambda: first.count("mapping_state", state="Enabled"))
        world.put("a")
        await asyncio.sleep(wait)
        first.cut()
        task.cancel()
    world.put("b")
    second = Process(world=world, owner="two", start=LATEST)
    async with running(second):
        await asyncio.sleep(60)
    assert (first.all_seen, second.all_seen) == ([], ["a", "b"])


@rule("stream.start.latest-boundary-is-stored")
@virtually
async def test_of_two_processes_that_start_around_a_reshard_one_enrols_and_nothing_is_lost() -> None:
    world = World()
    world.put("old")
    await asyncio.sleep(5)
    before, after = Process(world=world, owner="before", start=LATEST), Process(world=world, owner="after", start=LATEST)
    before.reading.late(3, "ListShards")
    before.storing.slow(3, "enroll")
    async with running(before):
        await asyncio.sleep(1)
        world.streams.split(STREAM_ARN, SHARD)
        async with running(after):
            await until(lambda: after.count("mapping_state", state="Enabled"))
            assert set(begun(world).values()) == {"LATEST"}
            some = put_everywhere(world, 1)
            await asyncio.sleep(60)
    assert sorted(before.all_seen + after.all_seen) == sorted(name for names in some.values() for name in names)


@rule("stream.start.latest-boundary-is-stored")
@virtually
async def test_a_boundary_that_is_older_than_the_retention_is_the_oldest_record() -> None:
    """Whether something was lost before it nobody can tell: no record is known that could be missing."""
    world = World(retention=HOUR)
    first = Process(world=world, start=LATEST)
    async with running(first):
        await asyncio.sleep(5)
    assert start_from(world.shards[SHARD].checkpoint) == Start(type="LATEST", timestamp=EPOCH)
    await asyncio.sleep(2 * HOUR)
    world.put("a")
    second = Process(world=world, owner="two", start=LATEST)
    async with running(second):
        await asyncio.sleep(5)
    assert second.all_seen == ["a"]
    assert not second.count("checkpoint_trimmed_total")
