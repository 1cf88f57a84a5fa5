"""What a function's observer counts and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs
from support.observing import scrape

from poller.core.model import Errored, Figures, Refused, Returned
from poller.observe.function import FunctionObserver
from poller.observe.metrics import Metrics

if TYPE_CHECKING:
    from poller.ports import WorkerEvents


def test_invocations_in_flight_and_their_limit_are_gauges() -> None:
    metrics = Metrics()
    function = FunctionObserver(metrics, "handle")
    function.limit(4)
    function.started("r1", "orders")
    function.started("r2", "orders")
    function.finished("r1", None)
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
    assert restarts == {"crash": 0, "oom": 1, "timeout": 0, "reload": 1, "recycled": 0, "idle": 0}
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("worker_ready", "info"),
        ("worker_ended", "warning"),
        ("worker_ended", "info"),
    ]


def test_what_the_function_prints_is_logged_line_by_line_with_its_request_and_the_mapping_that_made_it() -> None:
    function = FunctionObserver(Metrics(), "handle")
    function.started("r1", "orders")
    function.started("r2", "mails")
    with capture_logs() as log:
        function.output("hello", stream="stdout", request_id="r1")
        function.output("hello", stream="stdout", request_id="r2")
        function.finished("r2", None)
        function.output("too late", stream="stdout", request_id="r2")
        function.output("importing", stream="stderr", request_id=None)
    line = {"event": "function", "function": "handle", "log_level": "info"}
    assert log == [
        line | {"mapping": "orders", "stream": "stdout", "line": "hello", "request_id": "r1"},
        line | {"mapping": "mails", "stream": "stdout", "line": "hello", "request_id": "r2"},
        line | {"stream": "stdout", "line": "too late", "request_id": "r2"},
        line | {"stream": "stderr", "line": "importing", "request_id": None},
    ]


def test_an_object_that_the_function_prints_is_structure_of_its_own_at_its_own_level() -> None:
    events: WorkerEvents = FunctionObserver(Metrics(), "handle")
    with capture_logs() as log:
        events.output('{"level": "ERROR", "event": "batch", "function": "other"}', stream="stdout", request_id="r1")
    (line,) = log
    assert (line["event"], line["function"], line["log_level"]) == ("function", "handle", "error")
    assert line["json"] == {"level": "ERROR", "event": "batch", "function": "other"}
    assert "line" not in line


def test_what_an_invocation_cost_is_measured_as_far_as_it_is_known() -> None:
    metrics = Metrics()
    function = FunctionObserver(metrics, "handle")

    def value(name: str) -> float | None:
        return scrape(metrics).value(f"poller_function_{name}", function="handle")

    function.memory(128)
    assert (value("memory_size_bytes"), value("max_memory_bytes")) == (128 * 1024 * 1024, None)
    for answer in (
        Returned(b"", Figures(duration=0.25, init_duration=1.0, max_memory=3000)),
        Errored("timeout", b"", Figures(duration=0.5, max_memory=2000)),
        Errored("crash", b""),
        Refused("unavailable"),
        None,
    ):
        function.started("r1", "orders")
        function.finished("r1", answer)
    assert (value("duration_seconds_count"), value("duration_seconds_sum")) == (2, 0.75)
    assert value("max_memory_bytes") == 3000, "the most, not the last"
    function.memory(None)
    assert (value("memory_size_bytes"), value("max_memory_bytes")) == (None, None), "it was made anew"


def test_throttles_are_counted_by_reason_and_how_long_they_lasted() -> None:
    metrics = Metrics()
    function = FunctionObserver(metrics, "handle")
    function.throttled("function")
    function.throttled("process")
    function.throttled("process")
    function.waited(2.5)
    for answer in (Refused("throttled"), Refused("unavailable")):
        function.started("r1", "orders")
        function.finished("r1", answer)
    page = scrape(metrics)
    throttles = {s.labels["reason"]: s.value for s in page.samples if s.name == "poller_throttles_total"}
    assert throttles == {"function": 1, "process": 2, "reserved_zero": 0, "refused": 1}
    assert page.value("poller_permit_wait_seconds_sum", function="handle") == 2.5


def test_that_a_function_is_stopped_is_said_once_and_so_is_that_it_goes_on() -> None:
    function = FunctionObserver(Metrics(), "handle")
    with capture_logs() as log:
        for limit in (4, 0, 0, 0, 2, 3):
            function.limit(limit)
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("function_stopped", "warning"),
        ("function_resumed", "info"),
    ]
