"""The catalogue as users see it: names, types, labels, buckets; what is there at 0, and what goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from support.build import record
from support.metrics_doc import DOCUMENT, document
from support.observing import ORDERS, HandClock, openmetrics, scrape

from poller import __version__
from poller.core.model import Accepted, Attempt, Returned
from poller.observe import catalogue
from poller.observe.catalogue import CATALOGUE
from poller.observe.function import FunctionObserver
from poller.observe.mapping import MappingObserver
from poller.observe.metrics import Metrics

PROMISED = """
poller_events_polled_total counter mapping
poller_events_filtered_total counter mapping
poller_events_invoked_total counter mapping
poller_events_failed_total counter mapping reason
poller_events_dropped_total counter mapping reason
poller_events_deleted_total counter mapping
poller_events_sent_to_destination_total counter mapping destination
poller_destination_errors_total counter mapping destination
poller_destination_payloads_omitted_total counter mapping destination
poller_events_redelivered_total counter mapping
poller_events_returned_total counter mapping
poller_invocations_total counter mapping outcome
poller_invocation_duration_seconds histogram mapping
poller_iterator_age_seconds gauge mapping shard
poller_source_behind_seconds gauge mapping shard
poller_source_retention_seconds gauge mapping
poller_checkpoint_trimmed_total counter mapping
poller_event_age_seconds histogram mapping
poller_polls_total counter mapping outcome
poller_poll_duration_seconds histogram mapping
poller_polled_bytes_total counter mapping
poller_source_api_errors_total counter mapping operation error
poller_batch_size_events histogram mapping
poller_batch_retries_total counter mapping
poller_batch_bisections_total counter mapping
poller_windows_closed_total counter mapping reason
poller_pollers gauge mapping
poller_in_flight_invocations gauge function
poller_concurrency_limit gauge function
poller_in_flight_events gauge mapping
poller_buffered_bytes gauge mapping
poller_given_up_invocations histogram mapping
poller_circuit_breaker gauge mapping state
poller_filter_dry_run_events_total counter mapping
poller_queue_messages gauge mapping state
poller_visibility_extensions_total counter mapping outcome
poller_shards gauge mapping state
poller_shard_series_collapsed gauge mapping
poller_leases_owned gauge mapping
poller_lease_transitions_total counter mapping transition
poller_checkpoints_total counter mapping outcome
poller_throttles_total counter function reason
poller_permit_wait_seconds histogram function
poller_function_duration_seconds histogram function
poller_function_max_memory_bytes gauge function
poller_function_memory_size_bytes gauge function
poller_workers gauge function state
poller_worker_starts_total counter function outcome
poller_worker_restarts_total counter function reason
poller_init_duration_seconds histogram function
poller_mapping_state gauge mapping state
poller_mapping_info gauge mapping source_type source function
poller_supervised_restarts_total counter mapping
poller_last_poll_timestamp_seconds gauge mapping
poller_last_success_timestamp_seconds gauge mapping
poller_store_up gauge
poller_store_operation_duration_seconds histogram operation
poller_event_loop_lag_seconds histogram
poller_config_last_reload_successful gauge
poller_config_last_reload_success_timestamp_seconds gauge
poller_ready gauge
poller_build_info gauge version revision python
"""


def observed() -> tuple[Metrics, MappingObserver]:
    metrics = Metrics()
    return metrics, MappingObserver(metrics, ORDERS, HandClock())


def test_the_catalogue_is_exactly_what_was_promised() -> None:
    declared = {f"{one.name} {one.type.__name__.lower()} {' '.join(x.name for x in one.labels)}".strip() for one in CATALOGUE}
    assert declared == set(PROMISED.strip().splitlines())
    assert len(CATALOGUE) == len(declared)


def test_every_metric_of_the_catalogue_is_on_the_page_with_its_type() -> None:
    page = scrape(observed()[0])
    for definition in CATALOGUE:
        family = page.families[definition.name.removesuffix("_total")]
        assert family.type == definition.type.__name__.lower()
        assert family.documentation == definition.meaning


def test_no_name_of_a_metric_is_written_anywhere_but_in_the_catalogue() -> None:
    """But for the demo, which reads a page as any scraper does."""
    root = Path(catalogue.__file__).parents[1]
    named = re.compile(r'"(poller_[a-z_]+_(?:total|seconds|bytes|events|info|up))"')
    elsewhere = {path: named.findall(path.read_text()) for path in root.rglob("*.py") if not path.name.startswith("catalogue")}
    read = [name for path in elsewhere for name in elsewhere[path] if path.parent.name == "demo"]
    assert [path for path, names in elsewhere.items() if names and path.parent.name != "demo"] == []
    assert set(read) <= {definition.name for definition in CATALOGUE}


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("poller_invocation_duration_seconds", 0.005, 900, 15),
        ("poller_event_age_seconds", 0.1, 86400, 14),
        ("poller_poll_duration_seconds", 0.01, 30, 11),
        ("poller_batch_size_events", 1, 10000, 13),
    ],
)
def test_histograms_have_the_promised_buckets(name: str, first: float, last: float, count: int) -> None:
    page = scrape(observed()[0])
    bounds = [float(sample.labels["le"]) for sample in page.samples if sample.name == f"{name}_bucket"]
    assert bounds == sorted(bounds)
    assert (bounds[0], bounds[-2], bounds[-1]) == (first, last, float("inf"))
    assert len(bounds) == count + 1


def test_every_counter_of_a_mapping_is_there_at_zero_from_the_start_with_every_value_of_its_labels() -> None:
    page = scrape(observed()[0])
    for definition in CATALOGUE:
        if definition.owner == "mapping" and definition.name.endswith("_total"):
            expected = 1
            for label in definition.labels[1:]:
                expected *= len(label.values) or {"operation": 4, "destination": 1}[label.name]
            values = [sample.value for sample in page.samples if sample.name == definition.name]
            assert values == [0.0] * expected, definition.name


def test_histograms_and_states_of_a_mapping_are_there_from_the_start() -> None:
    page = scrape(observed()[0])
    assert page.value("poller_invocation_duration_seconds_count", mapping="orders") == 0
    assert page.value("poller_mapping_state", mapping="orders", state="Enabled") == 0
    assert page.value("poller_last_success_timestamp_seconds", mapping="orders") == 0


def test_a_retention_that_is_not_known_yet_is_not_shown_as_zero() -> None:
    metrics, mapping = observed()
    assert scrape(metrics).value("poller_source_retention_seconds", mapping="orders") is None
    mapping.retention(86400)
    assert scrape(metrics).value("poller_source_retention_seconds", mapping="orders") == 86400


def test_a_closed_mapping_leaves_no_series_and_touches_no_other() -> None:
    metrics, mapping = observed()
    other = MappingObserver(
        metrics, ORDERS.__class__(name="other", source_type="kinesis", source="s", function="handle"), HandClock()
    )
    other.filtered(3)
    mapping.state("Enabled")
    mapping.close()
    page = scrape(metrics)
    assert page.labelled(mapping="orders") == []
    assert page.value("poller_events_filtered_total", mapping="other") == 3


def test_a_closed_function_leaves_no_series() -> None:
    metrics = Metrics()
    function = FunctionObserver(metrics, "handle")
    assert scrape(metrics).labelled(function="handle") != []
    function.close()
    assert scrape(metrics).labelled(function="handle") == []


def test_a_mapping_that_comes_back_counts_from_zero() -> None:
    metrics, mapping = observed()
    mapping.filtered(5)
    mapping.close()
    MappingObserver(metrics, ORDERS, HandClock())
    assert scrape(metrics).value("poller_events_filtered_total", mapping="orders") == 0


def test_two_daemons_in_one_process_share_no_series_and_nothing_goes_to_the_global_registry() -> None:
    one, mapping = observed()
    two, _ = observed()
    mapping.filtered(5)
    assert scrape(one).value("poller_events_filtered_total", mapping="orders") == 5
    assert scrape(two).value("poller_events_filtered_total", mapping="orders") == 0
    assert not any(family.name.startswith("poller_") for family in REGISTRY.collect())


def test_there_are_no_created_series() -> None:
    metrics, mapping = observed()
    mapping.filtered(1)
    page = openmetrics(metrics.render(openmetrics=True).decode())
    assert not [sample.name for sample in page.samples if sample.name.endswith("_created")]


def test_build_process_and_collector_figures_are_on_the_page() -> None:
    page = scrape(Metrics(revision="abc123"))
    build = next(sample for sample in page.samples if sample.name == "poller_build_info")
    assert (build.value, build.labels["version"], build.labels["revision"]) == (1, __version__, "abc123")
    assert (page.value("process_resident_memory_bytes") or 0) > 1e6
    assert page.value("python_gc_collections_total", generation="0") is not None


def test_the_store_is_timed_by_operation_and_up_or_not() -> None:
    metrics = Metrics()
    metrics.store_operation("advance", 0.002)
    metrics.store_up(up=True)
    page = scrape(metrics)
    assert page.value("poller_store_operation_duration_seconds_count", operation="advance") == 1
    assert page.value("poller_store_operation_duration_seconds_count", operation="renew") == 0
    assert page.value("poller_store_up") == 1
    metrics.store_up(up=False)
    assert scrape(metrics).value("poller_store_up") == 0


def test_openmetrics_carries_the_request_id_as_an_exemplar() -> None:
    metrics, mapping = observed()
    attempt = Attempt(records=(record(1),), request_id="0d5b9c36-55b5-4f0b-8f8e-5f3b5a1c7a20")
    mapping.invoking(attempt, "shard-0", 0)
    mapping.answered(attempt, "shard-0", Returned(b""), Accepted(), 0.03)
    page = openmetrics(metrics.render(openmetrics=True).decode())
    exemplars = [sample.exemplar for sample in page.samples if sample.exemplar]
    assert [(one.labels, one.value) for one in exemplars] == [({"request_id": attempt.request_id}, 0.03)]


def test_the_page_of_documentation_is_made_from_the_catalogue() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: PYTHONPATH=tests python -m support.metrics_doc"
