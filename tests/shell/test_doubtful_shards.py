"""A service that contradicts itself about shards is asked ever more slowly, nothing is read twice, a loss is counted once."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from support.doubles import ACCEPTS, Call, ScriptedExecutor
from support.processes import Process, World, put_everywhere, running
from support.stage import SHARD, STREAM_ARN, until, virtually

from poller.core.model import Answer, ShardId
from poller.errors import SourceGone, Unavailable

rule = pytest.mark.rule

HOUR = 3_600.0
SECOND = ShardId("shardId-000000000001")
DOWN = Unavailable("somewhere", "connection")


async def ran(process: Process, seconds: float) -> Process:
    async with running(process):
        await asyncio.sleep(seconds)
    return process


@virtually
async def test_a_shard_that_is_listed_twice_is_read_once() -> None:
    """A list comes in pages, and the stream may change between two of them."""
    world = World(shards=2)
    process = Process(world=world)
    listing = world.streams.list_shards
    world.streams.list_shards = lambda arn: (*listing(arn), *listing(arn))  # type: ignore[method-assign]
    put = put_everywhere(world, 1)
    async with running(process):
        await asyncio.sleep(30)
        assert process.count("lease_transitions_total", transition="acquired") == 2
        assert process.count("lease_transitions_total", transition="lost") == 0
    assert sorted(process.all_seen) == sorted(name for names in put.values() for name in names)


@virtually
async def test_a_shard_that_is_listed_and_cannot_be_read_is_tried_ever_more_slowly() -> None:
    world = World(shards=2)
    put_everywhere(world, 1)
    process = Process(world=world)
    async with running(process):
        await asyncio.sleep(5)
        process.reading.refuse(SourceGone("GetShardIterator: there is no such shard"), "GetShardIterator", "GetRecords")
        before = len(process.storing.calls["acquire"])
        with capture_logs() as logs:
            await asyncio.sleep(600)
        assert 2 * 15 <= len(process.storing.calls["acquire"]) - before <= 2 * 60
        assert {line["what"] for line in logs if line["event"] == "failing"} == {SHARD, SECOND}
        process.reading.heal()
        new = put_everywhere(world, 1)
        await until(lambda: {name for names in new.values() for name in names} <= set(process.all_seen), within=40)
    assert not any(state.finished for state in world.shards.values())


@virtually
async def test_shards_that_are_missing_from_the_list_are_asked_for_ever_more_slowly() -> None:
    world = World(shards=2)
    put_everywhere(world, 1)
    await ran(Process(world=world), 5)
    process = Process(world=world, owner="two")
    listing = world.streams.list_shards
    world.streams.list_shards = lambda arn: () if arn else listing(arn)  # type: ignore[method-assign]
    async with running(process):
        await asyncio.sleep(600)
        assert 2 * 15 <= len(process.reading.calls["GetRecords"]) <= 2 * 60
        world.streams.list_shards = listing  # type: ignore[method-assign]
        new = put_everywhere(world, 1)
        await until(lambda: {name for names in new.values() for name in names} <= set(process.all_seen), within=120)
    assert not any(state.finished for state in world.shards.values())


@rule("stream.shards.children-by-word")
@virtually
async def test_shards_that_end_by_the_hundred_ask_neither_the_service_nor_the_store_by_the_hundred() -> None:
    world = World(shards=60)
    process = Process(world=world)
    process.reading.slow(0.02, "ListShards", "DescribeStreamSummary")
    process.storing.slow(0.02, "shards")
    async with running(process):
        await asyncio.sleep(10)
        listed, asked = len(process.reading.calls["ListShards"]), len(process.storing.calls["shards"])
        for number in range(60):
            world.streams.split(STREAM_ARN, ShardId(f"shardId-{number:012d}"))
        await asyncio.sleep(4)
        assert process.count("shards", state="open") == 120
        assert len(process.reading.calls["ListShards"]) - listed <= 4
        assert len(process.storing.calls["shards"]) - asked <= 40, "parents that end in the same moment are followed together"


# ----------------------------------------------------------------------------------------------------------------- counted once


@rule("stream.shards.lost-shard")
@virtually
async def test_a_lost_shard_is_counted_once_though_its_end_cannot_be_written() -> None:
    world = World(retention=HOUR)
    world.put("a")
    await ran(Process(world=world), 5)
    world.streams.split(STREAM_ARN, SHARD)
    await asyncio.sleep(HOUR + 60)
    process = Process(world=world, owner="two")
    process.storing.refuse(DOWN, "finish")
    async with running(process):
        await asyncio.sleep(300)
        assert not world.shards[SHARD].finished
        process.storing.heal()
        await until(lambda: world.shards[SHARD].finished, within=60)
        assert process.count("checkpoint_trimmed_total") == 1


@rule("stream.trimmed.counted")
@virtually
async def test_records_that_are_gone_are_counted_once_though_the_shard_crashes_before_it_gets_further() -> None:
    world = World(retention=HOUR)
    world.put("a")
    await ran(Process(world=world), 5)
    world.put("lost")
    await asyncio.sleep(HOUR + 60)
    world.put("b")
    broken = True

    def script(_: Call) -> Answer:
        if broken:
            raise RuntimeError("a bug")
        return ACCEPTS

    process = Process(world=world, owner="two", executor=ScriptedExecutor(script))
    with capture_logs():
        async with running(process):
            await asyncio.sleep(120)
            assert process.count("checkpoint_trimmed_total") == 1
            broken = False
            await asyncio.sleep(60)
            assert process.count("checkpoint_trimmed_total") == 1
    assert process.all_seen[-1] == "b"


@rule("stream.trimmed.counted")
@virtually
async def test_what_is_lost_again_behind_the_same_record_is_counted_again() -> None:
    world = World(retention=HOUR)
    process = Process(world=world)
    async with running(process):
        world.put("a")
        await asyncio.sleep(5)
        for times in (1, 2):
            process.reading.refuse(DOWN, "GetRecords", "GetShardIterator")
            world.put("lost")
            await asyncio.sleep(HOUR + 60)
            process.reading.heal()
            await asyncio.sleep(60)
            assert (process.all_seen, process.count("checkpoint_trimmed_total")) == (["a"], times)
