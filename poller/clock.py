"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """A `Clock`: the system's wall clock, and CLOCK_MONOTONIC, by which asyncio's loops run too."""

    def time(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()
