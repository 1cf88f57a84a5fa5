"""What a mapping's observer counts and logs of batches, and of what is given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.build import attempt, record, records
from support.observing import FUNCTION_ERROR, ORDERS, SHARD, Bench, given_up

from poller.core.model import (
    Accepted,
    Attempt,
    Decision,
    Discard,
    Errored,
    Failed,
    Figures,
    Partial,
    Refused,
    Returned,
    TooLarge,
)
from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.core.model import Answer, DiscardReason, Outcome


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with capture_logs() as log:
        bench.log = log
        yield bench


@pytest.mark.rule("stream.iterator-age.of-a-batch")
def test_an_invocation_is_counted_when_it_begins_and_its_events_are_in_flight_until_the_answer(bench: Bench) -> None:
    of = Attempt(records=(record(1, arrived_at=1000.0), record(2, arrived_at=990.0)), request_id="r1")
    bench.mapping.invoking(of, SHARD, 1003.0)
    assert bench.count("events_invoked_total") == 2
    assert bench.count("in_flight_events") == 2
    assert bench.count("batch_size_events_sum") == 2
    assert bench.count("event_age_seconds_sum") == 13, "of the oldest record, wherever it stands"
    assert bench.count("event_age_seconds_count") == 1
    bench.mapping.answered(of, SHARD, Returned(b""), Accepted(), 0.1)
    assert bench.count("in_flight_events") == 0


def test_a_record_from_the_future_has_no_age(bench: Bench) -> None:
    bench.mapping.invoking(Attempt(records=(record(1, arrived_at=2000.0),)), SHARD, 1000.0)
    assert bench.count("event_age_seconds_sum") == 0


@pytest.mark.parametrize(
    ("answer", "outcome", "label", "reason", "failed", "ran"),
    [
        pytest.param(Returned(b""), Accepted(), "success", None, 0, True, id="success"),
        pytest.param(Returned(b""), Partial(frozenset({"2", "3"})), "partial", "batch_item", 2, True, id="two reported"),
        pytest.param(Returned(b"x"), Failed("batch_item", "no JSON"), "partial", "batch_item", 3, True, id="unusable report"),
        pytest.param(FUNCTION_ERROR, Failed("function_error"), "function_error", "function_error", 3, True, id="raised"),
        pytest.param(Errored("timeout", b""), Failed("timeout"), "timeout", "timeout", 3, True, id="timed out"),
        pytest.param(Errored("crash", b""), Failed("crash"), "crash", "crash", 3, True, id="crashed"),
        pytest.param(TooLarge(9), Failed("invoke_error"), "invoke_error", "invoke_error", 3, False, id="too large"),
        pytest.param(Refused("throttled"), Refused("throttled"), "throttled", "throttled", 3, False, id="throttled"),
        pytest.param(Refused("unavailable"), Refused("unavailable"), "invoke_error", "invoke_error", 3, False, id="unreachable"),
    ],
)
def test_an_answer_is_counted_by_its_outcome(  # noqa: PLR0913, PLR0917 - one table
    bench: Bench, answer: Answer, outcome: Outcome, label: str, reason: str | None, failed: int, *, ran: bool
) -> None:
    bench.run(answer, outcome)
    invocations = {s.labels["outcome"]: s.value for s in bench.page.samples if s.name == "poller_invocations_total" and s.value}
    failures = {s.labels["reason"]: s.value for s in bench.page.samples if s.name == "poller_events_failed_total" and s.value}
    assert invocations == {label: 1}
    assert failures == ({reason: failed} if reason else {})
    assert bench.count("invocation_duration_seconds_count") == (1 if ran else 0)
    assert bench.count("in_flight_events") == 0
    assert bench.count("last_success_timestamp_seconds") == (bench.clock.now if isinstance(outcome, Accepted | Partial) else 0)


def test_a_cancelled_invocation_is_counted_and_no_longer_in_flight(bench: Bench) -> None:
    of = attempt(1, 2)
    bench.mapping.invoking(of, SHARD, 0)
    bench.mapping.cancelled(of)
    assert bench.count("invocations_total", outcome="cancelled") == 1
    assert bench.count("in_flight_events") == 0
    assert bench.lines("batch") == []


def test_a_batch_writes_one_line_on_success(bench: Bench) -> None:
    bench.run(Returned(b""), Accepted())
    assert bench.lines("batch") == [
        {
            "mapping": "orders",
            "shard": SHARD,
            "records": 3,
            "attempt": 1,
            "outcome": "success",
            "duration_ms": 250.0,
            "age_s": 10.0,
            "request_id": "r1",
            "first_sequence": "1",
            "last_sequence": "3",
            "log_level": "info",
        }
    ]


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        pytest.param(
            Returned(b"", Figures(duration=0.2, init_duration=1.25, max_memory=3_000_000)),
            {"function_ms": 200.0, "init_ms": 1250.0, "max_memory_mb": 3, "memory_size_mb": 128},
            id="a cold start",
        ),
        pytest.param(
            Errored("timeout", b"", Figures(duration=0.2)), {"function_ms": 200.0, "memory_size_mb": 128}, id="out of time"
        ),
        pytest.param(Errored("crash", b""), {}, id="never ran"),
        pytest.param(Refused("throttled"), {}, id="refused"),
        pytest.param(TooLarge(7), {}, id="too large"),
    ],
)
def test_the_line_of_a_batch_has_the_figures_of_lambdas_report(answer: Answer, fields: dict[str, object]) -> None:
    bench = Bench(replace(ORDERS, memory_size=128))
    with capture_logs() as log:
        bench.run(answer, Accepted())
    figures = {key: value for key, value in log[-1].items() if key.endswith(("_ms", "_mb")) and key != "duration_ms"}
    assert figures == fields


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        (Failed("timeout", "Task timed out"), {"outcome": "failed", "kind": "timeout", "error": "Task timed out"}),
        (Partial(frozenset({"3"})), {"outcome": "partial", "kind": "batch_item", "error": "1 of 3 records reported"}),
        (Failed("batch_item", "no JSON"), {"outcome": "failed", "kind": "batch_item", "error": "no JSON"}),
        (Refused("throttled", detail="busy"), {"outcome": "refused", "kind": "throttled", "error": "busy"}),
        (Refused("unavailable", detail="gone"), {"outcome": "refused", "kind": "invoke_error", "error": "gone"}),
    ],
)
def test_a_batch_that_is_no_success_says_why_as_a_warning(bench: Bench, outcome: Outcome, fields: dict[str, str]) -> None:
    of = Attempt(records=records(1, 2, 3), retries=2, request_id="r1")
    bench.run(FUNCTION_ERROR, outcome, of)
    (line,) = bench.lines("batch")
    assert line.items() >= fields.items()
    assert line["attempt"] == 3
    assert line["log_level"] == "warning"


def test_the_payload_of_a_record_is_in_no_line(bench: Bench) -> None:
    of = Attempt(records=(record(1, payload=b'{"card":"4111-1111"}'),), request_id="r1")
    bench.run(FUNCTION_ERROR, Failed("function_error"), of)
    discard = Discard(records=of.records, reason="RetryAttemptsExhausted", attempt=of, invoke_count=1)
    bench.mapping.delivered(discard)
    bench.mapping.dropped(discard)
    bench.mapping.polled(of.records, size=9, seconds=0)
    assert len(bench.log) >= 4
    assert "4111" not in repr(bench.log)


def test_a_decision_counts_what_is_retried_unchanged_and_what_is_split(bench: Bench) -> None:
    cases = [
        (Decision(again=(attempt(1, 2, retries=1),)), 1, 0),
        (Decision(settle=records(1), again=(attempt(2),)), 1, 0),
        (Decision(again=(attempt(1, 2, retries=1, refusals=1),)), 1, 0),
        (Decision(again=(attempt(1), attempt(2))), 1, 1),
        (Decision(settle=records(1, 2)), 1, 1),
        (Decision(again=(attempt(1, retries=4),)), 2, 1),
    ]
    for decision, retries, bisections in cases:
        bench.mapping.decided(decision)
        assert (bench.count("batch_retries_total"), bench.count("batch_bisections_total")) == (retries, bisections)


def test_what_a_destination_took_is_counted_and_logged(bench: Bench) -> None:
    bench.mapping.delivered(given_up(), SHARD)
    assert bench.count("events_sent_to_destination_total", destination="sqs") == 2
    assert bench.count("events_dropped_total", reason="max_retries") == 0
    assert bench.lines("discarded") == [
        {
            "mapping": "orders",
            "shard": SHARD,
            "destination": "sqs",
            "reason": "RetryAttemptsExhausted",
            "records": 2,
            "invoke_count": 4,
            "request_id": "r1",
            "first_sequence": "7",
            "last_sequence": "8",
            "log_level": "warning",
        }
    ]


@pytest.mark.parametrize(("reason", "label"), [("RecordAgeExceeded", "max_age"), ("RetryAttemptsExhausted", "max_retries")])
def test_what_no_destination_takes_is_dropped_by_reason(bench: Bench, reason: DiscardReason, label: str) -> None:
    bench.mapping.dropped(given_up(reason))
    assert bench.count("events_dropped_total", reason=label) == 2
    assert sum(s.value for s in bench.page.samples if s.name == "poller_events_dropped_total") == 2
    (line,) = bench.lines("dropped")
    assert (line["reason"], line["first_sequence"], line["last_sequence"], line["log_level"]) == (reason, "7", "8", "warning")


def test_a_destination_that_does_not_answer_is_counted_each_time_and_logged_now_and_then(bench: Bench) -> None:
    for _ in range(3):
        bench.mapping.undeliverable(Unavailable("SendMessage", "connection", "no route"))
    bench.mapping.undeliverable(SourceGone("no such queue"))
    assert bench.count("destination_errors_total", destination="sqs") == 4
    assert [(line["kind"], line["error"]) for line in bench.lines("undeliverable")] == [
        ("connection", "SendMessage: no route"),
        ("SourceGone", "no such queue"),
    ]
