"""When workers die one after the other: how long to wait before another is started. Pure; whoever asks brings the time."""

from __future__ import annotations

from poller.core.model import Refused

TOLERATED = 2
"""Deaths in a row that are nothing to wait for: a poisonous batch, a machine that was short of memory for a moment."""

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


class CrashLoop:
    """The deaths and failed starts of one function's workers, since the last sign that they can do their work.

    Workers that were started before the last failure that counted are of its window: they tell nothing new, neither by failing (a
    hundred that fail together are one failure) nor by answering (an old one may be well while no new one can start).
    """

    def __init__(self) -> None:
        self._failures = 0
        self._counted_at = float("-inf")
        self._until = float("-inf")
        self._wait = 0.0
        self._why = ""

    @property
    def failures(self) -> int:
        """How many in a row."""
        return self._failures

    def failed(self, started_at: float, now: float, why: str) -> float | None:
        """A worker that was started then has died or did not become ready. Seconds to wait where that begins now or grows."""
        if started_at < self._counted_at:
            return None
        self._failures += 1
        self._counted_at, self._why = now, why
        if self._failures <= TOLERATED:
            return None
        before, self._wait = self._wait, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures - TOLERATED - 1, 30))
        self._until = now + self._wait
        return self._wait if self._wait > before else None

    def answered(self, started_at: float) -> None:
        """A worker that was started then has answered: whatever its handler made of it, it could."""
        if self._failures and started_at >= self._counted_at:
            self._failures, self._wait = 0, 0.0
            self._until = float("-inf")

    def left(self, now: float) -> float:
        """Seconds during which none is to be started; 0: everybody may try."""
        return max(0.0, self._until - now)

    def refusal(self, now: float) -> Refused | None:
        """What to answer instead of starting a worker; None where one may be started."""
        left = self.left(now)
        if not left:
            return None
        detail = f"{self._failures} workers in a row died or did not become ready, the last: {self._why}; none is started now"
        return Refused("unavailable", retry_after=left, detail=detail)
