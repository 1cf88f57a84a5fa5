"""What the observer of a queue mapping counts and logs: deletes, the heartbeat, the depth of the queue, its slots, its filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.observing import FUNCTION_ERROR, Bench, classic
from support.queueing import MAILS, message, messages

from poller.core.model import Accepted, Attempt, Decision, Discard, Failed, Partial, Refused, Release, Returned
from poller.errors import SourceGone, Unavailable
from poller.observe.outcomes import record_fields
from poller.observe.sightings import Sightings
from poller.ports import QueueDescription

if TYPE_CHECKING:
    from collections.abc import Iterator

DOWN = Unavailable("DeleteMessageBatch", "connection", "no route")


@dataclass
class Hands:
    """What the slots hold, set by hand."""

    bytes: int = 0


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(MAILS)
    with capture_logs() as log:
        bench.log = log
        yield bench


def count(bench: Bench, name: str, **labels: str) -> float | None:
    return bench.page.value(f"poller_{name}", mapping="mails", **labels)


def test_deletes_are_counted_when_the_queue_has_confirmed_them(bench: Bench) -> None:
    assert count(bench, "events_deleted_total") == 0
    bench.mapping.deleted(7)
    bench.mapping.deleted(3)
    assert count(bench, "events_deleted_total") == 10


def test_a_delete_that_failed_is_counted_by_kind_and_logged_now_and_then(bench: Bench) -> None:
    for _ in range(3):
        bench.mapping.undeleted(DOWN)
    bench.mapping.undeleted(SourceGone("no such queue"))
    assert count(bench, "source_api_errors_total", operation="DeleteMessageBatch", error="connection") == 3
    assert [(line["what"], line["kind"]) for line in bench.lines("failing")] == [
        ("delete", "connection"),
        ("delete", "SourceGone"),
    ]
    assert count(bench, "events_deleted_total") == 0


def test_the_heartbeat_is_counted_in_messages_and_only_its_troubles_are_logged_now_and_then(bench: Bench) -> None:
    for _ in range(3):
        bench.mapping.visibility("ok", 10)
        bench.mapping.visibility("error", 4)
        bench.mapping.visibility("lost", 1)
    counted = {outcome: count(bench, "visibility_extensions_total", outcome=outcome) for outcome in ("ok", "error", "lost")}
    assert counted == {"ok": 30, "error": 12, "lost": 3}
    assert [(line["outcome"], line["messages"], line["log_level"]) for line in bench.lines("visibility")] == [
        ("error", 4, "warning"),
        ("lost", 1, "warning"),
    ]
    bench.clock.now += 31
    bench.mapping.visibility("lost", 2)
    assert bench.lines("visibility")[-1].items() >= {"outcome": "lost", "messages": 2, "suppressed": 2}.items()


def test_what_the_queue_says_of_itself_becomes_gauges_that_are_not_there_before(bench: Bench) -> None:
    assert count(bench, "queue_messages", state="visible") is None
    assert count(bench, "source_retention_seconds") is None
    bench.mapping.queue(QueueDescription(visibility_timeout=30, retention=3600, visible=5, in_flight=2, delayed=1))
    assert [count(bench, "queue_messages", state=state) for state in ("visible", "in_flight", "delayed")] == [5, 2, 1]
    assert count(bench, "source_retention_seconds") == 3600
    bench.mapping.queue(QueueDescription(visibility_timeout=30, retention=60))
    assert [count(bench, "queue_messages", state=state) for state in ("visible", "in_flight", "delayed")] == [0, 0, 0]


def test_slots_and_the_bytes_in_their_hands_are_gauges(bench: Bench) -> None:
    assert (count(bench, "pollers"), count(bench, "buffered_bytes")) == (0, 0)
    hands = Hands()
    bench.mapping.pollers(5, hands)
    hands.bytes = 1234
    assert (count(bench, "pollers"), count(bench, "buffered_bytes")) == (5, 1234)
    bench.mapping.pollers(0)
    assert (count(bench, "pollers"), count(bench, "buffered_bytes")) == (0, 0)


def test_a_mapping_that_is_closed_leaves_no_series_and_asks_nobody(bench: Bench) -> None:
    bench.mapping.pollers(5, Hands(99))
    bench.mapping.queue(QueueDescription(visibility_timeout=30, retention=3600, visible=5))
    bench.mapping.close()
    assert bench.page.labelled(mapping="mails") == []


def test_every_counter_of_a_queue_is_there_from_the_start(bench: Bench) -> None:
    page = classic(bench.metrics.render().decode())
    for operation in (
        "GetQueueUrl",
        "GetQueueAttributes",
        "ReceiveMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
    ):
        labels = {"mapping": "mails", "operation": operation, "error": "throttled"}
        assert page.value("poller_source_api_errors_total", **labels) == 0
    assert page.value("poller_events_filtered_total", mapping="mails") == 0
    assert page.value("poller_visibility_extensions_total", mapping="mails", outcome="lost") == 0


def test_a_batch_of_messages_names_its_slot_its_first_and_its_last_message_and_the_highest_receive_count(bench: Bench) -> None:
    of = Attempt(records=(message(1), message(2, receives=4), message(3, receives=2)), request_id="r1")
    bench.run(FUNCTION_ERROR, Accepted(), of)
    (line,) = bench.lines("batch")
    named = {"slot": "shardId-000000000000", "first_message": "m1", "last_message": "m3", "receives": 4}
    assert line.items() >= named.items()
    assert not {"shard", "first_sequence", "last_sequence"} & set(line)


def test_a_message_that_was_given_up_is_named_too(bench: Bench) -> None:
    of = Attempt(records=messages(1, 2, receives=3), request_id="r1")
    discard = Discard(records=of.records[1:], reason="RetryAttemptsExhausted", attempt=of, invoke_count=3)
    bench.mapping.delivered(discard, "0")
    bench.mapping.dropped(discard, "1")
    for event, slot in (("discarded", "0"), ("dropped", "1")):
        (line,) = bench.lines(event)
        expected = {"slot": slot, "first_message": "m2", "last_message": "m2", "receives": 3, "invoke_count": 3, "records": 1}
        assert line.items() >= expected.items()


def test_of_one_message_first_and_last_are_the_same() -> None:
    assert record_fields(messages(5)) == {"first_message": "m5", "last_message": "m5", "receives": 1}


def test_messages_that_were_handed_out_before_are_redelivered(bench: Bench) -> None:
    bench.mapping.polled((message(1), message(2, receives=2), message(3, receives=9)), size=6, seconds=0.1)
    assert count(bench, "events_redelivered_total") == 2


def test_a_filter_that_asks_for_what_no_record_has_is_warned_of(bench: Bench) -> None:
    bench.mapping.filter_names_unknown(("Body", "kinesis"))
    assert bench.lines("filter_names_unknown") == [
        {"mapping": "mails", "names": ["Body", "kinesis"], "log_level": "warning"},
    ]


# ------------------------------------------------------------------------------------------------------------ honest attempts


def fails(bench: Bench, *receives: int) -> None:
    """The function fails with a message at each of these receive counts."""
    for count_ in receives:
        of = Attempt(records=(message(1, receives=count_),), request_id="r1")
        bench.run(FUNCTION_ERROR, Failed("function_error"), of)


@pytest.mark.rule("queue.outcome.seen-by-the-function")
def test_a_batch_says_how_often_the_function_has_seen_the_message_beside_how_often_it_was_received(bench: Bench) -> None:
    fails(bench, 1, 2, 5)
    of = Attempt(records=(message(1, receives=6),), request_id="r1")
    bench.run(Refused("unavailable"), Refused("unavailable"), of)
    bench.run(Returned(b"null"), Accepted(), of)
    told = [(line["receives"], line["invocations"]) for line in bench.lines("batch")]
    assert told == [(1, 1), (2, 2), (5, 3), (6, 3), (6, 4)]


def test_what_is_done_is_forgotten(bench: Bench) -> None:
    fails(bench, 1, 2)
    bench.run(Returned(b"null"), Accepted(), Attempt(records=(message(1, receives=3),), request_id="r1"))
    fails(bench, 9)
    assert bench.lines("batch")[-1]["invocations"] == 1


def test_of_a_partial_answer_only_what_failed_is_remembered(bench: Bench) -> None:
    of = Attempt(records=messages(1, 2), request_id="r1")
    bench.run(Returned(b"null"), Partial(frozenset({"m2"})), of)
    again = Attempt(records=(message(1), message(2, receives=2)), request_id="r1")
    bench.run(Returned(b"null"), Accepted(), again)
    assert bench.lines("batch")[-1]["invocations"] == 2


@pytest.mark.rule("queue.outcome.seen-by-the-function")
def test_given_up_messages_are_counted_by_how_often_the_function_had_seen_them(bench: Bench) -> None:
    fails(bench, 1, 3)
    of = Attempt(records=messages(1, 2, receives=3), request_id="r1")
    discards = [Discard(records=(one,), reason="RetryAttemptsExhausted", attempt=of, invoke_count=3) for one in of.records]
    bench.mapping.decided(Decision(discard=tuple(discards)))
    assert [count(bench, "given_up_invocations_bucket", le=le) for le in ("0.0", "1.0", "2.0")] == [1, 1, 2]
    bench.mapping.dropped(discards[0], "0")
    assert bench.lines("dropped")[0]["invocations"] == 2


def test_what_the_redrive_policy_of_the_queue_takes_next_counts_as_given_up(bench: Bench) -> None:
    bench.mapping.queue(QueueDescription(visibility_timeout=30, retention=60, maximum_receive_count=3))
    fails(bench, 3)
    bench.mapping.decided(Decision(release=(Release(records=(message(1, receives=3), message(2, receives=2)), delay=1.0),)))
    assert [count(bench, "given_up_invocations_bucket", le=le) for le in ("0.0", "1.0")] == [0, 1]


def test_of_many_messages_the_longest_known_are_forgotten() -> None:
    seen = Sightings(most=2)
    seen.ran(messages(1, 2))
    seen.ran(messages(1, 3))
    assert [seen.of(one) for one in messages(1, 2, 3)] == [2, 0, 1]
