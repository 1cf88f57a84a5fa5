"""Whatever the function answers, whatever the destination does, and whenever the drain comes: every record ends exactly once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import policies, record
from support.doubles import ACCEPTS, RAISES, reports
from support.stage import Scene, later, now
from support.virtual import EPOCH, run_virtually

from poller.core.batching import BatchLimits
from poller.core.model import Errored, Refused
from poller.errors import Unavailable
from poller.lane import run_lane

if TYPE_CHECKING:
    from support.doubles import Call

    from poller.core.model import Answer, Record
    from poller.core.policy import StreamPolicy

LONGEST_CALL = 20.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One story of a lane. All times are in seconds.

    Attributes:
        arrivals: pauses, and how many records come after each.
        answers: what the function does, as numbers between 0 and 1; afterwards it accepts.
        seconds: how long it takes each time.
        outage: from when to when the destination is down.
        drain: when the drain comes, if before the end.
    """

    policy: StreamPolicy
    limits: BatchLimits
    arrivals: list[tuple[int, int]]
    answers: list[float]
    seconds: list[int]
    outage: tuple[int, int]
    drain: float | None


def moments(latest: int) -> st.SearchStrategy[float]:
    """Times at which nothing else happens by design."""
    return st.integers(0, 10 * latest).map(lambda tenths: tenths / 10 + 0.05)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    policy = draw(policies())
    limits = st.builds(
        BatchLimits,
        count=st.integers(1, 6),
        window=st.sampled_from([0, 0, 5, 30]),
        max_age=st.just(policy.max_age),
        event_bytes=st.sampled_from([30, 60, 10_000]),
    )
    return Case(
        policy=policy,
        limits=draw(limits),
        arrivals=draw(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)), max_size=5)),
        answers=draw(st.lists(st.floats(0, 0.999), max_size=25)),
        seconds=draw(st.lists(st.integers(0, int(LONGEST_CALL)), max_size=25)),
        outage=draw(st.tuples(st.integers(0, 100), st.integers(0, 200))),
        drain=draw(st.none() | moments(300)),
    )


class Function:
    """Answers by the case's numbers, and knows which records it has accepted."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.accepted: set[str] = set()

    def answer(self, call: Call) -> Answer:
        names = [str(each["n"]) for each in call.records]
        draw = dict(enumerate(self._case.answers, start=1)).get(call.number, 1.0)
        if draw < 0.15:
            return RAISES
        if draw < 0.3:
            return Errored("timeout", b"{}")
        if draw < 0.45:
            return Refused("throttled", retry_after=None if draw < 0.4 else 7)
        if draw < 0.5:
            return reports("nobody")
        if draw < 0.75:
            first = int((draw - 0.5) * 4 * len(names))
            self.accepted.update(names[:first])
            return reports(*names[first:])
        self.accepted.update(names)
        return ACCEPTS

    def seconds(self, call: Call) -> float:
        return dict(enumerate(self._case.seconds, start=1)).get(call.number, 0)


async def play(case: Case) -> tuple[Scene, Function, list[dict[str, dict[str, object]]]]:
    function = Function(case)
    scene = Scene(function.answer, policy=case.policy, limits=case.limits, partial_answers=True)
    scene.stage.executor.seconds = function.seconds
    down_from, down_until = case.outage
    later(down_from, lambda: scene.courier.refuse(Unavailable("SendMessage", "connection"), "SendMessage"))
    later(down_from + down_until, scene.courier.heal)
    if case.drain is not None:
        later(case.drain, scene.drain.start)
    async with asyncio.TaskGroup() as group:
        group.create_task(supply(case, scene))
        await run_lane(scene.lane, scene.work, scene.drain)
    return scene, function, scene.documents


async def supply(case: Case, scene: Scene) -> None:
    numbers = count(1)
    for pause, size in case.arrivals:
        await scene.drain.sleep(pause)
        if scene.drain.started:
            return
        arrived: list[Record] = [record(next(numbers), arrived_at=EPOCH + now()) for _ in range(size)]
        scene.lane.put(arrived)
    scene.lane.put((), end=True)


@given(cases())
@settings(max_examples=80, deadline=None)
def test_every_record_that_was_read_is_settled_or_released_exactly_once(case: Case) -> None:
    scene, function, documents = run_virtually(play(case))
    lane = scene.lane
    ended = [one for what, some in scene.journal if what in ("settle", "release") for one in some]
    assert ended == lane.all("read")  # each once, none left over, in the order of the stream
    released = lane.all("release")
    assert released == ended[len(ended) - len(released) :]  # what is given back comes last, so no checkpoint passes it

    reported = {
        str(number)
        for document in documents
        for number in range(
            int(str(document["KinesisBatchInfo"]["startSequenceNumber"])),
            int(str(document["KinesisBatchInfo"]["endSequenceNumber"])) + 1,
        )
    }
    assert set(lane.all("settle")) <= function.accepted | reported
    if case.drain is None:
        assert not released
    assert scene.stage.count("events_returned_total") == len(released)
    assert scene.stage.permits._ledger.in_use("handle") == 0


@given(cases(), moments(200))
@settings(max_examples=30, deadline=None)
def test_a_drain_ends_the_lane_as_soon_as_the_running_invocation_is_over(case: Case, drain: float) -> None:
    async def story() -> None:
        function = Function(case)
        scene = Scene(lambda _: RAISES, policy=case.policy, limits=case.limits)
        scene.stage.executor.seconds = function.seconds
        later(drain, scene.drain.start)
        scene.lane.put([record(number, arrived_at=EPOCH) for number in range(1, 9)])
        await run_lane(scene.lane, scene.work, scene.drain)
        running = [call for call in scene.stage.executor.calls if call.began <= drain < (call.ended or 0)]
        assert now() == pytest.approx(max([drain, *[call.ended or 0 for call in running]]))
        assert not [call for call in scene.stage.executor.calls if call.began > drain]

    run_virtually(story())
