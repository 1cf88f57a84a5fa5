"""A lane that is told to stop, or breaks: nothing is settled that was not done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.build import records
from support.doubles import RAISES
from support.stage import Scene, later, now, virtually

from poller.core.batching import BatchLimits
from poller.core.permits import Ticket
from poller.core.policy import StreamPolicy
from poller.drain import Drain
from poller.lane import run_lane

if TYPE_CHECKING:
    from support.doubles import Call

    from poller.core.model import Answer


@virtually
async def test_a_drain_lets_the_invocation_finish_and_starts_no_other() -> None:
    scene = Scene(seconds=10, limits=BatchLimits(count=1))
    later(5, scene.drain.start)
    assert await scene.run(records(1, 2)) == 10
    assert scene.events == ["invoke 1", "settle 1"]
    assert scene.lane.all("read") == ["1"]


@virtually
async def test_a_drain_after_a_failed_invocation_gives_its_records_back() -> None:
    scene = Scene(lambda _: RAISES, seconds=10, policy=StreamPolicy(bisect=True))
    later(5, scene.drain.start)
    assert await scene.run(records(1, 2)) == 10
    assert scene.events == ["invoke 1 2", "release 1", "release 2"]
    assert scene.stage.count("events_returned_total") == 2


@virtually
async def test_a_drain_in_back_off_leaves_at_once_and_gives_the_records_back() -> None:
    scene = Scene(lambda _: RAISES)
    later(200, scene.drain.start)
    assert await scene.run(records(1, 2)) == 200
    assert scene.events[-1] == "release 1 2"
    assert "settle" not in " ".join(scene.events)


@virtually
async def test_a_drain_while_waiting_for_a_permit_leaves_at_once_and_gives_the_records_back() -> None:
    scene = Scene()
    later(10, scene.drain.start)
    async with scene.stage.permits.hold(Ticket("another mapping", "handle"), Drain()):
        assert await scene.run(records(1, 2)) == 10
    assert scene.events == ["release 1 2"]


@virtually
async def test_a_drain_of_an_idle_lane_ends_it_at_once() -> None:
    scene = Scene()
    later(10, scene.drain.start)
    await run_lane(scene.lane, scene.work, scene.drain)
    assert now() == 10
    assert scene.journal == []


# ----------------------------------------------------------------------------------------------------------------------- mishaps


@virtually
async def test_an_invocation_that_is_cut_off_settles_nothing_and_is_counted() -> None:
    scene = Scene(seconds=100)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(scene.run(records(1, 2)))
        later(10, running.cancel)
    assert scene.stage.executor.calls[0].cancelled
    assert scene.events == []
    assert scene.stage.count("invocations_total", outcome="cancelled") == 1
    assert scene.stage.count("in_flight_events") == 0


@virtually
async def test_an_executor_that_breaks_ends_the_lane_and_settles_nothing() -> None:
    def breaks(_: Call) -> Answer:
        raise RuntimeError("the executor is broken")

    scene = Scene(breaks)
    with pytest.raises(RuntimeError, match="broken"):
        await scene.run(records(1, 2))
    assert scene.events == ["invoke 1 2"]
    assert scene.stage.count("in_flight_events") == 0


@virtually
async def test_a_function_that_answers_at_once_does_not_keep_others_from_running() -> None:
    scene = Scene(limits=BatchLimits(count=1))
    settled = []

    async def somebody_else() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
            settled.append(len(scene.lane.all("settle")))

    async with asyncio.TaskGroup() as group:
        group.create_task(scene.run(records(*range(1, 1001))))
        group.create_task(somebody_else())
    assert settled[-1] < 100
