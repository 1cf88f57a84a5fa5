"""A shard whose lease goes, or one of whose parts breaks: everything stops, and nothing is settled after that."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.processes import Process, World, names
from support.stage import MAPPING, SHARD, later, now, stand_still, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Lease, position
from poller.core.policy import StreamPolicy
from poller.errors import LeaseLost, SourceGone, Unavailable
from poller.readahead import ReadAheadLimits
from poller.shard import run_shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.core.model import Answer

rule = pytest.mark.rule

DOWN = Unavailable("renew", "connection")
FOR_EVER = 10.0**9
TTL = 30.0


async def lose(process: Process) -> BaseException:
    """Runs the shard until it ends by an exception, or several of one kind, and returns that."""
    try:
        await run_shard(await process.hold(), process.drain)
    except BaseExceptionGroup as group:
        errors = list(leaves(group))
        assert len({type(error) for error in errors}) == 1
        return errors[0]
    return pytest.fail("it has not ended by an exception")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group that are none themselves."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def busy(world: World | None = None) -> Process:
    """A process whose function takes a record and keeps it for ever."""
    world = world or World()
    world.put("a", "b")
    return Process(world=world, executor=ScriptedExecutor(seconds=FOR_EVER), lease_ttl=TTL)


def take_over(world: World) -> None:
    """Another owner has the shard, as when the store let the lease end."""
    state = world.shards[SHARD]
    assert state.owner is not None
    world.contents.release(Lease(mapping=MAPPING, shard=SHARD, owner=state.owner, epoch=state.epoch))
    wanted = Lease(mapping=MAPPING, shard=SHARD, owner="another", epoch=0)
    assert world.contents.acquire(wanted, now(), TTL) is not None


# ------------------------------------------------------------------------------------------------------------------------ renewal


@virtually
async def test_a_lease_is_renewed_three_times_in_its_time_for_as_long_as_the_shard_is_held() -> None:
    process = busy()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(lose(process))
        await asyncio.sleep(1000)
        assert process.world.shards[SHARD].owner == "one"
        running.cancel()
    renewals = process.storing.calls["renew"]
    assert renewals[0] == TTL / 3
    assert {round(after - before, 6) for before, after in pairwise(renewals)} == {TTL / 3}


@virtually
async def test_after_a_failed_renewal_the_next_is_tried_soon() -> None:
    process = busy()
    later(9, lambda: process.storing.refuse(DOWN, "renew"))
    later(20, process.storing.heal)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(lose(process))
        await asyncio.sleep(100)
        assert not running.done()
        running.cancel()
    renewals = process.storing.calls["renew"]
    assert renewals[:3] == pytest.approx([10, 11, 12])
    assert [after - before for before, after in pairwise(renewals)][-1] == pytest.approx(TTL / 3)  # and then at leisure again


@pytest.mark.parametrize(("seconds", "lost_at"), [(6, None), (8, None), (10, 37), (20, 27), (FOR_EVER, 27)])
@virtually
async def test_trust_in_a_lease_counts_from_the_asking_not_from_the_answer(seconds: float, lost_at: float | None) -> None:
    process = busy()
    process.storing.slow(seconds, "renew")  # asked at 10, and trusted until 10 + 0.9 * 30 if the answer comes before 27
    async with asyncio.TaskGroup() as group:
        running = group.create_task(lose(process))
        await asyncio.sleep(lost_at - 0.1 if lost_at else 1000)
        assert not running.done()
        await asyncio.sleep(0.2)
        assert running.done() == (lost_at is not None)
        running.cancel()


@virtually
async def test_trust_in_a_new_lease_counts_from_the_asking_too() -> None:
    process = busy()
    process.storing.slow(20, "acquire")
    process.storing.refuse(DOWN, "renew")
    assert isinstance(await lose(process), LeaseLost)
    assert now() == 27


@virtually
async def test_a_lease_that_was_had_too_late_is_not_used() -> None:
    process = busy()
    process.storing.late(28, "acquire")
    assert isinstance(await lose(process), LeaseLost)
    assert now() == 28
    assert process.executor.calls == []


# --------------------------------------------------------------------------------------------------------------------------- loss


@pytest.mark.parametrize(
    ("how", "lost_at"),
    [
        ("taken", 10),  # the next renewal says so
        ("emptied", 10),
        ("silent", 27),  # our own clock does
        ("down", 27),
    ],
)
@virtually
async def test_when_the_lease_is_lost_the_invocation_is_cancelled_and_nothing_settled(how: str, lost_at: float) -> None:
    process = busy()
    world = process.world
    match how:
        case "taken":
            later(5, lambda: take_over(world))
        case "emptied":
            later(5, world.contents.clear)
        case "silent":
            process.storing.slow(FOR_EVER, "renew")
        case _:
            process.storing.refuse(DOWN, "renew")
    assert isinstance(await lose(process), LeaseLost)
    assert now() == pytest.approx(lost_at)
    (call,) = process.executor.calls
    assert call.cancelled
    assert process.storing.calls["advance"] == []
    assert process.budget.used == 0
    assert process.count("iterator_age_seconds", shard=SHARD) is None
    assert process.count("invocations_total", outcome="cancelled") == 1


@virtually
async def test_a_checkpoint_that_is_refused_ends_the_shard_at_once() -> None:
    world = World()
    world.put("a", "b")
    process = Process(world=world, executor=ScriptedExecutor(seconds=3), limits=BatchLimits(count=1))
    later(2, lambda: take_over(world))
    assert isinstance(await lose(process), LeaseLost)
    assert now() == 3
    assert world.shards[SHARD].checkpoint is None
    assert process.count("checkpoints_total", outcome="fenced") == 1


@virtually
async def test_a_lease_that_is_lost_while_a_report_is_undeliverable_ends_that_too() -> None:
    world = World()
    world.put("a")
    process = Process(world=world, executor=ScriptedExecutor(lambda _: RAISES), policy=StreamPolicy(max_retries=0))
    process.sending.refuse(DOWN, "SendMessage")
    later(5, lambda: take_over(world))
    assert isinstance(await lose(process), LeaseLost)
    assert now() == 10
    process.sending.heal()
    await asyncio.sleep(100)
    assert world.documents == []
    assert world.shards[SHARD].checkpoint is None


@rule("stream.delivery.in-order")
@pytest.mark.parametrize("seconds", [1, 5, 7, 10])
@virtually
async def test_a_process_that_stood_still_past_its_lease_invokes_nothing_when_it_wakes(seconds: float) -> None:
    world = World()
    world.put(*map(str, range(100)))
    process = Process(world=world, executor=ScriptedExecutor(seconds=seconds), limits=BatchLimits(count=1), lease_ttl=TTL)
    later(15.5, lambda: stand_still(100))
    assert isinstance(await lose(process), LeaseLost)
    assert now() == 115.5
    assert max(call.began for call in process.executor.calls) <= 15.5


# -------------------------------------------------------------------------------------------------------------------------- crash


@virtually
async def test_a_lane_that_breaks_stops_its_siblings_and_the_reader_and_settles_nothing_more() -> None:
    world = World()
    keys = [f"k{number}" for number in range(20)]
    world.put(*keys)

    def script(call: Call) -> Answer:
        if "k0" in names(call):
            raise RuntimeError("the executor is broken")
        return ACCEPTS

    executor = ScriptedExecutor(script, seconds=lambda call: 5 if "k0" in names(call) else FOR_EVER)
    lanes = ReadAheadLimits(lanes=4)
    process = Process(world=world, executor=executor, limits=BatchLimits(count=1), read_ahead=lanes)
    error = await lose(process)
    assert (type(error), now()) == (RuntimeError, 5)
    assert [call.cancelled for call in executor.calls].count(True) == 3
    assert world.shards[SHARD].checkpoint is None
    assert process.budget.used == 0
    reads = len(process.reading.calls["GetRecords"])
    await asyncio.sleep(100)
    assert len(process.reading.calls["GetRecords"]) == reads
    assert world.shards[SHARD].owner is None  # nobody renews it any more


@virtually
async def test_a_stream_that_goes_ends_the_shard_once_what_was_read_of_it_is_done() -> None:
    world = World()
    numbers = world.put("a", "b")
    process = Process(world=world, executor=ScriptedExecutor(seconds=30), limits=BatchLimits(count=1), lease_ttl=TTL)
    later(5, lambda: world.streams.delete_stream(next(iter(world.streams._streams))))
    assert isinstance(await lose(process), SourceGone)
    assert 60 <= now() <= 62
    assert process.all_seen == ["a", "b"]
    checkpoint = world.shards[SHARD].checkpoint
    assert checkpoint is not None
    assert checkpoint.position == position(numbers[1])


@virtually
async def test_what_the_function_had_done_before_the_lease_went_is_done_for_good() -> None:
    world = World()
    numbers = world.put("a", "b", "c")
    executor = ScriptedExecutor(seconds=lambda call: FOR_EVER if call.number == 3 else 1)
    process = Process(world=world, executor=executor, limits=BatchLimits(count=1), lease_ttl=TTL)
    later(5, lambda: take_over(world))
    await lose(process)
    checkpoint = world.shards[SHARD].checkpoint
    assert checkpoint is not None
    assert checkpoint.position == position(numbers[1])
    assert [(names(call), call.cancelled) for call in executor.calls] == [(["a"], False), (["b"], False), (["c"], True)]


@pytest.mark.parametrize("how", ["lane", "lease"])
@virtually
async def test_who_ran_a_shard_that_broke_does_not_look_cancelled(how: str) -> None:
    process = busy()
    if how == "lane":
        process.executor.seconds = 1

        def breaks(_: Call) -> Answer:
            raise RuntimeError("the executor is broken")

        process.executor.script = breaks
    else:
        later(5, lambda: take_over(process.world))
    assert isinstance(await lose(process), RuntimeError if how == "lane" else LeaseLost)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
