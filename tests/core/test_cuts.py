"""A batch that was split before a restart is found again: what is written down of it, and what a batcher makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, attempt, ids, outcomes, policies, record, records, reported

from poller.core.batching import Batcher, BatchLimits
from poller.core.memo import Cut
from poller.core.model import BEGINNING, Accepted, Attempt, Batch, Decision, position
from poller.core.policy import StreamPolicy
from poller.core.splits import OpenBatch, divides, ends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.core.model import Record

rule = pytest.mark.rule

BISECT = StreamPolicy(max_retries=1, bisect=True)


def cut(last: int, retries: int = 0, first: int | None = None) -> Cut:
    """Without a first record, as earlier versions wrote it."""
    return Cut(last=position(str(last)), retries=retries, first=BEGINNING if first is None else position(str(first)))


def gathered(batcher: Batcher, *reads: Iterable[Record]) -> list[tuple[list[str], int]]:
    """The ids of each batch, with the failures that it has been through; nothing stays held."""
    closed: list[Batch] = []
    for read in reads:
        closed += batcher.add(tuple(read), 0.0)
    return [(ids(batch.records), batch.retries) for batch in (*closed, *batcher.flush())]


def opened(*numbers: int, retries: int = 0, later: tuple[Cut, ...] = ()) -> OpenBatch:
    return OpenBatch(Batch(records=records(*numbers), trigger="count", retries=retries, later=later))


# ----------------------------------------------------------------------------------------------------------- what is written down


@rule("stream.bisect.survives-restarts")
def test_of_a_split_batch_it_is_written_down_where_its_open_attempts_begin_and_end() -> None:
    batch = opened(1, 2, 3, 4, later=(cut(9, 2),))
    decision = BISECT.judge(batch.attempts[0], RAISED)
    assert divides(decision)
    assert batch.cuts(decision) == (cut(2, first=1), cut(4, first=3), cut(9, 2))
    batch.carried_out(decision)
    decision = BISECT.judge(batch.attempts[0], RAISED)
    assert batch.cuts(decision) == (cut(1, first=1), cut(2, first=2), cut(4, first=3), cut(9, 2))
    batch.carried_out(decision)
    decision = BISECT.judge(batch.attempts[0], RAISED)
    alone = cut(1, 1, first=1)  # how often the record alone has failed
    assert batch.cuts(decision) == (alone, cut(2, first=2), cut(4, first=3), cut(9, 2))


@rule("stream.bisect.survives-restarts")
def test_what_is_settled_is_written_down_no_longer_and_what_is_given_up_only_once_it_is_reported() -> None:
    batch = opened(1, 2)
    batch.carried_out(BISECT.judge(batch.attempts[0], RAISED))
    assert batch.cuts(BISECT.judge(batch.attempts[0], Accepted())) == (cut(2, first=2),)
    spent = attempt(1, retries=1)
    batch.attempts[0] = spent
    given_up = BISECT.judge(spent, RAISED)
    assert given_up.discard
    assert batch.cuts(given_up) == (cut(1, 1, first=1), cut(2, first=2))
    batch.carried_out(given_up)
    assert batch.attempts == type(batch.attempts)((attempt(2),))


def test_a_batch_that_is_whole_and_goes_on_is_not_written_down() -> None:
    of = attempt(1, 2, 3)
    assert not divides(StreamPolicy().judge(of, RAISED))
    assert not divides(BISECT.judge(of, Accepted()))
    assert not divides(Decision(settle=of.records))
    assert not divides(Decision(again=(attempt(2, 3),)))


def test_what_is_left_over_of_a_batch_is_written_down_with_what_is_settled() -> None:
    batch = opened(1, 2, 3)
    decision = StreamPolicy().judge(batch.attempts[0], reported(2))
    assert divides(decision)
    assert batch.cuts(decision) == (cut(3, first=2),)


def test_an_invocation_without_records_has_no_end() -> None:
    assert ends((Attempt(records=()), attempt(1, 2, retries=3))) == (cut(2, 3, first=1),)


# ---------------------------------------------------------------------------------------------------------- what is made of it


@rule("stream.bisect.survives-restarts")
def test_a_batch_ends_at_each_cut_and_begins_with_its_failures() -> None:
    batcher = Batcher(BatchLimits(count=10), (cut(1, 2), cut(2), cut(4, 1)))
    assert gathered(batcher, records(*range(1, 9))) == [(["1"], 2), (["2"], 0), (["3", "4"], 1), (["5", "6", "7", "8"], 0)]


def test_a_batch_knows_the_cuts_that_are_still_to_come() -> None:
    batcher = Batcher(BatchLimits(count=10), (cut(1), cut(4, 1)))
    first, second = list(batcher.add(records(1, 2, 3), 0.0))
    assert (first.trigger, first.later) == ("cut", (cut(4, 1),))
    assert (second.trigger, second.later) == ("window", (cut(4),))  # a piece: neither it nor the rest has failed yet
    [third, _] = list(batcher.add(records(4, 5), 0.0))
    assert (ids(third.records), third.retries, third.later) == (["4"], 0, ())


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ((cut(2, 1), cut(4, 1)), [(["5", "6"], 0)]),  # settled before the checkpoint was written
        ((cut(4, 1), cut(6, 1)), [(["5", "6"], 1)]),
        ((cut(9, 1),), [(["5", "6"], 0)]),
    ],
)
def test_a_cut_before_all_that_comes_is_over(cuts: tuple[Cut, ...], expected: list[tuple[list[str], int]]) -> None:
    assert gathered(Batcher(BatchLimits(count=10), cuts), records(5, 6)) == expected


def test_a_cut_whose_record_is_not_there_any_more_still_parts_what_was_on_either_side() -> None:
    batcher = Batcher(BatchLimits(count=10), (cut(2, 3), cut(4, 1)))
    assert gathered(batcher, records(1, 3, 4, 5)) == [(["1"], 0), (["3", "4"], 1), (["5"], 0)]


def test_a_batch_that_is_full_at_its_cut_keeps_its_failures() -> None:
    assert gathered(Batcher(BatchLimits(count=2), (cut(2, 5),)), records(1, 2), records(3)) == [(["1", "2"], 5), (["3"], 0)]


def test_a_cut_that_is_reached_in_several_reads_waits_for_the_window_like_any_batch() -> None:
    batcher = Batcher(BatchLimits(count=10, window=60), (cut(4, 2),))
    assert list(batcher.add(records(1, 2), 1.0)) == []
    (batch,) = batcher.add(records(3, 4, 5), 2.0)
    assert (ids(batch.records), batch.retries, batch.trigger) == (["1", "2", "3", "4"], 2, "cut")


@rule("stream.bisect.survives-restarts")
def test_what_comes_again_before_a_part_is_a_batch_of_its_own_and_spends_none_of_its_retries() -> None:
    batcher = Batcher(BatchLimits(count=10), (cut(6, 4, first=5), cut(8, first=7)))
    first, *others = batcher.add(records(*range(1, 10)), 0.0)
    assert (ids(first.records), first.trigger, first.retries) == (["1", "2", "3", "4"], "cut", 0)
    assert first.later == (cut(6, 4, first=5), cut(8, first=7))
    assert [(ids(each.records), each.retries) for each in others] == [(["5", "6"], 4), (["7", "8"], 0), (["9"], 0)]


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([(1, 2), (3,), (4, 5, 6)], [(["1", "2", "3", "4"], 0), (["5", "6"], 4)]),
        ([(1, 2, 3, 4), (5,), (6, 7)], [(["1", "2", "3", "4"], 0), (["5", "6"], 4), (["7"], 0)]),
        ([(1, 2), (6, 7)], [(["1", "2"], 0), (["6"], 4), (["7"], 0)]),  # what it began with is settled, or trimmed
        ([(1, 2), (7, 8)], [(["1", "2"], 0), (["7", "8"], 0)]),  # all of it is
        ([(6, 7)], [(["6"], 4), (["7"], 0)]),
    ],
)
def test_in_whatever_reads_it_comes_a_part_begins_with_its_first_record(
    reads: list[tuple[int, ...]], expected: list[tuple[list[str], int]]
) -> None:
    batcher = Batcher(BatchLimits(count=10, window=60), (cut(6, 4, first=5),))
    assert gathered(batcher, *(records(*read) for read in reads)) == expected


def test_what_comes_before_a_part_is_full_like_any_batch_and_the_part_keeps_its_failures() -> None:
    batcher = Batcher(BatchLimits(count=2, window=60), (cut(5, 3, first=4),))
    expected = [(["1", "2"], 0), (["3"], 0), (["4", "5"], 3), (["6"], 0)]
    assert gathered(batcher, records(1, 2, 3, 4), records(5, 6)) == expected


@st.composite
def some_cuts(draw: st.DrawFn) -> list[tuple[int, int]]:
    """The first and the last record of each, in order; 0 as the first where it is not known."""
    borders = sorted(draw(st.sets(st.integers(1, 32), max_size=12)))
    pairs = zip(borders[::2], borders[1::2], strict=False)
    return [(draw(st.sampled_from([0, first, last])), last) for first, last in pairs]


@given(some_cuts(), st.data())
def test_no_batch_goes_over_a_cut_and_nothing_is_lost_whatever_the_reads(
    cuts: list[tuple[int, int]], data: st.DataObject
) -> None:
    numbers = sorted(data.draw(st.sets(st.integers(1, 34), max_size=24), label="records"))
    limits = BatchLimits(count=data.draw(st.integers(1, 12)), event_bytes=data.draw(st.sampled_from([30, 60, 10_000])))
    batcher = Batcher(limits, tuple(cut(last, 1 + last, first or None) for first, last in cuts))
    batches = gathered(batcher, *pieces(data, numbers))

    assert [int(name) for names, _ in batches for name in names] == numbers
    for names, retries in batches:
        begin, end = int(names[0]), int(names[-1])
        assert not any(begin <= last < end or begin < first <= end for first, last in cuts)
        if retries:
            assert retries == 1 + end
            start = max([first for first, last in cuts if last == end] + [last + 1 for _, last in cuts if last < end])
            assert [int(name) for name in names] == [number for number in numbers if start <= number <= end]  # all of it


def pieces(data: st.DataObject, numbers: list[int]) -> list[list[Record]]:
    """These records in several reads."""
    borders = sorted(data.draw(st.lists(st.integers(0, len(numbers)), max_size=4), label="reads"))
    reads = [numbers[a:b] for a, b in zip([0, *borders], [*borders, len(numbers)], strict=True)]
    return [[record(number) for number in read] for read in reads]


def worked_off(batch: OpenBatch, policy: StreamPolicy, data: st.DataObject) -> tuple[tuple[Cut, ...], list[Attempt]]:
    """What is written down after some answers, and which attempts are open by then; what is given up may not be reported yet."""
    kept: tuple[Cut, ...] = ()
    left = list(batch.attempts)
    for _ in range(data.draw(st.integers(1, 12), label="answers")):
        first, *others = batch.attempts
        decision = policy.judge(first, data.draw(outcomes(first)))
        left = [*((first,) if decision.discard else decision.again), *others]
        if kept or divides(decision):
            kept = batch.cuts(decision)
        batch.carried_out(decision)
        if not batch.attempts:
            break
    return kept, left


@rule("stream.bisect.survives-restarts")
@given(policies(), st.integers(1, 10), st.data())
def test_whatever_has_become_of_a_batch_its_open_attempts_are_found_again_wherever_the_checkpoint_is(
    policy: StreamPolicy, size: int, data: st.DataObject
) -> None:
    kept, left = worked_off(opened(*range(10, 10 + size)), policy, data)
    due = int(left[0].records[0].id) if left else 10 + size
    begin = data.draw(st.integers(1, due), label="checkpoint")
    batcher = Batcher(BatchLimits(count=100, window=60), kept)
    batches = gathered(batcher, *pieces(data, list(range(begin, 15 + size))))

    assert [int(name) for names, _ in batches for name in names] == list(range(begin, 15 + size))
    again, after = ([str(number) for number in some] for some in (range(begin, due), range(10 + size, 15 + size)))
    if kept:
        found = [(ids(each.records), each.retries) for each in left]
        assert batches == [*([(again, 0)] if again else []), *found, (after, 0)]


@given(st.lists(st.sets(st.integers(1, 20)).map(sorted), max_size=4), st.integers(1, 8))
def test_without_cuts_a_batcher_is_what_it_was(reads: list[list[int]], count: int) -> None:
    plain, over = Batcher(BatchLimits(count=count)), Batcher(BatchLimits(count=count), (cut(0, 9),))
    some = [records(*read) for read in reads]
    assert gathered(plain, *some) == gathered(over, *some)
