"""The circuit breaker of a queue mapping, for its slots to wait at: what `core/breaker.py` decides, this does, tells and logs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from poller.core.breaker import Breaker

if TYPE_CHECKING:
    from asyncio import Future

    from poller.core.breaker import BreakerLimits
    from poller.core.model import Attempt, Outcome
    from poller.drain import Drain
    from poller.observe.mapping import MappingObserver
    from poller.ports import Clock


class CircuitBreaker:
    """Shared by the slots of a mapping, each known by its place. Without limits it is always closed."""

    def __init__(self, limits: BreakerLimits | None, observe: MappingObserver, clock: Clock) -> None:
        self._breaker = None if limits is None else Breaker(limits)
        self._observe = observe
        self._clock = clock
        self._prober: str | None = None
        self._waiting: dict[Future[None], None] = {}
        if self._breaker is not None:
            observe.breaker(self._breaker.state)

    async def passed(self, place: str, drain: Drain, seconds: float | None) -> bool:
        """Whether this slot may receive now. Where it may not this waits until it could, so many seconds at the most.

        Then all else that a receive needs is to be looked at again: what was free may be somebody else's by now.
        """
        if self._breaker is None or self._prober == place:
            return True
        left = self._breaker.patience(self._clock.monotonic())
        if left > 0:
            await self._wait(min(left, float("inf") if seconds is None else seconds), drain)
            return False
        if self._breaker.state == "open":
            self._prober = place
            self._breaker.probe()
            self._tell()
        return True

    async def _wait(self, seconds: float, drain: Drain) -> None:
        """Until the state changes, the drain starts, or the seconds are over."""
        hope = asyncio.get_running_loop().create_future()
        self._waiting[hope] = None
        try:
            await drain.wait(hope, None if seconds == float("inf") else seconds)
        finally:
            self._waiting.pop(hope, None)

    def judged(self, place: str, attempt: Attempt, outcome: Outcome) -> None:
        """A batch of this slot has come back."""
        if self._breaker is None:
            return
        before = self._breaker.state
        self._breaker.judge(attempt, outcome, self._clock.monotonic(), probe=self._prober == place)
        if self._breaker.state != before:
            self._prober = None
            self._tell()

    def left(self, place: str) -> None:
        """The slot is over: where it was to probe, another does."""
        if self._breaker is not None and self._prober == place:
            self._prober = None
            self._breaker.abandon()
            self._tell()

    def _tell(self) -> None:
        if self._breaker is not None:
            self._observe.breaker(self._breaker.state)
        for hope in self._waiting:
            if not hope.done():
                hope.set_result(None)
