"""Keeps a repeating log line from drowning the others: the first one, then at most one per kind every 30 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poller.ports import Clock

SECONDS = 30.0


class RateLimit:
    """Says of each event, by kind, whether it may be logged. Kinds are few: each one is remembered."""

    def __init__(self, clock: Clock, seconds: float = SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._next: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def admit(self, kind: str) -> dict[str, int] | None:
        """None: do not log this one. Else fields for its line: `suppressed`, where some of its kind were not logged before it."""
        now = self._clock.monotonic()
        if now < self._next.get(kind, now):
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        self._next[kind] = now + self._seconds
        suppressed = self._suppressed.pop(kind, 0)
        return {"suppressed": suppressed} if suppressed else {}
