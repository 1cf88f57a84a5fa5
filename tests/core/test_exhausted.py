"""What an operator may change of retries: their spacing, errors that are not worth one, and what comes when they are spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, THROTTLED, attempt, ids, play, records, refusals, reported

from poller.core.model import Accepted, Attempt, Failed, FailureKind, Refused
from poller.core.policy import Backoff, StreamPolicy, backoff, matches
from poller.core.splits import divides

if TYPE_CHECKING:
    from poller.core.model import Outcome

rule = pytest.mark.rule

HOPELESS = Failed("function_error", "ValidationError: no", "ValidationError")
PICKY = StreamPolicy(max_retries=5, non_retryable=("ValidationError",))
BLOCK = StreamPolicy(max_retries=2, on_exhausted="block", max_age=None)

# ---------------------------------------------------------------------------------------------------------------------- back-off


@rule("stream.retry.spacing-configured")
def test_the_waits_are_those_that_the_mapping_asks_for() -> None:
    slow = Backoff(initial=3, factor=3, maximum=50)
    assert [slow.wait(failures) for failures in range(5)] == [3, 9, 27, 50, 50]
    policy = StreamPolicy(backoff=slow)
    assert [policy.judge(attempt(1, retries=retries), RAISED).wait for retries in range(4)] == [3, 9, 27, 50]
    assert policy.judge(attempt(1, 2), reported(2)).wait == 3


def test_a_factor_of_one_always_waits_the_same_however_often() -> None:
    assert {Backoff(initial=5, factor=1).wait(failures) for failures in (0, 1, 10, 10**9)} == {5}


@given(st.floats(0.01, 3600), st.floats(1, 10), st.floats(0.01, 3600), st.integers(0, 10**9))
def test_a_wait_is_never_above_the_longest(initial: float, factor: float, maximum: float, failures: int) -> None:
    assert 0 < Backoff(initial=initial, factor=factor, maximum=maximum).wait(failures) <= maximum


@rule("stream.retry.refusals-have-their-own-waits")
@given(refusals())
def test_who_would_not_run_the_function_is_asked_again_as_ever(refused: Refused) -> None:
    policy = StreamPolicy(backoff=Backoff(initial=600, maximum=3600))
    assert policy.judge(attempt(1, refusals=3), refused).wait == (refused.retry_after or backoff(3))


# ------------------------------------------------------------------------------------------------------------ not worth a retry


@rule("stream.retry.non-retryable")
@rule("stream.discard.invoke-count")
@pytest.mark.parametrize("retries", [0, 2])
def test_an_error_that_is_not_worth_a_retry_gives_the_batch_up_at_once(retries: int) -> None:
    of = attempt(1, 2, retries=retries)
    (discard,) = PICKY.judge(of, HOPELESS).discard
    assert (discard.reason, discard.invoke_count, discard.records) == ("RetryAttemptsExhausted", retries + 1, of.records)
    assert discard.outcome is HOPELESS


@rule("stream.retry.non-retryable-splits")
def test_with_bisecting_the_record_is_found_first_and_it_alone_is_given_up_at_once() -> None:
    def function(of: Attempt) -> Outcome:
        return HOPELESS if "3" in ids(of.records) else Accepted()

    policy = StreamPolicy(max_retries=9, bisect=True, non_retryable=("ValidationError",))
    seen = play(policy, records(1, 2, 3, 4), function)
    assert seen.deliveries == [["1", "2", "3", "4"], ["1", "2"], ["3", "4"], ["3"], ["4"]]
    assert [(ids(one.records), one.invoke_count) for one in seen.discards] == [(["3"], 1)]
    assert seen.now == 0


@rule("stream.retry.non-retryable")
@pytest.mark.parametrize(
    "outcome",
    [
        RAISED,
        Failed("function_error", "ValidationError", "validationerror"),
        Failed("function_error", "x", "ValidationErrors"),
        Failed("invoke_error", "the event is too large"),
        Failed("batch_item", "ValidationError"),
        reported(1),
    ],
)
def test_any_other_failure_is_retried(outcome: Outcome) -> None:
    assert PICKY.judge(attempt(1), outcome).again == (attempt(1, retries=1),)


@rule("stream.retry.non-retryable")
def test_a_refusal_is_no_error_of_the_function() -> None:
    assert StreamPolicy(non_retryable=("*",)).judge(attempt(1), THROTTLED).again == (attempt(1, refusals=1),)


@pytest.mark.parametrize("kind", ["timeout", "crash", "oom"])
def test_what_the_runtime_calls_its_own_errors_may_be_named_too(kind: FailureKind) -> None:
    policy = StreamPolicy(non_retryable=("Sandbox.Timedout", "Runtime.*"))
    error_type = "Sandbox.Timedout" if kind == "timeout" else "Runtime.ExitError"
    assert policy.judge(attempt(1), Failed(kind, error_type, error_type)).discard


@pytest.mark.parametrize(
    ("error_type", "pattern", "expected"),
    [
        ("ValueError", "ValueError", True),
        ("ValueError", "Value", False),
        ("ValueError", "Value*", True),
        ("Value", "Value*", True),
        ("com.acme.Bad", "com.acme.*", True),
        ("com.Acme.Bad", "com.acme.*", False),
        ("anything", "*", True),
        ("", "*", False),
    ],
)
def test_a_type_is_meant_as_a_whole_or_by_its_beginning(error_type: str, pattern: str, *, expected: bool) -> None:
    assert matches(error_type, pattern) is expected


# ----------------------------------------------------------------------------------------------------------------------- blocking


@rule("stream.exhausted.blocks")
def test_where_it_blocks_a_batch_without_retries_is_tried_for_ever_at_the_longest_wait() -> None:
    for retries in (2, 3, 10**6):
        decision = BLOCK.judge(attempt(1, 2, retries=retries), RAISED)
        assert decision.discard == ()
        (again,) = decision.again
        assert (again.records, again.retries, again.blocked) == (records(1, 2), retries + 1, True)
        assert decision.wait == 60
    (still_free,) = BLOCK.judge(attempt(1, 2, retries=1), RAISED).again
    assert not still_free.blocked


@rule("stream.exhausted.blocks")
def test_an_error_that_is_not_worth_a_retry_blocks_at_once() -> None:
    policy = StreamPolicy(non_retryable=("ValidationError",), on_exhausted="block", backoff=Backoff(maximum=7))
    decision = policy.judge(attempt(1), HOPELESS)
    assert [again.blocked for again in decision.again] == [True]
    assert decision.wait == 7


@rule("stream.exhausted.blocks-one-record")
def test_with_bisecting_one_record_blocks_and_what_comes_before_it_is_done() -> None:
    answers = iter([True] * 8)

    def function(of: Attempt) -> Outcome:
        return RAISED if "3" in ids(of.records) and next(answers, False) else Accepted()

    policy = StreamPolicy(max_retries=2, bisect=True, on_exhausted="block")
    seen = play(policy, records(1, 2, 3, 4), function)
    whole = [["1", "2", "3", "4"], ["1", "2"], ["3", "4"]]
    assert seen.deliveries == [*whole, *[["3"]] * 7, ["4"]]  # six failures alone: half a second and a second, then four minutes
    assert seen.discards == []
    assert seen.now == 0.5 + 1 + 4 * 60


@rule("stream.exhausted.goes-on-when-mended")
def test_a_blocked_batch_goes_on_when_its_function_accepts_or_reports_a_later_record() -> None:
    of = BLOCK.judge(attempt(1, 2, retries=2), RAISED).again[0]
    assert BLOCK.judge(of, Accepted()).settle == of.records
    decision = BLOCK.judge(of, reported(2))
    assert ids(decision.settle) == ["1"]
    assert decision.again == (attempt(2),)


@rule("stream.exhausted.age-still-counts")
def test_a_record_that_becomes_too_old_is_given_up_though_it_blocks() -> None:
    policy = StreamPolicy(max_retries=1, max_age=60, on_exhausted="block")
    blocked = policy.judge(attempt(1, retries=1), RAISED).again[0]
    alive, decision = policy.expire(blocked, 60.0)
    assert alive is None
    assert [(one.reason, one.invoke_count) for one in decision.discard] == [("RecordAgeExceeded", 3)]


@rule("stream.exhausted.blocks")
def test_a_blocked_batch_that_fails_with_an_error_worth_a_retry_is_blocked_no_longer() -> None:
    policy = StreamPolicy(non_retryable=("ValidationError",), on_exhausted="block")
    blocked = policy.judge(attempt(1), HOPELESS).again[0]
    decision = policy.judge(blocked, RAISED)
    assert decision.again == (attempt(1, retries=2),)
    assert decision.wait == 1
    assert policy.judge(decision.again[0], HOPELESS).again[0].blocked


def test_a_refusal_leaves_a_blocked_batch_blocked() -> None:
    blocked = BLOCK.judge(attempt(1, retries=2), RAISED).again[0]
    assert BLOCK.judge(blocked, THROTTLED).again[0].blocked


@rule("stream.exhausted.survives-restarts")
def test_a_blocked_batch_is_remembered_though_it_is_whole() -> None:
    assert divides(BLOCK.judge(attempt(1, 2, retries=2), RAISED))
    assert not divides(BLOCK.judge(attempt(1, 2), RAISED))
