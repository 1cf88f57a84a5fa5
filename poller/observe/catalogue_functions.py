"""The metrics of functions and their workers; a part of `catalogue`, whose rules hold here too."""

from __future__ import annotations

from typing import get_args

from poller.core.permits import Shortage
from poller.observe.definition import Label, counter, gauge, histogram
from poller.ports import WorkerEnd

RESTART_REASONS: tuple[str, ...] = get_args(WorkerEnd)
WORKER_STATES = ("starting", "idle", "busy")
START_OUTCOMES = ("ready", "failed", "refused")
THROTTLE_REASONS = (*get_args(Shortage), "refused")

FUNCTION = Label(name="function")

IN_FLIGHT_INVOCATIONS = gauge(
    "poller_in_flight_invocations", "Invocations running now.", FUNCTION, cloudwatch="ConcurrentExecutions"
)
CONCURRENCY_LIMIT = gauge(
    "poller_concurrency_limit",
    "Invocations that may run at the same time in this process; 0: the function is stopped (`reserved_concurrency: 0`).",
    FUNCTION,
    cloudwatch="reserved concurrency",
)
THROTTLES = counter(
    "poller_throttles_total",
    "Batches in hand that had to wait for a permit, each wait once: one of the `function`, of the `process`, or of a function "
    "that reserves none (`reserved_zero`); and invocations that the other side `refused` for want of concurrency.",
    FUNCTION,
    Label(name="reason", values=THROTTLE_REASONS),
    cloudwatch="Throttles",
)
PERMIT_WAIT = histogram(
    "poller_permit_wait_seconds",
    "How long batches in hand waited for a permit; only of those that had to wait.",
    FUNCTION,
    buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 900),
)
FUNCTION_DURATION = histogram(
    "poller_function_duration_seconds",
    "Time that the function's own code ran, as its executor measured it: without initialisation, transport and waiting.",
    FUNCTION,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
    cloudwatch="Duration",
)
FUNCTION_MEMORY = gauge(
    "poller_function_max_memory_bytes",
    "The most that a worker of the function was seen to use, since the function was last made.",
    FUNCTION,
    cloudwatch="Max Memory Used (of the REPORT line)",
    from_start=False,
)
FUNCTION_MEMORY_SIZE = gauge(
    "poller_function_memory_size_bytes",
    "What a worker of the function may use: its `memory_size`.",
    FUNCTION,
    cloudwatch="Memory Size (of the REPORT line)",
    from_start=False,
)
WORKERS = gauge(
    "poller_workers",
    "Worker processes: on their way, waiting for an invocation, at work.",
    FUNCTION,
    Label(name="state", values=WORKER_STATES),
)
WORKER_STARTS = counter(
    "poller_worker_starts_total",
    "Worker processes that were started. `failed`: they ended, raised or ran out of time before they were ready; `refused`: the "
    "machine has no process, memory or descriptor to give.",
    FUNCTION,
    Label(name="outcome", values=START_OUTCOMES),
)
WORKER_RESTARTS = counter(
    "poller_worker_restarts_total",
    "Worker processes that ended, by reason. `recycled`: after `maximum_invocations` or `maximum_age`; `idle`: not needed; "
    "`reload`: another configuration, or a drain.",
    FUNCTION,
    Label(name="reason", values=RESTART_REASONS),
)
INIT_DURATION = histogram(
    "poller_init_duration_seconds",
    "Time until a new worker was ready (cold start).",
    FUNCTION,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    cloudwatch="Init Duration (of the REPORT line)",
)
