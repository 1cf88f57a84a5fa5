"""What a mapping does beside running shards: end in time, spare its service, tell its age by a clock that cannot jump."""

from __future__ import annotations

import asyncio

import pytest
from support.doubles import ScriptedExecutor
from support.processes import Process, World, running
from support.stage import SHARD, later, virtually

from poller.errors import Unavailable

EVERY_READ = ("GetRecords", "GetShardIterator")


@virtually
async def test_a_shard_that_is_cancelled_when_the_drain_has_lasted_too_long_gives_its_lease_back() -> None:
    world = World()
    world.put("a")
    process = Process(world=world, executor=ScriptedExecutor(seconds=1_000))
    running_process = asyncio.create_task(process.run())
    await asyncio.sleep(2)
    assert world.shards[SHARD].owner == "one"
    process.drain.start()
    await asyncio.sleep(1)
    running_process.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running_process
    assert world.shards[SHARD].owner is None
    assert process.executor.calls[0].cancelled


@virtually
async def test_who_waits_for_another_ones_shard_asks_the_store_and_leaves_the_service_alone() -> None:
    world = World()
    holder, waiter = Process(world=world, owner="one"), Process(world=world, owner="two")
    async with running(holder):
        await asyncio.sleep(1)
        async with running(waiter):
            await asyncio.sleep(300)
            assert world.shards[SHARD].owner == "one"
    assert 5 <= len(waiter.reading.calls["ListShards"]) <= 7
    assert 5 <= len(waiter.reading.calls["DescribeStreamSummary"]) <= 7
    assert len(waiter.storing.calls["shards"]) > 100


@virtually
async def test_the_iterator_age_rises_while_reads_fail_although_the_wall_clock_was_put_back() -> None:
    world = World()
    process = Process(world=world)
    ages: list[float | None] = []

    def look() -> None:
        process.stage.metrics.snapshot()
        ages.append(process.count("iterator_age_seconds", shard=SHARD))

    async with running(process):
        await asyncio.sleep(10)
        look()
        process.reading.refuse(Unavailable("GetRecords", "server"), *EVERY_READ)
        later(1, lambda: world.clock.jump(-7_200))
        later(600, look)
        await asyncio.sleep(601)
    assert ages[0] == 0
    assert ages[1] == pytest.approx(600, abs=15)
