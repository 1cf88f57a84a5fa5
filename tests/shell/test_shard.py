"""One leased shard: when it is finished, and what its reader does meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from zlib import crc32

import pytest
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.processes import Process, RepeatingKinesis, World, names, source
from support.stage import SHARD, STREAM_ARN, later, now, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Answer, Start, position
from poller.core.policy import StreamPolicy
from poller.errors import Unavailable
from poller.readahead import ReadAheadLimits
from poller.shard import run_shard

rule = pytest.mark.rule

THROTTLED = Unavailable("GetRecords", "throttled")
BY_ONE = BatchLimits(count=1)


async def run(process: Process) -> bool:
    """Takes the shard and runs it to its end."""
    return await run_shard(await process.hold(), process.drain)


def closed(*names: str) -> World:
    """A world whose only shard has these records, and has been split."""
    world = World()
    world.put(*names)
    world.streams.split(STREAM_ARN, SHARD)
    return world


def failing_until(seconds: float) -> ScriptedExecutor:
    """A function that raises until then."""
    return ScriptedExecutor(lambda call: RAISES if call.began < seconds else ACCEPTS)


# --------------------------------------------------------------------------------------------------------------------- finished


@virtually
async def test_a_shard_that_ended_and_is_settled_is_finished_and_its_lease_given_back() -> None:
    world = closed("a", "b")
    process = Process(world=world)
    assert await run(process) is True
    state = world.shards[SHARD]
    assert (state.finished, state.owner) == (True, None)
    assert process.all_seen == ["a", "b"]
    assert process.budget.used == 0


@rule("stream.shards.parent-before-child")
@virtually
async def test_the_end_of_a_shard_is_not_the_end_of_its_work() -> None:
    world = closed("a", "b")
    process = Process(world=world, executor=failing_until(300), limits=BY_ONE)
    later(299, lambda: world.shards[SHARD].finished and pytest.fail("finished with a record open"))
    assert await run(process) is True
    assert 300 <= now() < 380
    assert process.all_seen[-2:] == ["a", "b"]


@virtually
async def test_a_shard_is_not_finished_before_its_last_checkpoint_is_durable() -> None:
    world = closed("a")
    process = Process(world=world)
    process.storing.slow(20, "advance")
    later(19, lambda: world.shards[SHARD].finished and pytest.fail("finished before it is durable"))
    assert await run(process) is True
    assert now() == 20
    assert process.storing.calls["finish"] == [20]


@virtually
async def test_a_shard_with_nothing_in_it_is_finished_at_once() -> None:
    world = closed()
    assert await run(Process(world=world)) is True
    assert world.shards[SHARD].finished


@virtually
async def test_who_is_told_to_stop_finishes_nothing_even_if_all_is_done() -> None:
    world = closed("a")
    process = Process(world=world, executor=ScriptedExecutor(seconds=10))
    later(5, process.drain.start)
    assert await run(process) is False
    state = world.shards[SHARD]
    assert (state.finished, state.owner) == (False, None)
    assert state.checkpoint is not None  # what was running is done, and durable
    assert now() == 10


@virtually
async def test_a_renewal_that_crosses_the_end_of_the_lease_does_not_look_like_its_loss() -> None:
    world = closed("a")
    process = Process(world=world, executor=ScriptedExecutor(seconds=9))
    process.storing.late(5, "finish")  # from 9 to 14; a renewal is due at 10
    assert await run(process) is True
    assert process.storing.calls["renew"] == []


# ------------------------------------------------------------------------------------------------------------------------ drain


@virtually
async def test_a_drain_finishes_the_invocation_writes_the_checkpoint_and_gives_the_lease_back() -> None:
    world = World()
    numbers = world.put("a", "b", "c")
    process = Process(world=world, executor=ScriptedExecutor(seconds=10), limits=BY_ONE)
    process.storing.slow(3, "advance")
    later(15, process.drain.start)
    assert await run(process) is False
    assert process.all_seen == ["a", "b"]
    state = world.shards[SHARD]
    assert state.owner is None
    assert state.checkpoint is not None
    assert state.checkpoint.position == position(numbers[1])
    assert now() == 23
    assert process.count("lease_transitions_total", transition="released") == 1


@virtually
async def test_a_drain_does_not_wait_for_a_read() -> None:
    process = Process(world=World())
    process.reading.slow(1000, "GetRecords")
    later(5, process.drain.start)
    assert await run(process) is False
    assert now() == 5


@virtually
async def test_a_drain_leaves_back_off_at_once_and_the_records_to_the_next_holder() -> None:
    world = World()
    world.put("a")
    process = Process(world=world, executor=ScriptedExecutor(lambda _: RAISES))
    later(200, process.drain.start)
    assert await run(process) is False
    assert now() == 200
    assert world.shards[SHARD].checkpoint is None
    other = Process(world=world, owner="two")
    later(1, other.drain.start)
    await run(other)
    assert other.all_seen == ["a"]


# ---------------------------------------------------------------------------------------------------------------------- reading


@virtually
async def test_the_next_records_are_read_while_the_function_runs() -> None:
    world = World()
    world.put(*map(str, range(2000)))
    process = Process(world=world, executor=ScriptedExecutor(seconds=100), limits=BatchLimits(count=1000))
    later(150, process.drain.start)
    await run(process)
    assert [call.began for call in process.executor.calls] == [0, 100]
    assert process.reading.calls["GetRecords"][1] < 1


@rule("stream.poll.read-errors-spend-nothing")
@virtually
async def test_a_source_that_fails_is_tried_ever_more_slowly_and_nothing_else_suffers() -> None:
    world = closed("a")
    process = Process(world=world, policy=StreamPolicy(max_retries=0))
    process.reading.refuse(THROTTLED, "GetRecords")
    later(100, process.reading.heal)
    assert await run(process) is True
    assert 100 <= now() <= 130
    assert process.all_seen == ["a"]
    failed = process.count("polls_total", outcome="error")
    assert failed is not None
    assert 6 < failed < 30
    assert process.count("source_api_errors_total", operation="GetRecords", error="throttled") == failed


@virtually
async def test_records_that_the_source_repeats_are_delivered_once_and_counted() -> None:
    world = World()
    world.put("a", "b", "c")
    process = Process(world=world)
    held = await process.hold()
    reader = source(world, RepeatingKinesis(world)).reader(SHARD, Start(type="TRIM_HORIZON"))
    later(2.1, lambda: world.put("d"))
    later(5, process.drain.start)
    await run_shard(replace(held, reader=reader), process.drain)
    assert process.all_seen == ["a", "b", "c", "d"]
    assert process.count("events_redelivered_total") == 3
    assert process.count("events_polled_total") == 4


@virtually
async def test_reading_stops_at_the_cap_and_goes_on_when_records_are_settled() -> None:
    world = World()
    world.put(*map(str, range(5000)))
    process = Process(
        world=world,
        executor=ScriptedExecutor(seconds=10),
        limits=BatchLimits(count=500),
        read_ahead=ReadAheadLimits(records=2000, soon=10**9),
    )
    later(9, lambda: len(process.reading.calls["GetRecords"]) == 2 or pytest.fail("read on over the cap"))
    later(65, process.drain.start)
    await run(process)
    assert len(process.reading.calls["GetRecords"]) == 5
    assert process.all_seen == list(map(str, range(3500)))


@rule("stream.iterator-age.oldest-unsettled")
@rule("stream.iterator-age.caught-up-is-zero")
@virtually
async def test_the_iterator_age_is_that_of_the_oldest_record_that_is_not_settled() -> None:
    world = World()
    process = Process(world=world, executor=failing_until(100))

    def age() -> float | None:
        return process.count("iterator_age_seconds", shard=SHARD)

    async with asyncio.TaskGroup() as group:
        group.create_task(run(process))
        await asyncio.sleep(5.5)
        assert age() == 0
        world.put("a")
        await asyncio.sleep(60)
        assert age() == pytest.approx(60)
        await asyncio.sleep(120)
        assert age() == 0
        process.drain.start()
    assert age() is None  # nobody here reads it any more


@rule("stream.iterator-age.rises-while-reads-fail")
@rule("stream.iterator-age.behind-latest")
@pytest.mark.parametrize("healthy", [0, 5.5], ids=["from the beginning", "later"])
@virtually
async def test_the_iterator_age_rises_while_reads_fail(healthy: float) -> None:
    process = Process(world=World())
    if not healthy:
        process.reading.refuse(THROTTLED, "GetRecords")
    async with asyncio.TaskGroup() as group:
        group.create_task(run(process))
        await asyncio.sleep(healthy)
        process.reading.refuse(THROTTLED, "GetRecords")
        await asyncio.sleep(100)
        assert process.count("iterator_age_seconds", shard=SHARD) == pytest.approx(100.5, abs=0.6)
        assert process.count("source_behind_seconds", shard=SHARD) == (0 if healthy else None)
        process.drain.start()


# ------------------------------------------------------------------------------------------------------------------------ lanes


@rule("stream.delivery.in-order")
@virtually
async def test_lanes_work_at_the_same_time_and_the_checkpoint_waits_for_the_slowest() -> None:
    world = World()
    keys = [f"k{number}" for number in range(20)]
    world.put(*keys)

    def script(call: Call) -> Answer:
        return RAISES if "k0" in names(call) else ACCEPTS

    process = Process(
        world=world, executor=ScriptedExecutor(script, seconds=1), limits=BY_ONE, read_ahead=ReadAheadLimits(lanes=4)
    )
    later(100, process.drain.start)
    await run(process)
    assert process.executor.most == 4
    stuck = {key for key in keys if crc32(key.encode()) % 4 == crc32(b"k0") % 4}
    free = [key for key in keys if key not in stuck]
    assert set(process.all_seen) == {"k0", *free}  # behind it, its lane waits; the others do not
    assert sorted(key for key in process.all_seen if key != "k0") == sorted(free)
    assert world.shards[SHARD].checkpoint is None  # the first record is open, whatever came behind it
    assert process.budget.used == 0
