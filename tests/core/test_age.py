"""The age of a shard: what is open in memory, else what the last read said, rising while nothing can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.age import ReadMark, iterator_age

STALE_AFTER = 2.0

times = st.floats(0, 2e9)
durations = st.floats(0, 1e6)
marks = st.builds(ReadMark, at=times, behind=durations)


@pytest.mark.parametrize(
    ("now", "oldest_open", "last_read", "age"),
    [
        pytest.param(100.0, 70.0, None, 30.0, id="an open record, before any read was marked"),
        pytest.param(100.0, 70.0, ReadMark(at=99.9, behind=0), 30.0, id="an open record counts although the tip was read"),
        pytest.param(100.0, 70.0, ReadMark(at=99.9, behind=500), 30.0, id="an open record counts, not how far the tip is"),
        pytest.param(100.0, None, ReadMark(at=99.0, behind=0), 0.0, id="caught up just now"),
        pytest.param(100.0, None, ReadMark(at=98.0, behind=0), 2.0, id="caught up once, but that is two intervals ago"),
        pytest.param(100.0, None, ReadMark(at=40.0, behind=0), 60.0, id="caught up once, and reads have failed since"),
        pytest.param(100.0, None, ReadMark(at=99.0, behind=7), 8.0, id="behind, just now"),
        pytest.param(100.0, None, ReadMark(at=40.0, behind=7), 67.0, id="behind, and reads have failed since"),
        pytest.param(100.0, None, None, 0.0, id="nothing is known"),
        pytest.param(100.0, 130.0, None, 0.0, id="the record's arrival lies in the future"),
        pytest.param(100.0, None, ReadMark(at=130.0, behind=0), 0.0, id="the clock went back after the read"),
        pytest.param(100.0, None, ReadMark(at=130.0, behind=7), 7.0, id="the clock went back, and the shard was behind"),
        pytest.param(100.0, None, ReadMark(at=99.0, behind=-3), 0.0, id="a server that says less than nothing"),
    ],
)
def test_the_age_of_a_shard(now: float, oldest_open: float | None, last_read: ReadMark | None, age: float) -> None:
    assert iterator_age(now, oldest_open, last_read, STALE_AFTER) == pytest.approx(age)


@given(times, st.none() | times, st.none() | marks)
def test_it_is_never_negative(now: float, oldest_open: float | None, last_read: ReadMark | None) -> None:
    assert iterator_age(now, oldest_open, last_read, STALE_AFTER) >= 0


@given(times, durations, st.none() | times, marks)
def test_while_nothing_is_read_and_nothing_settled_it_only_rises(
    now: float, later: float, oldest_open: float | None, last_read: ReadMark
) -> None:
    before = iterator_age(now, oldest_open, last_read, STALE_AFTER)
    assert iterator_age(now + later, oldest_open, last_read, STALE_AFTER) >= before


@given(times, st.floats(STALE_AFTER, 1e6))
def test_a_shard_that_cannot_be_read_ages_second_by_second(at: float, since: float) -> None:
    age = iterator_age(at + since + 1, None, ReadMark(at=at, behind=0), STALE_AFTER)
    assert age == pytest.approx(since + 1, abs=1e-3)


@given(times, times, st.none() | marks, st.none() | marks)
def test_an_open_record_outweighs_whatever_was_read(
    now: float, oldest: float, one: ReadMark | None, other: ReadMark | None
) -> None:
    assert iterator_age(now, oldest, one, STALE_AFTER) == iterator_age(now, oldest, other, STALE_AFTER)
