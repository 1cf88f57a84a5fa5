"""What holds for every decision, whatever the attempt and whatever came of it."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.build import RAISED, attempt, attempts, failures, ids, judged, outcomes, parts, play, policies, refusals

from poller.core.model import Accepted, Attempt, Outcome, Partial, Refused
from poller.core.policy import LONGEST_WAIT, StreamPolicy


@given(judged, policies())
@example((attempt(1, 2, 3, 4), RAISED), StreamPolicy(bisect=True))
def test_a_decision_loses_and_repeats_nothing_and_keeps_the_order(of: tuple[Attempt, Outcome], policy: StreamPolicy) -> None:
    attempt, outcome = of
    assert parts(policy.judge(attempt, outcome)) == list(attempt.records)


@given(judged, policies())
def test_nothing_is_settled_that_the_function_did_not_accept(of: tuple[Attempt, Outcome], policy: StreamPolicy) -> None:
    attempt, outcome = of
    settled = set(ids(policy.judge(attempt, outcome).settle))
    match outcome:
        case Accepted():
            assert settled == set(ids(attempt.records))
        case Partial(failed):
            assert not settled & failed
        case _:
            assert not settled


@given(judged, policies())
def test_a_stream_gives_nothing_back_and_waits_only_for_what_it_tries_again(
    of: tuple[Attempt, Outcome], policy: StreamPolicy
) -> None:
    decision = policy.judge(*of)
    assert decision.release == ()
    assert decision.wait >= 0.0
    if not decision.again:
        assert decision.wait == 0.0
    if not isinstance(of[1], Refused):
        assert decision.wait <= LONGEST_WAIT


@given(judged, policies())
def test_no_attempt_comes_out_empty_and_only_an_unchanged_one_keeps_its_request_id(
    of: tuple[Attempt, Outcome], policy: StreamPolicy
) -> None:
    attempt, outcome = of
    for again in policy.judge(attempt, outcome).again:
        assert again.records
        unchanged = again.records == attempt.records
        assert again.request_id == (attempt.request_id if unchanged else None)
        if not unchanged:
            assert again == Attempt(records=again.records)


@given(judged, policies())
def test_what_is_given_up_carries_its_attempt_its_outcome_and_the_count_of_its_invocations(
    of: tuple[Attempt, Outcome], policy: StreamPolicy
) -> None:
    attempt, outcome = of
    for discard in policy.judge(attempt, outcome).discard:
        assert discard.reason == "RetryAttemptsExhausted"
        assert discard.attempt is attempt
        assert discard.outcome is outcome
        assert discard.records == attempt.records
        assert discard.invoke_count == attempt.retries + 1
        assert policy.max_retries is not None
        assert attempt.retries >= policy.max_retries


@given(attempts(), refusals(), policies())
def test_a_refused_attempt_is_never_given_up(attempt: Attempt, refused: Refused, policy: StreamPolicy) -> None:
    (again,) = policy.judge(attempt, refused).again
    assert (again.records, again.retries) == (attempt.records, attempt.retries)


@settings(max_examples=60)
@given(attempts(most=8), policies(finite=True), st.data())
def test_a_policy_with_a_limit_always_comes_to_an_end(attempt: Attempt, policy: StreamPolicy, data: st.DataObject) -> None:
    """Without refusals: each record fails alone N + 1 times at the most, and each of the n - 1 gaps is split once at the most."""
    assert policy.max_retries is not None
    size = len(attempt.records)
    seen = play(policy, attempt.records, lambda of: data.draw(failures(of)), limit=size * (policy.max_retries + 1) + size - 1)
    assert seen.settled == ids(attempt.records)


@given(attempts(), policies(), st.data())
def test_whatever_the_function_does_the_batch_is_settled_in_order_once_it_recovers(
    attempt: Attempt, policy: StreamPolicy, data: st.DataObject
) -> None:
    bad = iter(range(data.draw(st.integers(0, 15), label="bad answers")))
    seen = play(policy, attempt.records, lambda of: data.draw(outcomes(of)) if next(bad, None) is not None else Accepted())
    assert seen.settled == ids(attempt.records)
