"""What a function and its workers tell: how many run, what they print, how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from poller.observe.catalogue import CONCURRENCY_LIMIT, IN_FLIGHT_INVOCATIONS, INIT_DURATION, RESTART_REASONS, WORKER_RESTARTS
from poller.observe.logs import logger
from poller.observe.metrics import Series

if TYPE_CHECKING:
    from poller.observe.metrics import Metrics


class FunctionObserver:
    """Counts and logs for one function; it is the `WorkerEvents` of its executor. No method awaits or raises."""

    def __init__(self, metrics: Metrics, function: str) -> None:
        self._log = logger(function=function)
        self._series = Series(metrics, "function", {"function": (function,)})
        self._in_flight = self._series.get(IN_FLIGHT_INVOCATIONS, function)
        self._limit = self._series.get(CONCURRENCY_LIMIT, function)
        self._init_duration = self._series.get(INIT_DURATION, function)
        self._restarts = {reason: self._series.get(WORKER_RESTARTS, function, reason) for reason in RESTART_REASONS}

    def close(self) -> None:
        """The function is gone: so are its series."""
        self._series.close()

    def limit(self, invocations: int) -> None:
        """So many invocations may run at the same time."""
        self._limit.set(invocations)

    def started(self) -> None:
        """An invocation runs; `finished` follows, however it ends."""
        self._in_flight.inc()

    def finished(self) -> None:
        """It runs no more."""
        self._in_flight.dec()

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """A line that the function printed."""
        self._log.info("function", stream=stream, line=line, request_id=request_id)

    def initialised(self, seconds: float) -> None:
        """A worker is ready after so long."""
        self._init_duration.observe(seconds)
        self._log.info("worker_ready", init_ms=round(seconds * 1000, 1))

    def ended(self, reason: Literal["crash", "oom", "timeout", "reload"]) -> None:
        """A worker ended before its time, or was ended."""
        self._restarts[reason].inc()
        log = self._log.info if reason == "reload" else self._log.warning
        log("worker_ended", reason=reason)
