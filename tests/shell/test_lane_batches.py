"""When a lane lets a batch go: count, size, window and age; and that the wall clock may jump."""

from __future__ import annotations

import asyncio

import pytest
from support.build import record, records
from support.doubles import RAISES, in_turn
from support.stage import Scene, later, virtually
from support.virtual import EPOCH

from poller.core.batching import BatchLimits
from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.policy import StreamPolicy
from poller.lane import run_lane

rule = pytest.mark.rule

TWO_HOURS = 7200.0


def began(scene: Scene) -> list[float]:
    return [call.began for call in scene.stage.executor.calls]


@rule("stream.batch.no-window")
@virtually
async def test_without_a_window_what_is_there_goes_at_once() -> None:
    scene = Scene()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_lane(scene.lane, scene.work, scene.drain))
        later(5, lambda: scene.lane.put(records(1)))
        later(6, lambda: scene.lane.put(records(2, 3)))
        later(7, scene.drain.start)
    assert scene.events == ["invoke 1", "settle 1", "invoke 2 3", "settle 2 3"]
    assert began(scene) == [5, 6]


@rule("stream.batch.window")
@rule("stream.batch.window-opens-after-invocation")
@virtually
async def test_a_window_opens_when_the_last_invocation_is_over_and_ends_by_itself() -> None:
    scene = Scene(seconds=5, limits=BatchLimits(count=10, window=10))
    async with asyncio.TaskGroup() as group:
        group.create_task(run_lane(scene.lane, scene.work, scene.drain))
        for at in (1, 3, 12, 16, 20):
            later(at, lambda at=at: scene.lane.put(records(at)))  # type: ignore[misc]
        later(40, scene.drain.start)
    assert scene.events == ["invoke 1 3", "settle 1 3", "invoke 12 16 20", "settle 12 16 20"]
    assert began(scene) == [10, 25]  # from 0 to 10; from 15, when the first was over, to 25


@rule("stream.batch.count")
@virtually
async def test_a_full_batch_does_not_wait_for_its_window() -> None:
    scene = Scene(limits=BatchLimits(count=2, window=300))
    later(4, lambda: scene.lane.put(records(1, 2, 3)))
    later(50, scene.drain.start)
    await run_lane(scene.lane, scene.work, scene.drain)
    assert scene.events == ["invoke 1 2", "settle 1 2", "release 3"]
    assert began(scene) == [4]


@virtually
async def test_the_end_of_the_lane_does_not_wait_for_the_window() -> None:
    scene = Scene(limits=BatchLimits(count=10, window=300))
    assert await scene.run(records(1, 2)) == 0
    assert scene.events == ["invoke 1 2", "settle 1 2"]


@rule("stream.batch.bytes")
@virtually
async def test_a_batch_goes_before_a_record_that_would_make_it_too_large() -> None:
    half = b'{"n":%d,"padding":"' + b"x" * (MAX_EVENT_BYTES // 2) + b'"}'
    scene = Scene()
    await scene.run(record(number, payload=half % number) for number in (1, 2, 3))
    assert scene.events == ["invoke 1", "settle 1", "invoke 2", "settle 2", "invoke 3", "settle 3"]


@rule("stream.batch.oversized-record")
@rule("stream.retry.too-large-spends")
@rule("stream.discard.too-large")
@virtually
async def test_a_record_that_is_too_large_alone_spends_its_retries_and_those_behind_it_go_on() -> None:
    scene = Scene(policy=StreamPolicy(max_retries=2))
    await scene.run((record(1, payload=b'"' + b"x" * MAX_EVENT_BYTES + b'"'), *records(2, 3)))
    assert scene.events == ["send", "settle 1", "invoke 2 3", "settle 2 3"]
    (document,) = scene.documents
    assert document["requestContext"]["approximateInvokeCount"] == 3
    assert "responseContext" not in document
    assert scene.stage.count("invocations_total", outcome="invoke_error") == 3


@rule("stream.age.in-window")
@virtually
async def test_an_expired_record_ends_the_window_and_the_younger_ones_are_invoked() -> None:
    limits = BatchLimits(count=10, window=300, max_age=60)
    scene = Scene(policy=StreamPolicy(max_age=60), limits=limits)
    scene.lane.put(records(1, arrived_at=EPOCH))
    later(50, lambda: scene.lane.put(records(2, arrived_at=EPOCH + 50)))
    later(61, scene.drain.start)
    await run_lane(scene.lane, scene.work, scene.drain)
    assert scene.events == ["send", "settle 1", "invoke 2", "settle 2"]
    assert began(scene) == pytest.approx([60])


@rule("stream.age.running-invocation-goes-on")
@virtually
async def test_an_invocation_is_not_broken_off_when_its_records_expire() -> None:
    scene = Scene(seconds=100, policy=StreamPolicy(max_age=60))
    await scene.run(records(1, arrived_at=EPOCH))
    assert scene.events == ["invoke 1", "settle 1"]


@pytest.mark.parametrize("jump", [-TWO_HOURS, TWO_HOURS])
@pytest.mark.parametrize("max_age", [None, 3 * TWO_HOURS])
@virtually
async def test_a_jump_of_the_wall_clock_changes_nothing_about_an_open_window(jump: float, max_age: float | None) -> None:
    scene = Scene(policy=StreamPolicy(max_age=max_age), limits=BatchLimits(count=10, window=60, max_age=max_age))
    scene.lane.put(records(1, arrived_at=EPOCH))
    later(20, lambda: scene.stage.clock.jump(jump))
    later(40, lambda: scene.lane.put(records(2, arrived_at=EPOCH + 40)))
    later(80, scene.drain.start)
    await run_lane(scene.lane, scene.work, scene.drain)
    assert scene.events == ["invoke 1 2", "settle 1 2"]
    assert began(scene) == [60]
    age = scene.stage.count("event_age_seconds_sum")
    assert age == (60 + jump if jump > 0 else 0)  # never negative


@pytest.mark.parametrize("jump", [-TWO_HOURS, TWO_HOURS])
@virtually
async def test_a_jump_during_an_invocation_or_a_wait_changes_nothing_about_them(jump: float) -> None:
    scene = Scene(in_turn(RAISES), seconds=5)
    later(2, lambda: scene.stage.clock.jump(jump))
    later(5.1, lambda: scene.stage.clock.jump(-2 * jump))
    await scene.run(records(1, arrived_at=EPOCH))
    assert scene.events == ["invoke 1", "invoke 1", "settle 1"]
    assert began(scene) == pytest.approx([0, 5.5], abs=0.1)
    assert scene.stage.count("invocation_duration_seconds_sum") == pytest.approx(10)
    assert scene.stage.count("event_age_seconds_sum") == (0 if jump > 0 else pytest.approx(TWO_HOURS + began(scene)[1]))
