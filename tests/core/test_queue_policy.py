"""What becomes of messages of a queue: the tables of outcomes and of partial answers, back-off, and when one is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from support.build import RAISED, THROTTLED, ids
from support.queueing import message, messages

from poller.core.model import Accepted, Attempt, Decision, Errored, Partial, Refused, Release, Returned, TooLarge, without
from poller.core.queue_policy import FifoPolicy, QueuePolicy, ReleaseMode
from poller.core.response import read

if TYPE_CHECKING:
    from poller.core.model import Answer, Record
    from poller.core.policy import Policy

rule = pytest.mark.rule

STANDARD = QueuePolicy()
BOTH = pytest.mark.parametrize("policy", [STANDARD, FifoPolicy(), FifoPolicy(guard=False)], ids=["standard", "fifo", "unguarded"])
EVERYTHING = ["m1", "m2", "m3"]


def decide(policy: Policy, answer: Answer, *, partial_answers: bool = True) -> Decision:
    """What becomes of three messages in groups of their own."""
    of = Attempt(records=(message(1, "a"), message(2, "b"), message(3, "c")))
    return policy.judge(of, read(answer, of, report_batch_item_failures=partial_answers))


def kept(decision: Decision) -> list[str]:
    """The ids of what stays in the queue. All else is deleted."""
    back = sorted(one.id for release in decision.release for one in release.records)
    assert sorted(ids(decision.settle)) == [name for name in EVERYTHING if name not in back]
    assert (decision.discard, decision.again, decision.wait) == ((), (), 0.0)
    return back


def reporting(*entries: object) -> bytes:
    return orjson.dumps({"batchItemFailures": entries})


def named(*names: object) -> bytes:
    return reporting(*({"itemIdentifier": name} for name in names))


# ------------------------------------------------------------------------------------------------------- the table of outcomes


@rule("queue.outcome.success")
@BOTH
def test_what_succeeds_is_deleted(policy: Policy) -> None:
    assert kept(decide(policy, Returned(b"null"), partial_answers=False)) == []


FAILURES: dict[str, Answer] = {
    "raised": Errored("function_error", b"{}"),
    "timed out": Errored("timeout", b"{}"),
    "crashed": Errored("crash", b"{}"),
    "too large": TooLarge(7_000_000),
}


@rule("queue.outcome.failure")
@rule("queue.outcome.no-retry-as-a-batch")
@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("partial_answers", [True, False])
@BOTH
def test_of_what_fails_nothing_is_deleted_and_each_message_goes_back(
    policy: Policy, answer: Answer, *, partial_answers: bool
) -> None:
    assert kept(decide(policy, answer, partial_answers=partial_answers)) == EVERYTHING


@rule("queue.outcome.refused")
@pytest.mark.parametrize("refused", [THROTTLED, Refused("unavailable"), Refused("throttled", 7)], ids=str)
@BOTH
def test_what_nobody_runs_is_tried_again_as_the_same_batch_and_spends_nothing(policy: Policy, refused: Refused) -> None:
    of = Attempt(records=messages(1, 2, receives=9), refusals=2, request_id="r")
    again = Attempt(records=of.records, refusals=3, request_id="r")
    assert policy.judge(of, refused) == Decision(again=(again,), wait=refused.retry_after or 2.0)


@rule("queue.outcome.refused")
def test_a_batch_that_is_refused_is_never_given_up() -> None:
    of = Attempt(records=messages(1, receives=3), refusals=10**6)
    (again,) = QueuePolicy(max_receives=3).judge(of, THROTTLED).again
    assert again.records == of.records


# --------------------------------------------------------------------------------------------------- the table of partial answers

PARTIAL = [
    pytest.param(b"null", [], marks=rule("queue.partial.success-answers"), id="null"),
    pytest.param(b"{}", [], marks=rule("queue.partial.success-answers"), id="{}"),
    pytest.param(b'""', [], marks=rule("queue.partial.success-answers"), id="empty string"),
    pytest.param(reporting(), [], marks=rule("queue.partial.success-answers"), id="no failures"),
    pytest.param(b'{"batchItemFailures":null}', [], marks=rule("queue.partial.success-answers"), id="null failures"),
    pytest.param(named("m2"), ["m2"], marks=rule("queue.partial.valid-identifiers"), id="one"),
    pytest.param(named("m3", "m1", "m3"), ["m1", "m3"], marks=rule("queue.partial.valid-identifiers"), id="two, one twice"),
    pytest.param(named("m1", "m2", "m3"), EVERYTHING, marks=rule("queue.partial.valid-identifiers"), id="all"),
    pytest.param(b"ok", EVERYTHING, marks=rule("queue.partial.not-json"), id="no JSON"),
    pytest.param(named(""), EVERYTHING, marks=rule("queue.partial.bad-identifier"), id="empty identifier"),
    pytest.param(named(None), EVERYTHING, marks=rule("queue.partial.bad-identifier"), id="null identifier"),
    pytest.param(reporting({"foo": "m1"}), EVERYTHING, marks=rule("queue.partial.wrong-key"), id="wrong key"),
    pytest.param(named("m1", "m9"), EVERYTHING, marks=rule("queue.partial.unknown-identifier"), id="unknown identifier"),
    pytest.param(named(1), EVERYTHING, marks=rule("queue.partial.numeric-identifier"), id="a number"),
    pytest.param(b'{"batchItemFailures":"m1"}', EVERYTHING, marks=rule("queue.partial.not-a-list"), id="no list"),
    pytest.param(reporting({}), EVERYTHING, marks=rule("queue.partial.empty-entry"), id="an entry without a key"),
]


@pytest.mark.parametrize(("payload", "back"), PARTIAL)
@BOTH
def test_what_a_partial_answer_reports_stays_in_the_queue(policy: Policy, payload: bytes, back: list[str]) -> None:
    assert kept(decide(policy, Returned(payload))) == back


@rule("queue.partial.exception")
@BOTH
def test_an_exception_is_complete_failure_whatever_is_in_it(policy: Policy) -> None:
    assert kept(decide(policy, Errored("function_error", named("m1")))) == EVERYTHING


@rule("queue.partial.off")
@pytest.mark.parametrize("payload", [named("m1"), b"no JSON", reporting({})])
@BOTH
def test_unless_partial_answers_are_on_what_is_returned_does_not_count(policy: Policy, payload: bytes) -> None:
    assert kept(decide(policy, Returned(payload), partial_answers=False)) == []


def test_of_a_message_that_is_in_the_batch_twice_both_copies_stay() -> None:
    """A standard queue may deliver a message again while it is in hand."""
    first = message(1)
    second = first._replace(receipt="r1 again", receives=2)
    decision = STANDARD.judge(Attempt(records=(first, message(2), second)), Partial(frozenset({"m1"})))
    assert decision.settle == (message(2),)
    assert decision.release == (Release(records=(first,), delay=1.0), Release(records=(second,), delay=2.0))


# ------------------------------------------------------------------------------------------------- when it may be received again


@rule("queue.release.backoff")
def test_a_failed_message_waits_twice_as_long_with_each_receive_and_a_minute_at_the_most() -> None:
    waits = [STANDARD.delay(message(1, receives=receives)) for receives in (1, 2, 3, 4, 5, 6, 7, 8, 10**9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@rule("queue.release.at-once")
@rule("queue.release.lapse")
@pytest.mark.parametrize(("mode", "delay"), [("at_once", 0.0), ("lapse", None)])
@pytest.mark.parametrize("receives", [1, 7])
def test_a_failed_message_may_come_back_at_once_or_when_its_time_out_ends(
    mode: ReleaseMode, delay: float | None, receives: int
) -> None:
    of = Attempt(records=messages(1, 2, receives=receives))
    decision = QueuePolicy(release=mode).judge(of, RAISED)
    assert decision == Decision(release=(Release(records=of.records, delay=delay),))


@rule("queue.release.backoff")
def test_messages_that_wait_equally_long_go_back_together() -> None:
    one, two, three, four = (message(1, receives=1), message(2, receives=2), message(3, receives=1), message(4, receives=2))
    decision = STANDARD.judge(Attempt(records=(one, two, three, four)), RAISED)
    assert decision.release == (Release(records=(one, three), delay=1.0), Release(records=(two, four), delay=2.0))


# ------------------------------------------------------------------------------------------------------------ when it is given up


def given_up(decision: Decision) -> list[tuple[list[str], int]]:
    """What is given up, and after how many deliveries."""
    assert all(discard.reason == "RetryAttemptsExhausted" for discard in decision.discard)
    return [(ids(discard.records), discard.invoke_count) for discard in decision.discard]


@rule("queue.redrive.own-limit")
@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("guard", [None, True, False], ids=["standard", "fifo", "unguarded"])
def test_a_message_that_always_fails_is_given_up_at_its_last_delivery_and_not_before(limit: int, *, guard: bool | None) -> None:
    each = QueuePolicy(max_receives=limit)
    policy: Policy = each if guard is None else FifoPolicy(each=each, guard=guard)
    for receives in range(1, limit):
        decision = policy.judge(Attempt(records=messages(1, receives=receives)), RAISED)
        assert (given_up(decision), len(decision.release)) == ([], 1)
    for receives in (limit, limit + 1):
        of = Attempt(records=messages(1, receives=receives))
        decision = policy.judge(of, RAISED)
        assert (given_up(decision), decision.release) == ([(["m1"], receives)], ())
        assert decision.discard[0].outcome is RAISED
        assert decision.discard[0].attempt is of


@rule("queue.redrive.own-limit")
def test_what_was_delivered_too_often_without_a_verdict_is_given_up_before_it_is_invoked() -> None:
    of = Attempt(records=(message(1, receives=4), message(2, receives=3), message(3, receives=9)), refusals=1, request_id="r")
    alive, decision = QueuePolicy(max_receives=3).expire(of, 0.0)
    assert alive == Attempt(records=(message(2, receives=3),), refusals=1)
    assert given_up(decision) == [(["m1"], 3), (["m3"], 8)]
    assert all(discard.outcome is None and discard.attempt is of for discard in decision.discard)
    assert decision == Decision(discard=decision.discard)


@rule("queue.redrive.own-limit")
def test_where_all_were_delivered_too_often_there_is_nothing_to_invoke() -> None:
    alive, decision = FifoPolicy(each=QueuePolicy(max_receives=1)).expire(Attempt(records=messages(1, 2, receives=2)), 0.0)
    assert alive is None
    assert given_up(decision) == [(["m1"], 1), (["m2"], 1)]


@rule("queue.redrive.queue-policy")
@pytest.mark.parametrize("policy", [STANDARD, FifoPolicy()], ids=["standard", "fifo"])
def test_without_a_limit_of_ours_nothing_is_ever_given_up(policy: Policy) -> None:
    of = Attempt(records=messages(1, receives=10**6), request_id="r")
    assert policy.expire(of, 10**9) == (of, Decision())
    assert policy.judge(of, RAISED).discard == ()


def test_each_message_is_given_up_by_itself() -> None:
    """A destination that takes one and not the next never gets the first one twice."""
    decision = QueuePolicy(max_receives=1).judge(Attempt(records=messages(1, 2, 3)), Partial(frozenset({"m1", "m3"})))
    assert given_up(decision) == [(["m1"], 1), (["m3"], 1)]
    assert ids(decision.settle) == ["m2"]


# -------------------------------------------------------------------------------------------------------------- what is left over


def left(of: Attempt, *gone: Record) -> Attempt | None:
    return without(of, gone)


def test_what_is_left_of_an_attempt_is_another_attempt_and_keeps_its_order() -> None:
    of = Attempt(records=messages(1, 2, 3, 4), retries=2, refusals=3, request_id="r")
    assert left(of, message(4), message(2)) == Attempt(records=messages(1, 3), retries=2, refusals=3)
    assert left(of, *of.records) is None


def test_of_two_copies_of_a_message_only_the_one_that_is_meant_goes() -> None:
    copy = message(1)._replace(receipt="r1 again")
    of = Attempt(records=(message(1), copy))
    assert left(of, message(1)) == Attempt(records=(copy,))
    assert left(of, copy) == Attempt(records=(message(1),))


def test_accepted_wins_over_a_spent_receive_count() -> None:
    of = Attempt(records=messages(1, 2, receives=3))
    assert QueuePolicy(max_receives=3).judge(of, Accepted()) == Decision(settle=of.records)
