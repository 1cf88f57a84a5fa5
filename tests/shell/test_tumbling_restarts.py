"""Tumbling windows over restarts: state and position are durable together, so that a count stays exact."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from support.doubles import ACCEPTS, RAISES, Call
from support.processes import World, names, running
from support.stage import MAPPING, SHARD, now, until, virtually
from support.windows import LENGTH, Windowed, counted, event_of

from poller.core.batching import BatchLimits
from poller.core.extra import unpack
from poller.core.model import Answer, Returned
from poller.core.policy import StreamPolicy
from poller.errors import Unavailable
from poller.readahead import ReadAheadLimits

if TYPE_CHECKING:
    from poller.core.memo import Window

rule = pytest.mark.rule

BY_TWO = BatchLimits(count=2)


def stored(world: World) -> Window | None:
    """The open window that the store knows of."""
    checkpoint = world.contents.shards(MAPPING, now())[SHARD].checkpoint
    assert checkpoint is not None
    return unpack(checkpoint.extra).memos_of(1)[0].window


async def crashed(process: Windowed, at: float) -> None:
    """Runs until it is cut off from the world at that time; waits until its lease is over."""
    task = asyncio.create_task(process.run())
    await asyncio.sleep(at - now())
    process.cut()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(process.lease_ttl)


@rule("stream.windows.drain")
@virtually
async def test_a_drain_leaves_the_window_open_and_the_next_process_goes_on_with_its_state() -> None:
    world = World()
    first, second = (Windowed(world=world, owner=owner) for owner in ("one", "two"))
    async with running(first):
        world.put("a", "b")
        await until(lambda: first.events)
    window = stored(world)
    assert window is not None
    assert window.state == b'{"n":2,"names":["a","b"]}'
    assert first.finals == []
    async with running(second):
        world.put("c")
        await until(lambda: second.finals)
    assert second.events == ["0 n=2 c", "0 n=3 final"]
    assert stored(world) is None


@rule("stream.windows.drain")
@virtually
async def test_a_window_that_ended_while_nobody_ran_is_closed_by_the_next_process() -> None:
    world = World()
    first, second = (Windowed(world=world, owner=owner) for owner in ("one", "two"))
    async with running(first):
        world.put("a")
        await until(lambda: first.events)
    await asyncio.sleep(1000)
    began = now()
    async with running(second):
        await until(lambda: second.finals)
    assert now() < began + 3
    assert second.events == ["0 n=1 final"]


@rule("stream.windows.durable-together")
@virtually
async def test_after_a_crash_the_function_sees_again_what_its_state_does_not_hold() -> None:
    world = World()
    first, second = (Windowed(world=world, owner=owner, limits=BY_TWO) for owner in ("one", "two"))
    first.storing.slow(1e9, "advance")
    world.put("a", "b", "c")
    await crashed(first, at=5)
    assert first.events == ["0 n=0 a b", "0 n=2 c"]
    async with running(second):
        await until(lambda: second.finals)
    assert second.events == ["0 n=0 a b", "0 n=2 c", "0 n=3 final"]


@rule("stream.windows.durable-together")
@virtually
async def test_a_window_that_was_closed_but_not_durably_is_closed_once_more_with_the_same_state() -> None:
    world = World()
    first, second = (Windowed(world=world, owner=owner) for owner in ("one", "two"))
    world.put("a")
    task = asyncio.create_task(crashed(first, at=150))
    await asyncio.sleep(90)
    first.storing.slow(1e9, "advance")
    await task
    assert first.events == ["0 n=0 a", "0 n=1 final"]
    async with running(second):
        await until(lambda: second.finals)
    assert second.events == ["0 n=1 final"]


@rule("stream.windows.oversized")
@virtually
async def test_a_state_that_was_too_large_at_a_crash_is_handed_over_before_anything_else() -> None:
    world = World()

    def answer(call: Call) -> Answer:
        if event_of(call)["isFinalInvokeForWindow"] and now() < 50:
            return RAISES
        return large(call) if names(call) == ["a"] else counted(call)

    first, second = (Windowed(world=world, owner=owner, script=answer, limits=BatchLimits(count=1)) for owner in ("one", "two"))
    world.put("a", "b")
    await crashed(first, at=20)
    assert set(first.events) == {"0 n=0 a", "0 n=1 final early"}
    async with running(second):
        await until(lambda: len(second.finals) == 2)
    assert second.events == ["0 n=1 final early", "0 n=0 b", "0 n=1 final"]


def large(call: Call) -> Answer:
    """The counting function, with ballast."""
    return Returned(counted(call).payload.replace(b'"names"', b'"x":"%s","names"' % (b"x" * 2**20)))


@rule("stream.windows.drain")
@virtually
async def test_a_report_of_a_window_that_a_drain_cuts_off_is_made_by_the_next_process() -> None:
    world = World()
    first, second = (
        Windowed(
            world=world,
            owner=owner,
            policy=StreamPolicy(max_retries=0),
            script=lambda call: counted(call) if names(call) else RAISES,
        )
        for owner in ("one", "two")
    )
    first.sending.refuse(Unavailable("SendMessage", "connection"), "SendMessage")
    world.put("a")
    async with running(first):
        await asyncio.sleep(130)
    assert world.documents == []
    assert stored(world) is not None
    async with running(second):
        await until(lambda: world.documents)
    assert stored(world) is None
    assert second.events == ["0 n=1 final"]


@rule("stream.windows.length-changes")
@virtually
async def test_after_a_change_of_the_length_the_open_window_goes_to_its_own_end() -> None:
    world = World()
    first = Windowed(world=world)
    second = Windowed(world=world, seconds=40, owner="two")
    async with running(first):
        world.put("a")
        await until(lambda: first.events)
    async with running(second):
        await asyncio.sleep(60 - now())
        world.put("b")
        await asyncio.sleep(130 - now())
        world.put("c")
        await until(lambda: len(second.finals) == 2)
    assert second.events == ["0 n=1 b", "0 n=2 final", "120 n=0 c", "120 n=1 final"]


@rule("stream.windows.switched-off")
@pytest.mark.parametrize("lanes", [1, 3])
def test_where_windows_are_switched_off_the_open_one_is_dropped_and_that_is_told(lanes: int) -> None:
    switched_off(lanes)


@virtually
async def switched_off(lanes: int) -> None:
    """Perhaps because windows do not go together with a parallelization factor."""
    world = World()
    first, second, third = (
        Windowed(world=world),
        Windowed(world=world, seconds=0, script=lambda _: ACCEPTS, owner="two", read_ahead=ReadAheadLimits(lanes=lanes)),
        Windowed(world=world, owner="three"),
    )
    async with running(first):
        world.put("a")
        await until(lambda: first.events)
    async with running(second):
        world.put("b")
        await until(lambda: second.calls)
    assert second.events == ["b"]
    assert second.count("windows_closed_total", reason="dropped") == 1
    async with running(third):
        world.put("c")
        await until(lambda: third.calls)
    assert third.events == ["0 n=0 c"]


@pytest.mark.parametrize("seed", range(4))
@rule("stream.windows.durable-together")
@rule("stream.delivery.at-least-once")
def test_however_often_processes_crash_the_counts_of_all_windows_are_exact(seed: int) -> None:
    crashes(seed)


@virtually
async def crashes(seed: int) -> None:
    """Several processes, one after the other, killed at any moment, while records come; a function that fails now and then."""
    rng, world = Random(seed), World()
    written: dict[int, list[str]] = {}

    async def write() -> None:
        for number in range(200):
            await asyncio.sleep(rng.expovariate(1.0))
            written.setdefault(int(now() // LENGTH) * LENGTH, []).append(str(number))
            world.put(str(number))

    def answer(call: Call) -> Answer:
        return RAISES if rng.random() < 0.2 else counted(call)

    def process(number: int) -> Windowed:
        made = Windowed(
            world=world,
            owner=str(number),
            script=answer,
            work_time=0.3,
            lease_ttl=5.0,
            limits=BatchLimits(count=7),
            policy=StreamPolicy(bisect=True),
        )
        made.storing.slow(rng.uniform(0, 0.5), "advance")
        return made

    everybody = [process(number) for number in range(8)]
    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for each in everybody[:-1]:
            await crashed(each, at=now() + rng.uniform(5, 40))
    async with running(everybody[-1]):
        await until(lambda: len(closed(everybody)) == len(written), step=1)
    assert closed(everybody) == {str(start): names for start, names in written.items()}


def closed(everybody: list[Windowed]) -> dict[str, list[str]]:
    """What the function was told of each window that was closed. One that is closed once more is the same."""
    finals: dict[str, list[str]] = {}
    for each in everybody:
        for line, event in zip(each.events, each.calls, strict=True):
            if event["isFinalInvokeForWindow"]:
                start, names = line.split()[0], event["state"]["names"]
                assert finals.setdefault(start, names) == names
    return finals
