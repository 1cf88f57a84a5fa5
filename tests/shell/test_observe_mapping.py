"""What a mapping's observer counts and logs for each thing that it is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.build import attempt, record, records
from support.metrics_doc import DOCUMENT
from support.observing import ORDERS, FakeShard, HandClock, Page, scrape

from poller.core.model import (
    Accepted,
    Attempt,
    Decision,
    Discard,
    Errored,
    Failed,
    Partial,
    Refused,
    Returned,
    TooLarge,
)
from poller.errors import LeaseLost, SourceGone, Unavailable
from poller.observe.function import FunctionObserver
from poller.observe.mapping import MappingFacts, MappingObserver
from poller.observe.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from typing import Any

    from poller.core.model import Answer, Outcome

SHARD = "shardId-000000000000"
FAMILY_ERROR = Errored("function_error", b"{}")


class Bench:
    """A mapping under observation, its clock, its log, its page."""

    def __init__(self, facts: MappingFacts = ORDERS) -> None:
        self.clock = HandClock()
        self.metrics = Metrics()
        self.mapping = MappingObserver(self.metrics, facts, self.clock)
        self.log: list[MutableMapping[str, Any]] = []

    @property
    def page(self) -> Page:
        return scrape(self.metrics)

    def count(self, name: str, **labels: str) -> float | None:
        return self.page.value(f"poller_{name}", mapping="orders", **labels)

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [{key: value for key, value in line.items() if key != "event"} for line in self.log if line["event"] == event]

    def run(self, answer: Answer, outcome: Outcome, of: Attempt | None = None, seconds: float = 0.25) -> None:
        """One invocation from beginning to end."""
        of = of or Attempt(records=records(1, 2, 3, arrived_at=self.clock.now - 10), request_id="r1")
        self.mapping.invoking(of, SHARD, self.clock.now)
        self.clock.now += seconds
        self.mapping.answered(of, SHARD, answer, outcome, seconds)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with capture_logs() as log:
        bench.log = log
        yield bench


# -------------------------------------------------------------------------------------------------------------------- reading


def test_a_read_counts_its_records_and_bytes_and_says_when(bench: Bench) -> None:
    bench.mapping.polled(records(1, 2, 3), size=300, seconds=0.2)
    assert bench.count("events_polled_total") == 3
    assert bench.count("polled_bytes_total") == 300
    assert bench.count("polls_total", outcome="records") == 1
    assert bench.count("poll_duration_seconds_sum") == pytest.approx(0.2)
    assert bench.count("last_poll_timestamp_seconds") == bench.clock.now
    assert bench.count("events_redelivered_total") == 0


def test_an_empty_read_is_a_poll_too(bench: Bench) -> None:
    bench.mapping.polled((), size=0, seconds=0.1)
    assert bench.count("polls_total", outcome="empty") == 1
    assert bench.count("polls_total", outcome="records") == 0
    assert bench.count("poll_duration_seconds_count") == 1
    assert bench.count("last_poll_timestamp_seconds") == bench.clock.now


def test_records_received_more_than_once_and_positions_seen_before_are_redelivered(bench: Bench) -> None:
    again = [
        record(1),
        *(type(one)(id=one.id, position=one.position, arrived_at=0, payload=b"", receives=2) for one in records(2, 3)),
    ]
    bench.mapping.polled(again, size=3, seconds=0.1)
    assert bench.count("events_redelivered_total") == 2
    bench.mapping.redelivered(5)
    assert bench.count("events_redelivered_total") == 7


def test_a_failed_read_is_counted_by_operation_and_kind_and_does_not_look_like_a_poll(bench: Bench) -> None:
    bench.mapping.poll_failed(Unavailable("GetRecords", "throttled", "Rate exceeded"), seconds=0.1)
    assert bench.count("polls_total", outcome="error") == 1
    assert bench.count("source_api_errors_total", operation="GetRecords", error="throttled") == 1
    assert bench.count("source_api_errors_total", operation="GetRecords", error="server") == 0
    assert bench.count("last_poll_timestamp_seconds") == 0
    assert bench.lines("poll_failed") == [
        {
            "mapping": "orders",
            "operation": "GetRecords",
            "kind": "throttled",
            "error": "GetRecords: Rate exceeded",
            "log_level": "warning",
        }
    ]


def test_failed_reads_are_logged_at_most_every_thirty_seconds_for_each_kind_and_say_how_many_were_not(bench: Bench) -> None:
    def fail(kind: Any) -> None:
        bench.mapping.poll_failed(Unavailable("GetRecords", kind), seconds=0.1)

    fail("throttled")
    for _ in range(29):
        bench.clock.now += 1
        fail("throttled")
    fail("timeout")
    assert [line["kind"] for line in bench.lines("poll_failed")] == ["throttled", "timeout"]
    bench.clock.now += 1
    fail("throttled")
    fail("throttled")
    bench.clock.now += 30
    fail("throttled")
    assert [line.get("suppressed") for line in bench.lines("poll_failed")] == [None, None, 29, 1]
    assert bench.count("source_api_errors_total", operation="GetRecords", error="throttled") == 33


def test_a_call_that_nobody_foresaw_is_counted_and_goes_with_the_mapping(bench: Bench) -> None:
    bench.mapping.poll_failed(Unavailable("SubscribeToShard", "other"), seconds=0.1)
    assert bench.count("source_api_errors_total", operation="SubscribeToShard", error="other") == 1
    bench.mapping.close()
    assert bench.page.labelled(mapping="orders") == []


def test_what_keeps_a_part_from_working_is_logged_and_counted_where_it_is_the_sources(bench: Bench) -> None:
    bench.mapping.failing("mapping", Unavailable("ListShards", "auth", "expired token"))
    bench.mapping.failing("mapping", Unavailable("acquire", "timeout"))
    bench.mapping.failing("mapping", SourceGone("no stream orders"))
    bench.mapping.failing("mapping", SourceGone("no stream orders"))
    assert bench.count("source_api_errors_total", operation="ListShards", error="auth") == 1
    assert bench.page.labelled(mapping="orders", operation="acquire") == []
    assert [(line["what"], line["kind"], line["error"]) for line in bench.lines("failing")] == [
        ("mapping", "auth", "ListShards: expired token"),
        ("mapping", "timeout", "acquire: timeout"),
        ("mapping", "SourceGone", "no stream orders"),
    ]


def test_filtered_and_returned_records_are_counted(bench: Bench) -> None:
    bench.mapping.filtered(4)
    bench.mapping.returned(2)
    assert bench.count("events_filtered_total") == 4
    assert bench.count("events_returned_total") == 2


# -------------------------------------------------------------------------------------------------------------------- batches


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
        pytest.param(FAMILY_ERROR, Failed("function_error"), "function_error", "function_error", 3, True, id="raised"),
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
    bench.run(FAMILY_ERROR, outcome, of)
    (line,) = bench.lines("batch")
    assert line.items() >= fields.items()
    assert line["attempt"] == 3
    assert line["log_level"] == "warning"


def test_the_payload_of_a_record_is_in_no_line(bench: Bench) -> None:
    of = Attempt(records=(record(1, payload=b'{"card":"4111-1111"}'),), request_id="r1")
    bench.run(FAMILY_ERROR, Failed("function_error"), of)
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


# ------------------------------------------------------------------------------------------------------------------ giving up


def given_up(reason: Any = "RetryAttemptsExhausted") -> Discard:
    return Discard(records=records(7, 8), reason=reason, attempt=attempt(7, 8, request_id="r1"), invoke_count=4)


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
def test_what_no_destination_takes_is_dropped_by_reason(bench: Bench, reason: str, label: str) -> None:
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


# --------------------------------------------------------------------------------------------------- shards, leases, the rest


def test_checkpoints_are_counted_by_outcome(bench: Bench) -> None:
    bench.mapping.checkpoint("ok")
    bench.mapping.checkpoint("ok")
    bench.mapping.checkpoint("fenced")
    values = [bench.count("checkpoints_total", outcome=outcome) for outcome in ("ok", "error", "fenced")]
    assert values == [2, 0, 1]


def test_leases_are_counted_as_they_come_and_go_and_those_held_are_known(bench: Bench) -> None:
    for shard in ("a", "b", "c", "d", "e"):
        bench.mapping.lease("acquired", shard)
    bench.mapping.lease("acquired", "a")
    assert bench.count("leases_owned") == 5
    for transition, shard in (("released", "a"), ("lost", "b"), ("stolen", "c"), ("expired", "d")):
        bench.mapping.lease(transition, shard)  # type: ignore[arg-type]
    assert bench.count("leases_owned") == 1
    assert bench.count("lease_transitions_total", transition="acquired") == 6
    assert bench.count("lease_transitions_total", transition="stolen") == 1
    levels = [line["log_level"] for line in bench.lines("lease")]
    assert levels == ["info"] * 7 + ["warning"] * 3


def test_a_trimmed_checkpoint_is_counted_and_is_an_error(bench: Bench) -> None:
    bench.mapping.trimmed(SHARD)
    assert bench.count("checkpoint_trimmed_total") == 1
    assert bench.lines("checkpoint_trimmed") == [{"mapping": "orders", "shard": SHARD, "log_level": "error"}]


def test_a_crash_is_counted_and_logged_with_the_exception(bench: Bench) -> None:
    error = ZeroDivisionError("division by zero")
    bench.mapping.crashed("shard a", error)
    assert bench.count("supervised_restarts_total") == 1
    (line,) = bench.lines("crashed")
    assert line["exc_info"] is error
    assert (line["what"], line["error"], line["log_level"]) == ("shard a", "ZeroDivisionError: division by zero", "error")


def test_exactly_one_state_is_set_and_only_changes_are_logged(bench: Bench) -> None:
    for state in ("Creating", "Enabled", "Enabled"):
        bench.mapping.state(state)
    states = {s.labels["state"]: s.value for s in bench.page.samples if s.name == "poller_mapping_state"}
    assert len(states) == 7
    assert [state for state, value in states.items() if value] == ["Enabled"]
    assert [(line["previous"], line["state"]) for line in bench.lines("state")] == [(None, "Creating"), ("Creating", "Enabled")]


def test_the_mapping_says_what_it_reads_and_invokes(bench: Bench) -> None:
    info = {"source_type": "kinesis", "source": "orders-stream", "function": "handle"}
    assert bench.count("mapping_info", **info) == 1


def test_a_mapping_without_a_destination_has_no_series_of_one() -> None:
    bench = Bench(MappingFacts(name="orders", source_type="kinesis", source="s", function="f"))
    assert not [s for s in bench.page.samples if "destination" in s.labels]


# --------------------------------------------------------------------------------------------------------------- documentation


def tell_everything(bench: Bench) -> None:
    """Every method that logs, and the ways in which its line varies."""
    for outcome in (Accepted(), Failed("timeout", "x"), Partial(frozenset({"1"})), Refused("throttled", detail="x")):
        bench.run(FAMILY_ERROR, outcome)
    bench.mapping.delivered(given_up(), SHARD)
    bench.mapping.dropped(given_up(), SHARD)
    for _ in range(3):
        bench.mapping.undeliverable(Unavailable("SendMessage", "timeout"))
        bench.mapping.poll_failed(Unavailable("GetRecords", "timeout"), seconds=0)
        bench.mapping.failing("mapping", LeaseLost("gone"))
        bench.clock.now += 20
    bench.mapping.lease("acquired", SHARD)
    bench.mapping.lease("lost", SHARD)
    bench.mapping.trimmed(SHARD)
    bench.mapping.state("Creating")
    bench.mapping.crashed("shard a", ValueError("x"))
    for number in range(101):
        bench.mapping.shard_opened(str(number), FakeShard())
    scrape(bench.metrics)
    function = FunctionObserver(bench.metrics, "handle")
    function.output("hello", stream="stdout", request_id="r1")
    function.initialised(0.1)
    function.ended("oom")
    function.ended("reload")


def documented() -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Of every event in docs/logs.md its levels, its fields, and those that may be missing."""
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| ([\w, ()]*) \|", (DOCUMENT.parent / "logs.md").read_text(), re.MULTILINE)
    found = {}
    for event, levels, fields in rows:
        optional = {name for group in re.findall(r"\((.*?)\)", fields) for name in re.findall(r"\w+", group)}
        found[event] = (set(levels.split(", ")), set(re.findall(r"\w+", fields)), optional)
    return found


def test_every_line_has_the_level_and_the_fields_that_the_documentation_says(bench: Bench) -> None:
    tell_everything(bench)
    page = documented()
    seen: dict[str, tuple[set[str], set[str]]] = {}
    for line in bench.log:
        fields = {"exception" if key == "exc_info" else key for key in line} - {"event", "log_level", "mapping", "function"}
        levels, known, optional = page[line["event"]]
        assert known - optional <= fields <= known, line
        assert line["log_level"] in levels
        all_levels, all_fields = seen.setdefault(line["event"], (set(), set()))
        all_levels.add(line["log_level"])
        all_fields |= fields
    for event, (levels, fields) in seen.items():
        assert (levels, fields) == page[event][:2], f"documented for {event}, never seen"
    assert len(seen) == 15
