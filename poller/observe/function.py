"""What a function and its workers tell: how many run, what they print, how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from poller.core.model import NO_FIGURES, Errored, Refused, Returned
from poller.observe.catalogue_functions import (
    CONCURRENCY_LIMIT,
    FUNCTION_DURATION,
    FUNCTION_MEMORY,
    FUNCTION_MEMORY_SIZE,
    IN_FLIGHT_INVOCATIONS,
    INIT_DURATION,
    PERMIT_WAIT,
    RESTART_REASONS,
    START_OUTCOMES,
    THROTTLE_REASONS,
    THROTTLES,
    WORKER_RESTARTS,
    WORKER_STARTS,
    WORKER_STATES,
    WORKERS,
)
from poller.observe.logs import logger
from poller.observe.metrics import Series
from poller.observe.outcomes import MEBIBYTE
from poller.observe.printed import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.core.model import Answer, Figures
    from poller.core.permits import Shortage
    from poller.observe.metrics import Metrics
    from poller.ports import WorkerCount, WorkerEnd

EXPECTED: frozenset[WorkerEnd] = frozenset({"reload", "recycled", "idle"})
"""Ends of a worker that are nothing to worry about."""


class FunctionObserver:
    """Counts and logs for one function; it is the `WorkerEvents` of its executor. No method awaits or raises."""

    def __init__(self, metrics: Metrics, function: str) -> None:
        self._log = logger(function=function)
        self._series = Series(metrics, "function", {"function": (function,)})
        self._name = function
        self._in_flight = self._series.get(IN_FLIGHT_INVOCATIONS, function)
        self._limit = self._series.get(CONCURRENCY_LIMIT, function)
        self._throttles = {reason: self._series.get(THROTTLES, function, reason) for reason in THROTTLE_REASONS}
        self._permit_wait = self._series.get(PERMIT_WAIT, function)
        self._duration = self._series.get(FUNCTION_DURATION, function)
        self._mappings: dict[str, str] = {}
        self._stopped = False
        self._most_memory = 0
        self._init_duration = self._series.get(INIT_DURATION, function)
        self._restarts = {reason: self._series.get(WORKER_RESTARTS, function, reason) for reason in RESTART_REASONS}
        self._starts = {outcome: self._series.get(WORKER_STARTS, function, outcome) for outcome in START_OUTCOMES}
        self._workers = {state: self._series.get(WORKERS, function, state) for state in WORKER_STATES}
        self._count: Callable[[], WorkerCount] | None = None
        self._metrics = metrics

    def close(self) -> None:
        """The function is gone: so are its series."""
        if self._count is not None:
            self._metrics.forget(self._count_workers)
            self._count = None
        self._series.close()

    def limit(self, invocations: int) -> None:
        """So many invocations may run at the same time; said in the log where that stops the function, or no longer does."""
        self._limit.set(invocations)
        if (invocations == 0) != self._stopped:
            self._stopped = invocations == 0
            if self._stopped:
                self._log.warning("function_stopped", remedy="reserved_concurrency is 0: give it another value, or leave it out")
            else:
                self._log.info("function_resumed", limit=invocations)

    def memory(self, megabytes: int | None) -> None:
        """The function is made: so much a worker may use, and what former ones used counts no more."""
        self._most_memory = 0
        self._series.drop(FUNCTION_MEMORY, self._name)
        if megabytes is None:
            self._series.drop(FUNCTION_MEMORY_SIZE, self._name)
        else:
            self._series.get(FUNCTION_MEMORY_SIZE, self._name).set(megabytes * MEBIBYTE)

    def throttled(self, reason: Shortage) -> None:
        """A batch in hand has to wait for a permit; `waited` follows, however that ends."""
        self._throttles[reason].inc()

    def waited(self, seconds: float) -> None:
        """It waits no more."""
        self._permit_wait.observe(seconds)

    def started(self, request_id: str, mapping: str) -> None:
        """An invocation runs for a mapping; `finished` follows, however it ends."""
        self._in_flight.inc()
        self._mappings[request_id] = mapping

    def finished(self, request_id: str, answer: Answer | None) -> None:
        """It runs no more; None: it was cut off."""
        self._in_flight.dec()
        self._mappings.pop(request_id, None)
        if isinstance(answer, (Returned, Errored)):
            if answer.figures is not NO_FIGURES:
                self._cost(answer.figures)
        elif isinstance(answer, Refused) and answer.reason == "throttled":
            self._throttles["refused"].inc()

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """A line that the function printed: at the level that it names, as structure where it is a JSON object."""
        level, content = read(line)
        mapping = self._mappings.get(request_id or "")
        of = {"mapping": mapping} if mapping else {}
        self._log.log(level, "function", **of, stream=stream, **content, request_id=request_id)

    def initialised(self, seconds: float) -> None:
        """A worker is ready after so long."""
        self._starts["ready"].inc()
        self._init_duration.observe(seconds)
        self._log.info("worker_ready", init_ms=round(seconds * 1000, 1))

    def not_initialised(self, why: Literal["failed", "refused"]) -> None:
        """A worker did not become ready."""
        self._starts[why].inc()

    def ended(self, reason: WorkerEnd) -> None:
        """A worker ended, or was ended."""
        self._restarts[reason].inc()
        log = self._log.info if reason in EXPECTED else self._log.warning
        log("worker_ended", reason=reason)

    def backing_off(self, failures: int, seconds: float) -> None:
        """So many workers in a row died or failed, and none is started for so many seconds."""
        self._log.warning("worker_backoff", failures=failures, wait_s=round(seconds, 1))

    def not_provisioned(self, error: str) -> None:
        """Of the workers that are to be there always some could not be initialised; mappings start without them."""
        self._log.warning("provisioned_failed", reason="FUNCTION_ERROR_INIT_FAILURE", error=error)

    def workers(self, count: Callable[[], WorkerCount]) -> None:
        """Whom to ask how many workers there are, at each scrape."""
        if self._count is None:
            self._metrics.on_scrape(self._count_workers)
        self._count = count

    def _cost(self, figures: Figures) -> None:
        """Of an invocation that ran."""
        self._duration.observe(figures.duration)
        if figures.max_memory is not None and figures.max_memory > self._most_memory:
            self._most_memory = figures.max_memory
            self._series.get(FUNCTION_MEMORY, self._name).set(figures.max_memory)

    def _count_workers(self) -> None:
        if self._count is not None:
            now = self._count()
            self._workers["starting"].set(now.starting)
            self._workers["idle"].set(now.idle)
            self._workers["busy"].set(now.busy)
