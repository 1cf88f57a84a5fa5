"""Lanes that gather batches while their shard, or the process, may hold no more: what they have goes out."""

from __future__ import annotations

import asyncio

import pytest
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.observing import scrape
from support.processes import Process, World, running
from support.stage import STREAM_ARN, now, until, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Answer
from poller.readahead import MemoryBudget, ReadAheadLimits

rule = pytest.mark.rule

LANES = 10
WINDOW = 300.0
GATHERING = BatchLimits(count=10_000, window=WINDOW)
KEYS = [f"customer-{number}" for number in range(60)]
POISON = "poison"


def poisoned(call: Call) -> Answer:
    return RAISES if any(record["kinesis"]["partitionKey"] == POISON for record in call.records) else ACCEPTS


async def put(world: World, count: int) -> None:
    """So many records, a hundred a second."""
    for number in range(count):
        world.streams.put_record(STREAM_ARN, KEYS[number % len(KEYS)], f"{number}".encode())
        await asyncio.sleep(0.01)


@rule("stream.lanes.full")
@pytest.mark.parametrize("limits", [{"records": 500}, {"bytes": 200_000}], ids=["records", "bytes"])
@virtually
async def test_open_batches_go_out_when_the_shard_may_hold_no_more(limits: dict[str, int]) -> None:
    world = World()
    process = Process(world=world, limits=GATHERING, read_ahead=ReadAheadLimits(lanes=LANES, **limits))
    async with running(process):
        await put(world, 5_000)
        assert len(process.all_seen) > 4_000  # they would have waited for their windows, one cap's worth after the other
        assert now() < WINDOW
        assert len(process.executor.calls) <= 15 * LANES  # each time of all lanes
        await until(lambda: len(set(process.all_seen)) == 5_000)
        assert now() == pytest.approx(50 + WINDOW, abs=10)  # the rest of them gathered on


@rule("stream.lanes.full")
@virtually
async def test_an_open_batch_goes_out_when_the_process_may_hold_no_more() -> None:
    world = World()
    process = Process(world=world, limits=GATHERING)
    process.budget = MemoryBudget(100_000)
    async with running(process):
        await put(world, 5_000)
        assert len(process.all_seen) > 4_000
        assert now() < WINDOW


@rule("stream.lanes.full")
@virtually
async def test_lanes_that_gather_do_not_keep_a_shard_with_a_poisoned_key_from_saying_that_it_is_blocked() -> None:
    world = World()
    executor = ScriptedExecutor(poisoned)
    process = Process(world=world, executor=executor, limits=GATHERING, read_ahead=ReadAheadLimits(records=500, lanes=LANES))
    world.put(POISON)
    async with running(process):
        await put(world, 1_000)
        assert now() < WINDOW / 10
        assert scrape(process.stage.metrics).value("poller_shards", mapping="orders", state="blocked") == 1
        calls = [call for call in executor.calls if poisoned(call) is ACCEPTS]
        assert len(calls) <= 2 * LANES
        await asyncio.sleep(1000)
        assert len([call for call in executor.calls if poisoned(call) is ACCEPTS]) == len(calls)  # and nobody spins
