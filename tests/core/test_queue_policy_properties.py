"""What holds for every decision about messages, whatever the attempt and whatever came of it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import RAISED, failures, ids, outcomes, parts, refusals
from support.queueing import fifo_policies, message, message_attempts, queue_policies

from poller.core.model import Accepted, Attempt, Decision, Outcome, Partial
from poller.core.policy import LONGEST_WAIT
from poller.core.queue_policy import FifoPolicy, QueuePolicy

AnyPolicy = QueuePolicy | FifoPolicy

policies: st.SearchStrategy[AnyPolicy] = queue_policies | fifo_policies
judged = message_attempts().flatmap(lambda of: st.tuples(st.just(of), outcomes(of)))
failed = message_attempts().flatmap(lambda of: st.tuples(st.just(of), failures(of)))


def limit_of(policy: AnyPolicy) -> int | None:
    return policy.each.max_receives if isinstance(policy, FifoPolicy) else policy.max_receives


def handed_back(decision: Decision) -> list[str]:
    return [one.id for release in decision.release for one in release.records]


def given_up(decision: Decision) -> list[str]:
    return [one.id for discard in decision.discard for one in discard.records]


@given(judged, policies)
def test_every_message_is_in_exactly_one_part_of_a_decision(of: tuple[Attempt, Outcome], policy: AnyPolicy) -> None:
    attempt, outcome = of
    assert Counter(parts(policy.judge(attempt, outcome))) == Counter(attempt.records)


@given(message_attempts(), policies)
def test_what_is_given_up_before_the_invocation_and_what_is_invoked_are_the_whole_attempt(
    attempt: Attempt, policy: AnyPolicy
) -> None:
    alive, decision = policy.expire(attempt, 0.0)
    rest = alive.records if alive else ()
    assert Counter((*rest, *parts(decision))) == Counter(attempt.records)
    assert [one for one in attempt.records if one in rest] == list(rest)
    if decision == Decision():
        assert alive is attempt  # the same, so that it is invoked
    else:
        assert alive is None or alive.request_id is None
    limit = limit_of(policy)
    assert {one for one in attempt.records if limit is not None and one.receives > limit} == set(parts(decision))


@given(judged, policies)
def test_nothing_that_failed_is_deleted(of: tuple[Attempt, Outcome], policy: AnyPolicy) -> None:
    attempt, outcome = of
    settled = set(ids(policy.judge(attempt, outcome).settle))
    match outcome:
        case Accepted():
            assert settled == set(ids(attempt.records))
        case Partial(bad):
            assert not settled & bad
        case _:
            assert not settled


@given(failed, queue_policies)
def test_in_a_standard_queue_one_message_takes_no_other_with_it(of: tuple[Attempt, Outcome], policy: QueuePolicy) -> None:
    attempt, outcome = of
    bad = outcome.failed if isinstance(outcome, Partial) else set(ids(attempt.records))
    decision = policy.judge(attempt, outcome)
    assert set(handed_back(decision)) | set(given_up(decision)) == bad


@given(failed, fifo_policies.filter(lambda policy: policy.guard))
def test_with_the_guard_nothing_of_a_group_is_done_behind_a_message_that_goes_back(
    of: tuple[Attempt, Outcome], policy: FifoPolicy
) -> None:
    attempt, outcome = of
    decision = policy.judge(attempt, outcome)
    done = {record.id for record in decision.settle}
    bad = outcome.failed if isinstance(outcome, Partial) else set(ids(attempt.records))
    for group in {one.group for one in attempt.records}:
        own = [one.id for one in attempt.records if one.group == group]
        first = next((index for index, name in enumerate(own) if name in bad), len(own))
        assert set(own[:first]) <= done, "before the first failure all is done"
        assert set(own[first + 1 :]) <= set(handed_back(decision)), "behind it all goes back"
    for release in decision.release:
        assert len({one.group for one in release.records}) == 1


@given(failed, fifo_policies)
def test_a_group_goes_back_as_one_in_its_order(of: tuple[Attempt, Outcome], policy: FifoPolicy) -> None:
    attempt, outcome = of
    decision = policy.judge(attempt, outcome)
    groups = [release.records[0].group for release in decision.release]
    assert len(groups) == len(set(groups))
    for release in decision.release:
        assert list(release.records) == [one for one in attempt.records if one in release.records]
        assert release.delay == policy.each.delay(release.records[0])


@given(failed, policies)
def test_a_failure_is_never_tried_again_by_us_and_waits_no_longer_than_a_minute(
    of: tuple[Attempt, Outcome], policy: AnyPolicy
) -> None:
    decision = policy.judge(*of)
    assert (decision.again, decision.wait) == ((), 0.0)
    assert all(release.delay is None or 0 <= release.delay <= LONGEST_WAIT for release in decision.release)


@given(message_attempts(), refusals(), policies)
def test_a_refusal_keeps_the_batch_whole_and_spends_nothing(attempt: Attempt, refused: Outcome, policy: AnyPolicy) -> None:
    decision = policy.judge(attempt, refused)
    (again,) = decision.again
    assert (again.records, again.retries, again.request_id) == (attempt.records, attempt.retries, attempt.request_id)
    assert decision == Decision(again=(again,), wait=decision.wait)
    assert decision.wait > 0


@given(failed, policies)
def test_each_message_is_given_up_by_itself_and_only_at_its_limit(of: tuple[Attempt, Outcome], policy: AnyPolicy) -> None:
    attempt, outcome = of
    for discard in policy.judge(attempt, outcome).discard:
        (one,) = discard.records
        limit = limit_of(policy)
        assert limit is not None
        assert one.receives >= limit
        assert discard.invoke_count == one.receives
        assert (discard.attempt, discard.outcome) == (attempt, outcome)


@settings(max_examples=60)
@given(st.integers(1, 9), st.lists(st.booleans(), max_size=9), st.sampled_from([QueuePolicy, FifoPolicy]))
def test_a_message_that_never_succeeds_is_invoked_as_often_as_its_limit_says_and_no_more(
    limit: int, verdicts: list[bool], kind: type[AnyPolicy]
) -> None:
    """Whether the function answers each time, or whoever had the message died of it."""
    each = QueuePolicy(max_receives=limit)
    policy: AnyPolicy = FifoPolicy(each=each) if kind is FifoPolicy else each
    invoked, receives, gone = 0, 0, False
    answers = iter(verdicts)
    while not gone:
        receives += 1
        of = Attempt(records=(message(1, "a", receives=receives),))
        alive, decision = policy.expire(of, 0.0)
        if alive is not None:
            invoked += 1
            if next(answers, True):
                decision = policy.judge(of, RAISED)
        gone = bool(decision.discard)
    assert invoked == limit
    assert receives in (limit, limit + 1)
