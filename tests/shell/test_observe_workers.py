"""What is counted and logged of worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from support.observing import scrape

from poller.observe.function import FunctionObserver
from poller.observe.metrics import Metrics
from poller.ports import WorkerCount

if TYPE_CHECKING:
    from poller.ports import WorkerEnd, WorkerEvents


def states(metrics: Metrics) -> dict[str, float]:
    return {each.labels["state"]: each.value for each in scrape(metrics).samples if each.name == "poller_workers"}


def test_how_many_workers_there_are_is_asked_at_each_scrape_of_the_latest_who_knows() -> None:
    metrics = Metrics()
    function = FunctionObserver(metrics, "handle")
    assert states(metrics) == {"starting": 0, "idle": 0, "busy": 0}
    function.workers(lambda: WorkerCount(starting=1, idle=2, busy=3))
    assert states(metrics) == {"starting": 1, "idle": 2, "busy": 3}
    function.workers(WorkerCount)
    assert states(metrics) == {"starting": 0, "idle": 0, "busy": 0}
    function.close()
    assert states(metrics) == {}


def test_starts_are_counted_by_their_outcome() -> None:
    metrics = Metrics()
    events: WorkerEvents = FunctionObserver(metrics, "handle")
    events.initialised(0.1)
    events.initialised(0.1)
    events.not_initialised("failed")
    events.not_initialised("refused")
    starts = {each.labels["outcome"]: each.value for each in scrape(metrics).samples if "worker_starts" in each.name}
    assert starts == {"ready": 2, "failed": 1, "refused": 1}


@pytest.mark.parametrize(
    ("reason", "level"),
    [
        ("crash", "warning"),
        ("oom", "warning"),
        ("timeout", "warning"),
        ("reload", "info"),
        ("recycled", "info"),
        ("idle", "info"),
    ],
)
def test_ends_are_counted_by_their_reason_and_only_unexpected_ones_are_warnings(reason: WorkerEnd, level: str) -> None:
    metrics = Metrics()
    with capture_logs() as log:
        FunctionObserver(metrics, "handle").ended(reason)
    assert scrape(metrics).value("poller_worker_restarts_total", function="handle", reason=reason) == 1
    assert [(line["event"], line["reason"], line["log_level"]) for line in log] == [("worker_ended", reason, level)]


def test_waiting_for_workers_that_die_is_a_warning() -> None:
    expected: dict[str, Any] = {
        "event": "worker_backoff",
        "log_level": "warning",
        "function": "handle",
        "failures": 4,
        "wait_s": 1.0,
    }
    with capture_logs() as log:
        FunctionObserver(Metrics(), "handle").backing_off(4, 1.0)
    assert log == [expected]
