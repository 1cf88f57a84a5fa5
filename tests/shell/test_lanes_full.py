"""Lanes that gather batches while their shard, or the process, may hold no more: what they have goes out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.build import RAISED, attempt, record
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.observing import scrape
from support.processes import Process, World, running
from support.stage import STREAM_ARN, Buffer, now, virtually
from support.windows import Windowed

from poller.core.batching import BatchLimits
from poller.core.model import Returned, Slice
from poller.readahead import MemoryBudget, ReadAheadLimits
from poller.shardlane import lane_of

if TYPE_CHECKING:
    from poller.core.model import Answer

rule = pytest.mark.rule

LANES = 10
WINDOW = 300.0
GATHERING = BatchLimits(count=10_000, window=WINDOW)
KEYS = [f"customer-{number}" for number in range(60)]
POISON = "poison"
STATE = Returned(b'{"state": {}}')


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
        await asyncio.sleep(2 * WINDOW)
        assert len(process.all_seen) == len(set(process.all_seen)) == 5_000


@rule("stream.lanes.full")
@pytest.mark.parametrize("tumbling", [False, True])
@virtually
async def test_an_open_batch_goes_out_when_the_process_may_hold_no_more(*, tumbling: bool) -> None:
    world = World()
    process = Windowed(world=world, limits=GATHERING, seconds=600 if tumbling else 0, script=lambda _: STATE)
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


@rule("stream.lanes.full")
@pytest.mark.parametrize("how", ["waits", "fails"])
@virtually
async def test_an_open_batch_waits_while_a_lane_is_at_work_that_may_make_room(how: str) -> None:
    buffer = Buffer(lanes=2, records=4)
    keys = [next(key for key in KEYS if lane_of(key, 2) == lane) for lane in range(2)]
    buffer.ahead.deal([record(number, group=keys[number % 2]) for number in range(4)])
    busy, gathering = buffer.ahead.lanes
    for lane in buffer.ahead.lanes:
        piece = await lane.read(10, 60)
        assert (len(piece.records), piece.full) == (2, False)
    async with asyncio.TaskGroup() as group:
        group.create_task(buffer.ahead.space())
        waits = group.create_task(gathering.read(10, 60))
        await asyncio.sleep(5)
        assert not waits.done()
        if how == "fails":
            busy.judged(attempt(0, 2), RAISED)
        else:
            assert (await busy.read(10, 60)).full
        assert await waits == Slice(full=True)
        assert now() == 5
        assert not (await gathering.read(10, 0)).full  # said once
        buffer.drain.start()
