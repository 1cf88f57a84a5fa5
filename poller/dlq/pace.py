"""How many messages go a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poller.ports import Clock


class Pace:
    """Lets messages go, `rate` a second at the most; None: as they come. In any time t no more than rate x t, and two batches."""

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._due = clock.monotonic()

    async def take(self, messages: int) -> None:
        """Until so many more may go."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        if self._due > now:
            await asyncio.sleep(self._due - now)
        self._due = max(self._due, now - messages / self._rate) + messages / self._rate
