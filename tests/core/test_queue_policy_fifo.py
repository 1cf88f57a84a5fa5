"""Messages of a FIFO queue: in every group, what comes after a message that goes back goes back with it."""

from __future__ import annotations

import pytest
from support.build import RAISED, ids
from support.queueing import message

from poller.core.model import Accepted, Attempt, Decision, Partial, Release
from poller.core.queue_policy import FifoPolicy, QueuePolicy

rule = pytest.mark.rule

GUARDED = FifoPolicy()
UNGUARDED = FifoPolicy(guard=False)


def batch(groups: str, **receives: int) -> Attempt:
    """Messages m1, m2, ... of these groups; some were received more often than once."""
    return Attempt(records=tuple(message(n, group, receives=receives.get(f"m{n}", 1)) for n, group in enumerate(groups, start=1)))


def reported(*numbers: int) -> Partial:
    return Partial(frozenset(f"m{number}" for number in numbers))


def settled(decision: Decision) -> list[str]:
    return ids(decision.settle)


def back(decision: Decision) -> list[list[str]]:
    return [ids(release.records) for release in decision.release]


GUARD_TABLE: dict[str, tuple[str, tuple[int, ...], list[str], list[list[str]]]] = {
    "the last of its group": ("aaa", (3,), ["m1", "m2"], [["m3"]]),
    "the first of its group": ("aaa", (1,), [], [["m1", "m2", "m3"]]),
    "one in the middle": ("aaa", (2,), ["m1"], [["m2", "m3"]]),
    "a later one is reported too": ("aaaa", (2, 4), ["m1"], [["m2", "m3", "m4"]]),
    "other groups go on": ("abab", (1,), ["m2", "m4"], [["m1", "m3"]]),
    "each group by itself": ("abcabc", (4, 2), ["m1", "m3", "m6"], [["m2", "m5"], ["m4"]]),
    "handlers that report the rest themselves": ("aba", (1, 3), ["m2"], [["m1", "m3"]]),
}


@rule("queue.fifo.guard")
@rule("queue.fifo.several-groups")
@pytest.mark.parametrize(("groups", "failed", "done", "again"), GUARD_TABLE.values(), ids=GUARD_TABLE)
def test_from_the_first_message_that_goes_back_on_its_whole_group_goes_back(
    groups: str, failed: tuple[int, ...], done: list[str], again: list[list[str]]
) -> None:
    decision = GUARDED.judge(batch(groups), reported(*failed))
    assert (settled(decision), back(decision)) == (done, again)
    assert decision == Decision(settle=decision.settle, release=decision.release)


@rule("queue.fifo.without-guard")
def test_without_the_guard_later_messages_that_are_not_reported_are_deleted_and_the_order_is_lost() -> None:
    decision = UNGUARDED.judge(batch("abaaa"), reported(1, 4))
    assert settled(decision) == ["m2", "m3", "m5"]
    assert back(decision) == [["m1", "m4"]]


@rule("queue.outcome.failure")
@pytest.mark.parametrize("policy", [GUARDED, UNGUARDED], ids=["guarded", "unguarded"])
def test_where_all_has_failed_all_goes_back_group_by_group_in_its_order(policy: FifoPolicy) -> None:
    decision = policy.judge(batch("abab"), RAISED)
    assert (settled(decision), back(decision)) == ([], [["m1", "m3"], ["m2", "m4"]])


@rule("queue.fifo.guard")
def test_a_group_waits_as_its_first_message_has_to() -> None:
    decision = GUARDED.judge(batch("aabb", m1=3, m2=6, m3=7), RAISED)
    assert [release.delay for release in decision.release] == [4.0, 60.0]
    lapsing = FifoPolicy(each=QueuePolicy(release="lapse")).judge(batch("aa"), RAISED)
    assert lapsing.release == (Release(records=batch("aa").records, delay=None),)


@rule("queue.redrive.own-limit")
@rule("queue.fifo.guard")
def test_behind_a_message_that_is_given_up_its_group_goes_back_as_the_function_may_have_stopped_there() -> None:
    policy = FifoPolicy(each=QueuePolicy(max_receives=3))
    for outcome in (reported(1), reported(1, 2), reported(1, 2, 3)):
        decision = policy.judge(batch("aaab", m1=3, m2=3), outcome)
        assert [ids(one.records) for one in decision.discard] == [["m1"]]
        assert (settled(decision), back(decision)) == (["m4"], [["m2", "m3"]])


def test_without_the_guard_what_is_not_reported_behind_a_message_that_is_given_up_is_deleted() -> None:
    policy = FifoPolicy(each=QueuePolicy(max_receives=3), guard=False)
    decision = policy.judge(batch("aaa", m1=3), reported(1))
    assert ([ids(one.records) for one in decision.discard], settled(decision), back(decision)) == ([["m1"]], ["m2", "m3"], [])


@rule("queue.fifo.guard")
def test_behind_a_message_that_goes_back_none_is_given_up() -> None:
    decision = FifoPolicy(each=QueuePolicy(max_receives=3)).judge(batch("aaba", m2=3, m3=3, m4=7), reported(1, 2, 3, 4))
    assert [ids(one.records) for one in decision.discard] == [["m3"]]
    assert back(decision) == [["m1", "m2", "m4"]]


def test_what_is_accepted_is_deleted_whatever_its_groups() -> None:
    of = batch("abca")
    assert GUARDED.judge(of, Accepted()) == Decision(settle=of.records)


def test_what_was_delivered_too_often_is_given_up_by_the_same_rule_as_in_a_standard_queue() -> None:
    each = QueuePolicy(max_receives=2)
    of = batch("aab", m1=3)
    assert FifoPolicy(each=each).expire(of, 0.0) == each.expire(of, 0.0)
