"""The circuit breaker: when it opens, and what closes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.queueing import messages

from poller.core.breaker import Breaker, BreakerLimits, failure
from poller.core.model import Accepted, Attempt, Failed, Partial, Refused

ATTEMPT = Attempt(records=messages(1, 2))
RAISES = Failed("function_error")


def after(limits: BreakerLimits, course: str) -> Breaker:
    """A breaker after batches that failed (x) or did not (o)."""
    breaker = Breaker(limits)
    for each in course:
        breaker.judge(ATTEMPT, RAISES if each == "x" else Accepted(), 100.0)
    return breaker


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (Accepted(), False),
        (RAISES, True),
        (Failed("timeout"), True),
        (Partial(frozenset({"m1"})), False),
        (Partial(frozenset({"m1", "m2"})), True),
        (Refused("throttled"), None),
    ],
)
def test_a_batch_has_failed_where_none_of_it_is_done(outcome: Accepted, failed: bool | None) -> None:  # noqa: FBT001
    assert failure(ATTEMPT, outcome) is failed


def test_failures_in_a_row_open_it() -> None:
    limits = BreakerLimits(failures=3)
    assert after(limits, "xxoxx").state == "closed"
    assert after(limits, "xxoxxx").state == "open"


def test_what_nobody_has_run_neither_counts_nor_breaks_the_row() -> None:
    breaker = after(BreakerLimits(failures=2), "x")
    states = []
    for outcome in (Refused("unavailable"), RAISES):
        breaker.judge(ATTEMPT, outcome, 100.0)
        states.append(breaker.state)
    assert states == ["closed", "open"]


def test_an_error_rate_counts_once_there_have_been_so_many_batches() -> None:
    limits = BreakerLimits(failures=None, error_rate=0.5, batches=4)
    assert after(limits, "xxo").state == "closed"
    assert after(limits, "xoooox").state == "closed"
    assert after(limits, "xoox").state == "open"


def test_while_it_is_open_nobody_receives_until_the_probe_is_due() -> None:
    breaker = after(BreakerLimits(failures=1, probe_interval=30), "x")
    assert [breaker.patience(now) for now in (100.0, 129.0, 130.0, 500.0)] == [30.0, 1.0, 0.0, 0.0]
    breaker.probe()
    assert breaker.patience(500.0) == float("inf")


@pytest.mark.parametrize(("outcome", "state"), [(Accepted(), "closed"), (RAISES, "open"), (Refused("throttled"), "half_open")])
def test_the_probe_decides(outcome: Accepted, state: str) -> None:
    breaker = after(BreakerLimits(failures=1, probe_interval=30), "x")
    breaker.probe()
    breaker.judge(ATTEMPT, Accepted(), 131.0)  # of a batch that was received before
    states = [breaker.state]
    breaker.judge(ATTEMPT, outcome, 140.0, probe=True)
    states.append(breaker.state)
    assert states == ["half_open", state]
    assert state != "open" or breaker.patience(140.0) == 30.0


def test_after_it_has_closed_old_failures_are_forgotten() -> None:
    breaker = after(BreakerLimits(failures=2, error_rate=0.5, batches=4), "xx")
    breaker.probe()
    breaker.judge(ATTEMPT, Accepted(), 140.0, probe=True)
    breaker.judge(ATTEMPT, RAISES, 141.0)
    assert breaker.state == "closed"


def test_a_probe_that_came_to_nothing_leaves_room_for_another() -> None:
    breaker = after(BreakerLimits(failures=1, probe_interval=30), "x")
    breaker.probe()
    breaker.abandon()
    assert (breaker.state, breaker.patience(131.0)) == ("open", 0.0)


@given(st.integers(1, 6), st.text("xo", max_size=40))
def test_it_is_open_exactly_from_the_first_row_of_failures_on(most: int, course: str) -> None:
    assert (after(BreakerLimits(failures=most), course).state == "open") == ("x" * most in course)
