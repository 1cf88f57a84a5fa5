"""A batch that was split before a restart is found again: what is written down of it, and what a batcher makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, attempt, ids, record, records, reported

from poller.core.batching import Batcher, BatchLimits
from poller.core.memo import Cut
from poller.core.model import Accepted, Attempt, Batch, Decision, position
from poller.core.policy import StreamPolicy
from poller.core.splits import OpenBatch, divides, ends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.core.model import Record

rule = pytest.mark.rule

BISECT = StreamPolicy(max_retries=1, bisect=True)


def cut(last: int, retries: int = 0) -> Cut:
    return Cut(last=position(str(last)), retries=retries)


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
def test_of_a_split_batch_the_ends_of_its_open_attempts_are_written_down() -> None:
    batch = opened(1, 2, 3, 4, later=(cut(9, 2),))
    decision = BISECT.judge(batch.attempts[0], RAISED)
    assert divides(decision)
    assert batch.cuts(decision) == (cut(2), cut(4), cut(9, 2))
    batch.carried_out(decision)
    decision = BISECT.judge(batch.attempts[0], RAISED)
    assert batch.cuts(decision) == (cut(1), cut(2), cut(4), cut(9, 2))
    batch.carried_out(decision)
    decision = BISECT.judge(batch.attempts[0], RAISED)
    assert batch.cuts(decision) == (cut(1, 1), cut(2), cut(4), cut(9, 2))  # how often the record alone has failed


@rule("stream.bisect.survives-restarts")
def test_what_is_settled_is_written_down_no_longer_and_what_is_given_up_only_once_it_is_reported() -> None:
    batch = opened(1, 2)
    batch.carried_out(BISECT.judge(batch.attempts[0], RAISED))
    assert batch.cuts(BISECT.judge(batch.attempts[0], Accepted())) == (cut(2),)
    spent = attempt(1, retries=1)
    batch.attempts[0] = spent
    given_up = BISECT.judge(spent, RAISED)
    assert given_up.discard
    assert batch.cuts(given_up) == (cut(1, 1), cut(2))
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
    assert batch.cuts(decision) == (cut(3),)


def test_an_invocation_without_records_has_no_end() -> None:
    assert ends((Attempt(records=()), attempt(1, 2, retries=3))) == (cut(2, 3),)


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


@given(st.data())
def test_no_batch_goes_over_a_cut_and_nothing_is_lost_whatever_the_reads(data: st.DataObject) -> None:
    numbers = sorted(data.draw(st.sets(st.integers(1, 30), max_size=20), label="records"))
    marks = sorted(data.draw(st.sets(st.integers(0, 32), max_size=6), label="cuts"))
    borders = sorted(data.draw(st.lists(st.integers(0, len(numbers)), max_size=4), label="reads"))
    limits = BatchLimits(count=data.draw(st.integers(1, 12)), event_bytes=data.draw(st.sampled_from([30, 60, 10_000])))
    batcher = Batcher(limits, tuple(cut(mark, 1 + mark) for mark in marks))
    reads = [numbers[a:b] for a, b in zip([0, *borders], [*borders, len(numbers)], strict=True)]
    batches = gathered(batcher, *([record(number) for number in read] for read in reads))

    assert [int(name) for names, _ in batches for name in names] == numbers
    for names, retries in batches:
        first, last = int(names[0]), int(names[-1])
        assert not any(first <= mark < last for mark in marks)
        if retries:
            assert retries == 1 + last
            start = max([mark for mark in marks if mark < last], default=0)
            assert [int(name) for name in names] == [number for number in numbers if start < number <= last]  # all of it


@given(st.lists(st.sets(st.integers(1, 20)).map(sorted), max_size=4), st.integers(1, 8))
def test_without_cuts_a_batcher_is_what_it_was(reads: list[list[int]], count: int) -> None:
    plain, over = Batcher(BatchLimits(count=count)), Batcher(BatchLimits(count=count), (cut(0, 9),))
    some = [records(*read) for read in reads]
    assert gathered(plain, *some) == gathered(over, *some)
