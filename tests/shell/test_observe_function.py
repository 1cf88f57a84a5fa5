"""What a function's observer counts and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs
from support.observing import scrape

from poller.observe.function import FunctionObserver
from poller.observe.metrics import Metrics

if TYPE_CHECKING:
    from poller.ports import WorkerEvents


def test_invocations_in_flight_and_their_limit_are_gauges() -> None:
    metrics = Metrics()
    function = FunctionObserver(metrics, "handle")
    function.limit(4)
    function.started()
    function.started()
    function.finished()
    page = scrape(metrics)
    assert page.value("poller_concurrency_limit", function="handle") == 4
    assert page.value("poller_in_flight_invocations", function="handle") == 1


def test_a_worker_that_is_ready_or_ends_is_counted_and_logged() -> None:
    metrics = Metrics()
    events: WorkerEvents = FunctionObserver(metrics, "handle")
    with capture_logs() as log:
        events.initialised(0.3)
        events.ended("oom")
        events.ended("reload")
    page = scrape(metrics)
    assert page.value("poller_init_duration_seconds_sum", function="handle") == 0.3
    restarts = {s.labels["reason"]: s.value for s in page.samples if s.name == "poller_worker_restarts_total"}
    assert restarts == {"crash": 0, "oom": 1, "timeout": 0, "reload": 1}
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("worker_ready", "info"),
        ("worker_ended", "warning"),
        ("worker_ended", "info"),
    ]


def test_what_the_function_prints_is_logged_line_by_line_with_its_request() -> None:
    events: WorkerEvents = FunctionObserver(Metrics(), "handle")
    with capture_logs() as log:
        events.output("hello", stream="stdout", request_id="r1")
        events.output("importing", stream="stderr", request_id=None)
    line = {"event": "function", "function": "handle", "log_level": "info"}
    assert log == [
        line | {"stream": "stdout", "line": "hello", "request_id": "r1"},
        line | {"stream": "stderr", "line": "importing", "request_id": None},
    ]
