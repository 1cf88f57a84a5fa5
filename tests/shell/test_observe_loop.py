"""How late the loop is."""

from __future__ import annotations

import asyncio

from support.observing import scrape
from support.virtual import VirtualClock, run_virtually

from poller.observe.loop import sample_lag
from poller.observe.metrics import Metrics


class SlowLoop(VirtualClock):
    """A clock that is `late` seconds ahead whenever a sleeper wakes: as if something had blocked the loop that long."""

    def __init__(self, late: float) -> None:
        super().__init__()
        self._late = late
        self._asked = 0

    def monotonic(self) -> float:
        self._asked += 1
        return super().monotonic() + (self._late if self._asked % 2 == 0 else 0.0)


async def sampled(clock: VirtualClock, seconds: float) -> Metrics:
    metrics = Metrics()
    async with asyncio.TaskGroup() as tasks:
        sampler = tasks.create_task(sample_lag(metrics, clock))
        await asyncio.sleep(seconds)
        sampler.cancel()
    return metrics


def test_a_loop_that_wakes_sleepers_in_time_has_no_lag() -> None:
    page = scrape(run_virtually(sampled(VirtualClock(), 3.5)))
    assert page.value("poller_event_loop_lag_seconds_count") == 3
    assert page.value("poller_event_loop_lag_seconds_bucket", le="0.001") == 3


def test_a_blocked_loop_shows_by_how_much_it_was_late() -> None:
    page = scrape(run_virtually(sampled(SlowLoop(0.3), 2.5)))
    assert page.value("poller_event_loop_lag_seconds_count") == 2
    assert page.value("poller_event_loop_lag_seconds_bucket", le="0.25") == 0
    assert page.value("poller_event_loop_lag_seconds_bucket", le="0.5") == 2


def test_a_clock_that_runs_slow_gives_no_negative_lag() -> None:
    page = scrape(run_virtually(sampled(SlowLoop(-5.0), 1.5)))
    assert page.value("poller_event_loop_lag_seconds_sum") == 0
