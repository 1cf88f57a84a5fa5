"""How late the event loop is: what blocks it delays every mapping."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from poller.observe.metrics import Metrics
    from poller.ports import Clock

INTERVAL = 1.0


async def sample_lag(metrics: Metrics, clock: Clock, interval: float = INTERVAL) -> Never:
    """Samples the lag every `interval` seconds, for ever: run it as a task, cancel it at the end."""
    while True:
        due = clock.monotonic() + interval
        await asyncio.sleep(interval)
        metrics.event_loop_lag(max(0.0, clock.monotonic() - due))
