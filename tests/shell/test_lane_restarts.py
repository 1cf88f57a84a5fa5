"""A batch that was split is not split anew by the next process: whatever it was at when it died."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import policies, record, records
from support.doubles import ACCEPTS, RAISES, reports
from support.lives import Lives
from support.stage import virtually
from support.virtual import EPOCH, run_virtually

from poller.core.batching import BatchLimits
from poller.core.memo import NO_MEMO, Cut, Memo
from poller.core.model import Errored, Refused, position
from poller.core.policy import StreamPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.doubles import Call

    from poller.core.model import Answer

rule = pytest.mark.rule

SIZE, RETRIES = 1000, 2
SEARCH = 2 * ceil(log2(SIZE)) + 2
"""Invocations beyond the first that one bad record among so many may cost."""

STREAM = records(*range(1, SIZE + SIZE // 2 + 1), arrived_at=EPOCH)
"""A batch of a thousand, and half a batch after it."""

FIND = StreamPolicy(max_retries=RETRIES, bisect=True)
THOUSAND = BatchLimits(count=SIZE)


def names(call: Call) -> set[str]:
    return {str(each["n"]) for each in call.records}


def poisoned(*bad: int) -> Callable[[Call], Answer]:
    return lambda call: RAISES if names(call) & {str(number) for number in bad} else ACCEPTS


def reporting(*bad: int) -> Callable[[Call], Answer]:
    def function(call: Call) -> Answer:
        return reports(*sorted(found, key=int)) if (found := names(call) & {str(number) for number in bad}) else ACCEPTS

    return function


def part(first: int, last: int, *, retries: int = 0) -> Cut:
    return Cut(first=position(str(first)), last=position(str(last)), retries=retries)


def thousand(function: Callable[[Call], Answer], *, partial_answers: bool = False) -> Lives:
    return Lives(records=STREAM, function=function, policy=FIND, limits=THOUSAND, partial_answers=partial_answers)


places = st.integers(1, SIZE) | st.sampled_from([1, 2, SIZE // 2, SIZE // 2 + 1, SIZE - 1, SIZE])
ends_of_lives = st.lists(st.tuples(st.integers(0, 300).map(lambda tenths: tenths / 10 + 0.05), st.booleans()), max_size=3)
"""Seconds after which a life ends, and whether it is told to stop; else it is killed."""


async def through(lives: Lives, ends: list[tuple[float, bool]]) -> None:
    for until, drain in ends:
        await lives.live(until, drain=drain)
    await lives.live()


# ------------------------------------------------------------------------------------------------ one bad record among a thousand


@rule("stream.bisect.bound")
@rule("stream.bisect.survives-restarts")
@given(places, ends_of_lives)
@settings(max_examples=25, deadline=None)
def test_one_bad_record_among_a_thousand_is_found_and_it_alone_is_told_wherever_processes_die(
    bad: int, ends: list[tuple[float, bool]]
) -> None:
    lives = thousand(poisoned(bad))
    run_virtually(through(lives, ends))
    cut_off = sum(map(bool, lives.in_flight))
    assert lives.documents == [(str(bad), str(bad), RETRIES + 1)]
    assert lives.invocations <= 1 + SEARCH + 1 + cut_off  # and one for the half batch behind it
    assert lives.left[-1] == (len(lives.records), NO_MEMO)


@rule("stream.bisect.first-reported-stands-alone")
@rule("stream.bisect.survives-restarts")
@given(places, ends_of_lives)
@settings(max_examples=25, deadline=None)
def test_a_bad_record_that_is_reported_stands_alone_at_once_wherever_processes_die(
    bad: int, ends: list[tuple[float, bool]]
) -> None:
    lives = thousand(reporting(bad), partial_answers=True)
    run_virtually(through(lives, ends))
    cut_off = sum(map(bool, lives.in_flight))
    assert lives.documents == [(str(bad), str(bad), RETRIES + 1)]
    whole, rest, alone, behind, half_batch = 1, 1, RETRIES + 1, 1, 1
    assert lives.invocations <= whole + rest + alone + behind + half_batch + cut_off


@rule("stream.bisect.bound")
@given(st.sets(places, min_size=2, max_size=2), ends_of_lives)
@settings(max_examples=15, deadline=None)
def test_two_bad_records_cost_no_more_than_twice_as_much(bad: set[int], ends: list[tuple[float, bool]]) -> None:
    lives = thousand(poisoned(*bad))
    run_virtually(through(lives, ends))
    assert lives.documents == [(str(one), str(one), RETRIES + 1) for one in sorted(bad)]
    assert lives.invocations <= 1 + 2 * SEARCH + 1 + sum(map(bool, lives.in_flight))


# ------------------------------------------------------------------------------------------------------------------ by the second


@rule("stream.bisect.survives-restarts")
@virtually
async def test_who_comes_after_begins_with_the_attempt_that_was_under_way() -> None:
    lives = Lives(
        records=records(*range(1, 11), arrived_at=EPOCH), function=poisoned(3), policy=FIND, limits=BatchLimits(count=8)
    )
    await lives.live(2.5)  # of 8, 4, 2 ...
    assert lives.left[-1].memo.cuts == (part(1, 2), part(3, 4), part(5, 8))
    await lives.live(2.5)  # 2, 4 ...
    assert lives.left[-1].settled == 2
    await lives.live()
    eight = tuple(map(str, range(1, 9)))
    assert lives.invoked == [
        [eight, eight[:4], eight[:2]],
        [eight[:2], eight[2:4], ("3",)],
        [("3",), ("3",), ("3",), ("4",), eight[4:], ("9", "10")],
    ]


@rule("stream.bisect.survives-restarts")
@virtually
async def test_failures_of_a_part_count_on_and_those_of_a_whole_batch_begin_anew() -> None:
    lives = Lives(records=records(1, 2, arrived_at=EPOCH), function=poisoned(1, 2), policy=FIND, limits=BatchLimits(count=2))
    await lives.live(2.1)  # both, and once the first alone
    assert lives.left[-1].memo.cuts == (part(1, 1, retries=1), part(2, 2))
    await lives.live()
    assert lives.invoked[1] == [("1",), ("1",), ("2",), ("2",), ("2",)]

    lives = Lives(
        records=records(1, arrived_at=EPOCH),
        function=poisoned(1),
        policy=StreamPolicy(max_retries=1),
        limits=BatchLimits(count=2),
    )
    await lives.live(1.1)
    assert lives.left[-1] == (0, NO_MEMO)
    await lives.live()
    assert lives.invoked[1] == [("1",), ("1",)]


@rule("stream.bisect.survives-restarts")
@virtually
async def test_what_a_partial_answer_left_over_is_the_same_after_a_restart_and_its_failures_count_on() -> None:
    lives = Lives(
        records=records(1, 2, 3, arrived_at=EPOCH),
        function=reporting(2),
        policy=StreamPolicy(max_retries=1),
        limits=BatchLimits(count=2),
        partial_answers=True,
    )
    await lives.live(2.7)  # both, and once the second alone
    assert lives.left[-1] == (1, Memo(cuts=(part(2, 2, retries=1),)))
    assert [memo.cuts[0].retries for memo in lives.scenes[0].lane.memos[1:]] == [0, 1]
    await lives.live()
    assert lives.invoked == [[("1", "2"), ("2",)], [("2",), ("3",)]]
    assert lives.documents == [("2", "2", 2)]


@virtually
async def test_a_batch_that_is_not_split_writes_nothing_but_its_position() -> None:
    lives = Lives(
        records=records(*range(1, 7), arrived_at=EPOCH),
        function=lambda call: RAISES if call.number % 2 else ACCEPTS,
        policy=StreamPolicy(),
        limits=BatchLimits(count=2),
    )
    await lives.live()
    lane = lives.scenes[0].lane
    assert lane.memos == [NO_MEMO]
    assert lane.all("settle") == ["1", "2", "3", "4", "5", "6"]


@rule("stream.bisect.survives-restarts")
@virtually
async def test_a_record_that_is_to_be_told_is_alone_also_after_a_restart() -> None:
    lives = Lives(records=records(1, 2, arrived_at=EPOCH), function=poisoned(1), policy=FIND, limits=BatchLimits(count=2))
    lives.policy = StreamPolicy(max_retries=0, bisect=True)
    await lives.live(2.5, drain=True)  # told, and then stopped while the second is under way
    assert lives.documents == [("1", "1", 1)]
    assert lives.left[-1].settled == 2
    await lives.live()
    assert lives.invoked == [[("1", "2"), ("1",), ("2",)], []]


@rule("stream.exhausted.survives-restarts")
@virtually
async def test_a_blocked_batch_is_the_same_one_after_a_restart_and_is_blocked_by_one_failure() -> None:
    lives = Lives(
        records=records(1, 2, 3, arrived_at=EPOCH),
        function=poisoned(2),
        policy=StreamPolicy(max_retries=1, on_exhausted="block"),
        limits=BatchLimits(count=2),
    )
    await lives.live(100)
    assert lives.left[-1].memo.cuts[0].retries >= 2
    lives.limits = BatchLimits(count=3)
    await lives.live(1.5)
    lives.function = poisoned()
    await lives.live()
    assert lives.invoked[1:] == [[("1", "2")], [("1", "2"), ("3",)]]
    assert lives.scenes[1].lane.waits[0].blocked
    assert lives.documents == []


# ----------------------------------------------------------------------------------------------------- whatever happens, and when


@dataclass(frozen=True, kw_only=True)
class Case:
    """Lives of a lane.

    Attributes:
        answers: what the function does, as numbers between 0 and 1, in all lives together; afterwards it accepts.
        ends: of each life but the last: after how many seconds, whether by a drain, how many of its checkpoints are lost.
        behind: in each of those, how many records of what is settled come again, as another lane holds the checkpoint back.
    """

    policy: StreamPolicy
    limits: BatchLimits
    ages: list[int]
    answers: list[float]
    ends: list[tuple[float, bool, int]]
    behind: list[int]

    async def all_lives(self, lives: Lives, *, lossy: bool = True) -> None:
        """Each of them, and one that comes to the end."""
        for (until, drain, lost), behind in zip(self.ends, self.behind, strict=False):
            await lives.live(until, drain=drain, lost_writes=lost if lossy else 0, behind=behind)
        await lives.live()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    policy = draw(policies())
    lives = st.tuples(st.integers(0, 400).map(lambda tenths: tenths / 10 + 0.05), st.booleans(), st.integers(0, 2))
    return Case(
        policy=policy,
        limits=BatchLimits(
            count=draw(st.integers(1, 8)), max_age=policy.max_age, event_bytes=draw(st.sampled_from([40, 80, 10_000]))
        ),
        ages=draw(st.lists(st.integers(0, 200), min_size=1, max_size=16)),
        answers=draw(st.lists(st.floats(0, 0.999), max_size=30)),
        ends=draw(st.lists(lives, max_size=4)),
        behind=draw(st.lists(st.integers(0, 6), min_size=4, max_size=4)),
    )


class Function:
    """Answers by the case's numbers, and knows which records it has accepted."""

    def __init__(self, answers: list[float]) -> None:
        self._answers = iter(answers)
        self.accepted: set[str] = set()

    def __call__(self, call: Call) -> Answer:
        some = [str(each["n"]) for each in call.records]
        draw = next(self._answers, 1.0)
        if draw < 0.5:
            return RAISES if draw < 0.4 else Errored("timeout", b"{}")
        if draw < 0.6:
            return Refused("throttled")
        if draw < 0.8:
            first = int((draw - 0.6) * 5 * len(some))
            self.accepted.update(some[:first])
            return reports(*some[first:])
        self.accepted.update(some)
        return ACCEPTS


@rule("stream.bisect.survives-restarts")
@given(cases())
@settings(max_examples=40, deadline=None)
def test_wherever_lives_end_nothing_is_lost_nothing_overtakes_and_only_what_was_not_durable_comes_again(case: Case) -> None:
    stream = [record(number, arrived_at=EPOCH - age) for number, age in enumerate(case.ages, start=1)]
    function = Function(case.answers)
    lives = Lives(records=stream, function=function, policy=case.policy, limits=case.limits, partial_answers=True)
    run_virtually(case.all_lives(lives))
    all_ids = [one.id for one in stream]
    told = {str(number) for first, last, _ in lives.documents for number in range(int(first), int(last) + 1)}
    for before, after, scene in zip(lives.left, lives.left[1:], lives.scenes, strict=False):
        settled = scene.lane.all("settle")
        assert settled == all_ids[before.settled : before.settled + len(settled)]
        assert after.settled <= before.settled + len(settled)
        assert set(settled) <= function.accepted | told
        ends = [each.last for each in after.memo.cuts]
        assert ends == sorted(ends)
    assert lives.left[-1].settled == len(stream)
    assert all(
        cut.last <= stream[-1].position for cut in lives.left[-1].memo.cuts
    )  # where nothing was left to do, a cut that is over may stay


@rule("stream.bisect.survives-restarts")
@given(cases().filter(lambda case: case.policy.max_age is None))
@settings(max_examples=30, deadline=None)
def test_each_open_attempt_of_a_life_is_a_batch_of_the_next_one_wherever_the_checkpoint_is(case: Case) -> None:
    stream = records(*range(1, len(case.ages) + 1), arrived_at=EPOCH)
    lives = Lives(records=stream, function=Function(case.answers), policy=case.policy, limits=case.limits, partial_answers=True)
    run_virtually(case.all_lives(lives, lossy=False))
    for left, in_flight, invoked in zip(lives.left[1:], lives.in_flight, lives.invoked[1:], strict=False):
        coming = stream[left.settled :]
        parts = [tuple(one.id for one in coming if cut.first <= one.position <= cut.last) for cut in left.memo.cuts]
        for some in filter(None, parts):
            assert next((each for each in invoked if {*each} & {*some}), some) == some
        if any(parts):
            assert in_flight in {(), *parts}


@rule("stream.bisect.survives-restarts")
@virtually
async def test_what_was_accepted_and_comes_again_is_not_given_up_with_the_failures_of_what_is_left() -> None:
    def function(call: Call) -> Answer:
        if "4" not in names(call):
            return ACCEPTS
        return reports("4") if names(call) == {"3", "4"} else RAISES

    lives = Lives(
        records=records(*range(1, 5), arrived_at=EPOCH),
        function=function,
        policy=StreamPolicy(max_retries=3),
        limits=BatchLimits(count=2),
        partial_answers=True,
        seconds=0.1,
    )
    await lives.live(2.0, behind=3)
    assert lives.left[-1] == (0, Memo(cuts=(part(4, 4, retries=2),)))
    lives.limits = BatchLimits(count=10)
    await lives.live()
    assert lives.invoked == [[("1", "2"), ("3", "4"), ("4",), ("4",)], [("1", "2", "3"), ("4",), ("4",)]]
    assert lives.documents == [("4", "4", 4)]
