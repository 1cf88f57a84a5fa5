"""What a mapping's observer counts and logs of reading, of shards and leases, and of the mapping as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from support.build import record, records
from support.observing import SHARD, Bench

from poller.errors import SourceGone, Unavailable
from poller.observe.mapping import LeaseTransition, MappingFacts

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with capture_logs() as log:
        bench.log = log
        yield bench


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
    gone: tuple[tuple[LeaseTransition, str], ...] = (("released", "a"), ("lost", "b"), ("stolen", "c"), ("expired", "d"))
    for transition, shard in gone:
        bench.mapping.lease(transition, shard)
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
