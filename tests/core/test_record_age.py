"""MaximumRecordAgeInSeconds: before every attempt, the expired prefix only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, THROTTLED, attempt, attempts, ids, parts, play, policies, record, records

from poller.core.model import NOTHING, Accepted, Attempt, Outcome, Record
from poller.core.policy import StreamPolicy

rule = pytest.mark.rule

MINUTE = StreamPolicy(max_age=60)


def arrived(*times: float) -> tuple[Record, ...]:
    return tuple(record(number, arrived_at=at) for number, at in enumerate(times, start=1))


@rule("stream.age.off")
def test_without_a_maximum_age_nothing_ever_expires() -> None:
    of = attempt(1, 2)
    alive, decision = StreamPolicy().expire(of, 10.0**10)
    assert alive is of
    assert decision is NOTHING


@rule("stream.age.from-arrival")
@pytest.mark.parametrize(
    ("now", "expired"), [(1000.0, False), (1059.999, False), (1060.0, True), (1060.001, True), (900.0, False)]
)
def test_a_record_expires_a_full_maximum_age_after_its_arrival(now: float, *, expired: bool) -> None:
    of = Attempt(records=arrived(1000))
    alive, decision = MINUTE.expire(of, now)
    assert (alive is None) is expired
    assert bool(decision.discard) is expired


@rule("stream.age.before-every-attempt")
@rule("stream.discard.invoke-count-of-expired")
def test_a_record_that_is_too_old_at_first_is_given_up_unseen_and_counts_one_invocation() -> None:
    seen = play(MINUTE, arrived(0), lambda _: RAISED, now=60.0)
    assert seen.deliveries == []
    (discard,) = seen.discards
    assert (discard.reason, discard.invoke_count, discard.outcome) == ("RecordAgeExceeded", 1, None)


@rule("stream.age.before-every-attempt")
@rule("stream.age.expired-prefix-only")
def test_of_one_expired_and_five_fresh_records_the_function_gets_the_five() -> None:
    seen = play(MINUTE, arrived(0, 50, 50, 50, 50, 50), lambda _: Accepted(), now=80.0)
    assert seen.deliveries == [["2", "3", "4", "5", "6"]]
    assert [(ids(one.records), one.invoke_count) for one in seen.discards] == [(["1"], 1)]
    assert seen.settled == ["1", "2", "3", "4", "5", "6"]


@rule("stream.age.before-every-attempt")
@rule("stream.discard.invoke-count-of-expired")
@rule("stream.retry.no-limit")
def test_a_minute_of_endless_retries_ends_in_a_document_that_counts_eight_invocations() -> None:
    """The eighth falls due 63.5 seconds after the first, too late, and is counted all the same: AWS's documents say 8 here."""
    seen = play(MINUTE, arrived(1000), lambda _: RAISED, now=1000.0)
    assert [each.at - 1000 for each in seen.invoked] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    (discard,) = seen.discards
    assert (discard.reason, discard.invoke_count, discard.outcome) == ("RecordAgeExceeded", 8, None)
    assert seen.now == 1063.5


@rule("stream.age.before-every-attempt")
def test_a_record_can_expire_while_it_is_refused() -> None:
    seen = play(MINUTE, arrived(1000), lambda _: THROTTLED, now=1000.0)
    (discard,) = seen.discards
    assert (discard.reason, discard.invoke_count) == ("RecordAgeExceeded", 1)


@rule("stream.age.expired-prefix-only")
def test_an_old_record_behind_a_young_one_does_not_expire() -> None:
    of = Attempt(records=arrived(100, 0, 0))
    alive, decision = MINUTE.expire(of, 120.0)
    assert alive is of
    assert decision is NOTHING


@rule("stream.age.expired-prefix-only")
def test_an_old_record_in_the_middle_stays_with_the_young_ones_around_it() -> None:
    alive, decision = MINUTE.expire(Attempt(records=arrived(0, 10, 100, 5, 100)), 120.0)
    assert alive is not None
    assert ids(alive.records) == ["3", "4", "5"]
    assert [ids(one.records) for one in decision.discard] == [["1", "2"]]


@rule("stream.retry.request-id")
@rule("stream.age.rest-keeps-its-failures")
def test_the_rest_after_expiry_gets_a_new_request_id_and_keeps_its_failures() -> None:
    of = Attempt(records=arrived(0, 100), retries=2, refusals=1, request_id="r")
    alive, decision = MINUTE.expire(of, 120.0)
    assert alive == Attempt(records=of.records[1:], retries=2, refusals=1, request_id=None)
    (discard,) = decision.discard
    assert (discard.attempt, discard.invoke_count) == (of, 3)


@rule("stream.age.before-every-attempt")
def test_records_of_one_batch_expire_one_by_one_while_it_fails() -> None:
    answers: list[Outcome] = [RAISED] * 20
    seen = play(StreamPolicy(max_age=2), arrived(0, 1, 3), lambda _: answers.pop(0), now=0.0)
    assert seen.deliveries == [["1", "2", "3"], ["1", "2", "3"], ["1", "2", "3"], ["3"]]
    assert [(each.at, each.request_id) for each in seen.invoked] == [(0.0, "r1"), (0.5, "r1"), (1.5, "r1"), (3.5, "r2")]
    assert [(ids(one.records), one.reason, one.invoke_count) for one in seen.discards] == [
        (["1", "2"], "RecordAgeExceeded", 4),
        (["3"], "RecordAgeExceeded", 5),
    ]


@given(attempts(), policies(), st.integers(0, 800))
def test_expiry_loses_nothing_and_takes_the_longest_prefix_that_is_too_old(of: Attempt, policy: StreamPolicy, now: int) -> None:
    alive, decision = policy.expire(of, now)
    left = alive.records if alive is not None else ()
    gone = parts(decision)
    assert gone + list(left) == list(of.records)
    assert decision == replace(NOTHING, discard=decision.discard)
    if policy.max_age is not None:
        assert all(now - each.arrived_at >= policy.max_age for each in gone)
        assert not left or now - left[0].arrived_at < policy.max_age
    if not gone:
        assert alive is of


def test_an_attempt_is_never_left_without_records() -> None:
    alive, decision = MINUTE.expire(Attempt(records=records(1, 2, arrived_at=0.0)), 60.0)
    assert alive is None
    assert len(decision.discard) == 1
