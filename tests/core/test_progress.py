"""From "these are done" to "all up to here": the checkpoint of a shard."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from poller.core.model import BEGINNING, Position, position
from poller.core.progress import Progress

shows = pytest.mark.rule("stream.checkpoint.never-passes-open")


def at(number: int) -> Position:
    return position(str(number))


def progress(*numbers: int, reached: Position = BEGINNING) -> Progress:
    tracked = Progress(reached)
    tracked.track(map(at, numbers))
    return tracked


@shows
def test_the_checkpoint_moves_to_the_last_record_before_the_first_open_one() -> None:
    shard = progress(1, 2, 3, 4)
    assert shard.settle([at(2), at(3)]) is None
    assert shard.reached == BEGINNING
    assert shard.settle([at(1)]) == at(3)
    assert shard.reached == at(3)
    assert shard.settle([at(4)]) == at(4)


@shows
def test_it_goes_up_to_the_last_record_when_all_are_settled_in_one_go() -> None:
    assert progress(9, 10, 100).settle([at(100), at(9), at(10)]) == at(100)


@shows
def test_settling_twice_or_what_was_never_read_moves_nothing() -> None:
    shard = progress(5, 6)
    assert shard.settle([at(5)]) == at(5)
    assert shard.settle([at(5)]) is None
    assert shard.settle([at(1), at(7), at(99)]) is None
    assert shard.settle([]) is None
    assert shard.reached == at(5)


def test_it_is_drained_when_nothing_is_open() -> None:
    shard = progress()
    assert shard.drained
    shard.track([at(1), at(2)])
    assert not shard.drained
    shard.settle([at(2)])
    assert not shard.drained
    shard.settle([at(1)])
    assert shard.drained


@shows
def test_it_begins_where_the_checkpoint_was_and_does_not_go_back_behind_it() -> None:
    shard = progress(3, 4, reached=at(5))
    assert shard.settle([at(3), at(4)]) is None
    assert shard.reached == at(5)
    assert shard.drained


@shows
def test_a_record_that_the_source_repeats_is_open_again_and_does_not_move_the_checkpoint_back() -> None:
    shard = progress(1, 2, 3)
    shard.settle([at(1)])
    shard.track([at(1), at(4)])
    assert not shard.drained
    assert shard.settle([at(2), at(3)]) == at(3)
    assert shard.settle([at(1)]) is None
    assert shard.reached == at(3)
    assert shard.settle([at(4)]) == at(4)
    assert shard.drained


@shows
def test_a_record_that_is_repeated_before_the_checkpoint_passed_it_holds_the_checkpoint() -> None:
    shard = progress(1, 2, 3)
    shard.settle([at(2)])
    shard.track([at(2)])
    assert shard.settle([at(1)]) == at(1)
    assert shard.settle([at(2)]) == at(2)


@shows
def test_records_of_one_aggregate_are_told_apart() -> None:
    shard = Progress()
    shard.track([position("7", 0), position("7", 1), position("7", 2)])
    assert shard.settle([position("7", 0), position("7", 2)]) == position("7", 0)
    assert shard.settle([position("7", 1)]) == position("7", 2)


@shows
@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=40), st.data())
def test_in_whatever_order_records_are_settled_the_checkpoint_is_the_end_of_the_settled_prefix(
    numbers: set[int], data: st.DataObject
) -> None:
    ordered = sorted(numbers)
    shard = progress(*ordered)
    done: set[int] = set()
    left = data.draw(st.permutations(ordered))
    while left:
        take = data.draw(st.integers(1, len(left)))
        done.update(left[:take])
        moved = shard.settle(map(at, left[:take]))
        left = left[take:]
        first_open = next((place for place, number in enumerate(ordered) if number not in done), len(ordered))
        expected = at(ordered[first_open - 1]) if first_open else BEGINNING
        assert shard.reached == expected
        assert moved in (None, expected)
        assert shard.drained == (not left)


class Shard(RuleBasedStateMachine):
    """A source that repeats itself, lanes that settle in any order; the model is a dictionary of who holds what."""

    def __init__(self) -> None:
        super().__init__()
        self.shard = Progress()
        self.open: set[int] = set()
        self.passed = -1
        self.read: list[int] = []
        self.next = 0

    @initialize(reached=st.integers(-1, 3))
    def begins(self, reached: int) -> None:
        self.shard = Progress(at(reached) if reached >= 0 else BEGINNING)
        self.passed = reached
        self.next = reached + 1

    @rule(gaps=st.lists(st.integers(1, 3), min_size=1, max_size=5))
    def reads_on(self, gaps: list[int]) -> None:
        page = []
        for gap in gaps:
            self.next += gap
            page.append(self.next)
        self.track(page)

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def reads_again(self, data: st.DataObject) -> None:
        self.track(sorted(data.draw(st.sets(st.sampled_from(self.read), min_size=1))))

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def settles(self, data: st.DataObject) -> None:
        self.settle(data.draw(st.lists(st.sampled_from([*self.read, 10**6]), min_size=1)))

    @rule()
    def settles_all(self) -> None:
        self.settle(sorted(self.open, reverse=True))
        assert self.shard.drained
        assert self.passed >= max(self.read, default=-1)

    def track(self, page: list[int]) -> None:
        self.read += [number for number in page if number not in self.read]
        self.open.update(page)
        self.shard.track(map(at, page))

    def settle(self, numbers: list[int]) -> None:
        self.open -= set(numbers)
        before = self.shard.reached
        moved = self.shard.settle(map(at, numbers))
        assert moved is None or moved > before
        assert self.shard.reached == (before if moved is None else moved)
        if moved is not None:
            newly = [number for number in self.read if before < at(number) <= moved]
            assert not self.open & set(newly)
            assert at(newly[-1]) == moved
            self.passed = newly[-1]

    @invariant()
    def drained_means_nothing_is_open(self) -> None:
        assert self.shard.drained == (not self.open)


Shard.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_a_checkpoint_never_passes_an_open_record_and_never_moves_back = shows(Shard.TestCase)
