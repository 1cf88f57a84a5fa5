"""Retry budgets of streams: what spends a retry, what gets a fresh budget, how long it waits, which request id it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, THROTTLED, attempt, ids, play, policies, records, refusals, reported

from poller.core.model import Accepted, Attempt, Decision, Failed, FailureKind, Outcome, Refused
from poller.core.policy import StreamPolicy, backoff

if TYPE_CHECKING:
    from collections.abc import Callable

rule = pytest.mark.rule

FAILURE_KINDS: tuple[FailureKind, ...] = ("function_error", "timeout", "crash", "oom", "invoke_error", "batch_item")


def always(outcome: Outcome) -> Callable[[Attempt], Outcome]:
    return lambda _: outcome


def reports_the_last(*numbers: int) -> Callable[[Attempt], Outcome]:
    """A function that succeeds, but for these records, which it reports."""

    def function(of: Attempt) -> Outcome:
        bad = [number for number in numbers if str(number) in ids(of.records)]
        return reported(*bad) if bad else Accepted()

    return function


def test_an_accepted_batch_is_settled() -> None:
    of = attempt(1, 2, 3, retries=2)
    assert StreamPolicy().judge(of, Accepted()) == Decision(settle=of.records)


@rule("stream.retry.limit")
@rule("stream.discard.invoke-count")
@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_a_batch_that_always_fails_is_invoked_once_and_then_once_for_each_retry(retries: int) -> None:
    seen = play(StreamPolicy(max_retries=retries), records(1, 2), always(RAISED))
    assert seen.deliveries == [["1", "2"]] * (retries + 1)
    (discard,) = seen.discards
    assert discard.reason == "RetryAttemptsExhausted"
    assert discard.invoke_count == retries + 1
    assert ids(discard.records) == ["1", "2"]
    assert discard.outcome == RAISED
    assert discard.attempt.records == discard.records


@rule("stream.retry.limit")
def test_with_one_retry_and_a_function_that_always_raises_there_are_two_invocations() -> None:
    seen = play(StreamPolicy(max_retries=1), records(1), always(RAISED))
    assert seen.deliveries == [["1"], ["1"]]
    assert [discard.invoke_count for discard in seen.discards] == [2]


@rule("stream.retry.limit")
def test_a_success_at_the_last_retry_gives_nothing_up() -> None:
    answers = iter((RAISED, RAISED, Accepted()))
    seen = play(StreamPolicy(max_retries=2), records(1, 2), lambda _: next(answers))
    assert seen.discards == []
    assert seen.settled == ["1", "2"]


@rule("stream.retry.no-limit")
@pytest.mark.parametrize("retries", [0, 1, 1_000, 10**6])
def test_without_a_limit_a_failed_batch_is_always_tried_again(retries: int) -> None:
    of = attempt(1, 2, retries=retries)
    decision = StreamPolicy().judge(of, RAISED)
    assert decision.discard == ()
    assert [again.records for again in decision.again] == [of.records]


@rule("stream.retry.failures-spend")
@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_each_kind_of_failure_spends_a_retry(kind: FailureKind) -> None:
    (again,) = StreamPolicy(max_retries=3).judge(attempt(1, 2, retries=1, refusals=4), Failed(kind)).again
    assert again == attempt(1, 2, retries=2)


@rule("stream.retry.too-large-spends")
@rule("stream.batch.oversized-record")
def test_a_record_that_is_too_large_is_refused_until_its_retries_are_spent_and_the_next_goes_on() -> None:
    too_large = Failed("invoke_error", "too large")
    policy = StreamPolicy(max_retries=2)
    seen = play(policy, records(1), always(too_large))
    assert seen.deliveries == [["1"]] * 3
    (discard,) = seen.discards
    assert (discard.reason, discard.invoke_count, discard.outcome) == ("RetryAttemptsExhausted", 3, too_large)
    assert play(policy, records(2), always(Accepted())).settled == ["2"]


@rule("stream.retry.throttle-is-free")
@given(st.integers(0, 5), st.integers(0, 9), refusals(), policies())
def test_a_refusal_spends_no_retry_and_changes_nothing_else(
    retries: int, before: int, refused: Refused, policy: StreamPolicy
) -> None:
    of = attempt(1, 2, 3, retries=retries, refusals=before, request_id="r")
    decision = policy.judge(of, refused)
    assert decision.again == (attempt(1, 2, 3, retries=retries, refusals=before + 1, request_id="r"),)
    assert decision == Decision(again=decision.again, wait=decision.wait)


@rule("stream.retry.throttle-is-free")
def test_refusals_between_failures_leave_the_budget_as_it_is() -> None:
    answers: list[Outcome] = [THROTTLED, RAISED, THROTTLED, THROTTLED, RAISED, THROTTLED, RAISED]
    seen = play(StreamPolicy(max_retries=2), records(1), lambda _: answers.pop(0))
    assert len(seen.invoked) == 7
    assert [discard.invoke_count for discard in seen.discards] == [3]


@rule("stream.retry.fresh-budget-after-partial")
@rule("stream.partial.lowest-wins")
@rule("stream.discard.invoke-count")
def test_the_last_of_six_records_always_reported_is_delivered_five_times() -> None:
    policy = StreamPolicy(max_retries=3)
    function = reports_the_last(6)
    first, second = play(policy, records(1, 2, 3), function), play(policy, records(4, 5, 6), function)
    assert first.deliveries == [["1", "2", "3"]]
    assert second.deliveries == [["4", "5", "6"], ["6"], ["6"], ["6"], ["6"]]
    (discard,) = second.discards
    assert (ids(discard.records), discard.invoke_count, discard.outcome) == (["6"], 4, reported(6))


@rule("stream.retry.fresh-budget-after-partial")
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_what_a_partial_answer_leaves_over_has_all_its_retries(retries: int) -> None:
    of = attempt(1, 2, 3, 4, retries=retries, refusals=2, request_id="r")
    decision = StreamPolicy(max_retries=3).judge(of, reported(3))
    assert decision.settle == records(1, 2)
    assert decision.again == (attempt(3, 4),)
    assert decision.wait == backoff(0)


@rule("stream.partial.lowest-wins")
def test_the_first_reported_record_of_the_batch_counts_and_successes_behind_it_are_repeated() -> None:
    decision = StreamPolicy(max_retries=3).judge(attempt(8, 9, 10, 11), reported(11, 9))
    assert ids(decision.settle) == ["8"]
    assert [ids(again.records) for again in decision.again] == [["9", "10", "11"]]


@rule("stream.partial.lowest-wins")
def test_sequence_numbers_are_ordered_as_numbers_not_as_text() -> None:
    decision = StreamPolicy().judge(attempt(9, 10, 100), reported(100, 10))
    assert ids(decision.settle) == ["9"]


@rule("stream.partial.whole-batch-spends")
def test_a_valid_answer_that_reports_the_first_record_spends_a_retry() -> None:
    policy = StreamPolicy(max_retries=2)
    assert policy.judge(attempt(1, 2, retries=1, request_id="r"), reported(1)).again == (
        attempt(1, 2, retries=2, request_id="r"),
    )
    (discard,) = policy.judge(attempt(1, 2, retries=2), reported(1, 2)).discard
    assert (discard.invoke_count, discard.outcome) == (3, reported(1, 2))


@rule("stream.retry.request-id")
def test_an_unchanged_retry_keeps_its_request_id() -> None:
    answers: list[Outcome] = [RAISED, THROTTLED, reported(1), RAISED]
    seen = play(StreamPolicy(max_retries=2), records(1, 2), lambda _: answers.pop(0))
    assert [each.request_id for each in seen.invoked] == ["r1"] * 4
    assert seen.discards[0].attempt.request_id == "r1"


@rule("stream.retry.request-id")
def test_what_a_partial_answer_leaves_over_gets_a_new_request_id() -> None:
    seen = play(StreamPolicy(max_retries=1), records(1, 2, 3), reports_the_last(3))
    assert [each.request_id for each in seen.invoked] == ["r1", "r2", "r2"]


@rule("stream.retry.spacing")
def test_the_wait_before_a_retry_doubles_from_half_a_second_to_a_minute() -> None:
    assert [backoff(failures) for failures in range(9)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert backoff(10**9) == 60.0


@rule("stream.retry.spacing")
def test_a_batch_that_fails_for_ever_is_invoked_at_doubling_distances() -> None:
    answers: list[Outcome] = [*[RAISED] * 8, Accepted()]
    seen = play(StreamPolicy(), records(1), lambda _: answers.pop(0), now=1000.0)
    assert [each.at - 1000 for each in seen.invoked] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 123.5]


@rule("stream.retry.spacing")
def test_refusals_wait_ever_longer_too_and_a_failure_between_starts_them_anew() -> None:
    policy = StreamPolicy()
    assert [policy.judge(attempt(1, refusals=n, retries=5), THROTTLED).wait for n in range(3)] == [0.5, 1.0, 2.0]
    (again,) = policy.judge(attempt(1, refusals=7, retries=1), RAISED).again
    assert (again.retries, again.refusals) == (2, 0)


@pytest.mark.parametrize("asked", [0.1, 7.0, 900.0])
def test_a_wait_that_the_other_side_asks_for_is_taken_as_it_is(asked: float) -> None:
    assert StreamPolicy().judge(attempt(1, refusals=5), Refused("throttled", asked)).wait == asked


def test_being_asked_to_come_back_at_once_is_no_reason_for_a_hot_loop() -> None:
    assert StreamPolicy().judge(attempt(1, refusals=2), Refused("throttled", 0.0)).wait == 2.0
