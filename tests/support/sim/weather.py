"""What goes wrong on connections: by the storm's rates, in outages, while a process is paused; until the calm."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from poller.errors import IteratorExpired, SourceGone, Unavailable

if TYPE_CHECKING:
    from random import Random

    from poller.errors import ApiErrorKind
    from support.sim.scenario import Outage, Scenario

Service = Literal["store", "kinesis", "sqs", "destination", "function"]
"""`destination`: the queue to which mappings of queues report; of streams that is `sqs`. `function`: nobody would run any."""

CALM_LATENCY = 0.004
PATIENCE = 4.0
"""Seconds after which a client gives a call up."""

LATE = 25.0
"""Seconds by which a call may be late: longer than any lease."""

REFUSALS: dict[Service, tuple[ApiErrorKind, ...]] = {
    "store": ("connection", "server"),
    "kinesis": ("throttled", "server", "connection", "auth"),
    "sqs": ("throttled", "server", "auth"),
    "destination": ("throttled", "server", "auth"),
    "function": ("throttled",),
}


class Weather:
    """What the world is like now, for all processes.

    Attributes:
        calm: the faults are over.
        paused_until: by the name of a process, until when its calls to the store wait.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.storm = scenario.storm
        self.calm = False
        self.paused_until: dict[str, float] = {}
        self._outages = scenario.outages

    def outage(self, service: Service) -> Outage | None:
        """The outage that this service is in."""
        now = asyncio.get_running_loop().time()
        return next((each for each in self._outages if each.service == service and each.begins <= now < each.ends), None)


@dataclass(slots=True, kw_only=True)
class Trouble:
    """The faults of one connection of one process: `Faults` of an Api and of a store."""

    weather: Weather
    service: Service
    process: str
    chance: Random

    async def before(self, operation: str) -> None:
        """Latency, and whatever keeps the call from having its effect."""
        await asyncio.sleep(self._latency())
        if self.service == "store":
            await self._pause()
        if self.weather.calm:
            return
        await self._outage(operation)
        storm, dice = self.weather.storm, self.chance.random()
        if dice < storm.refused:
            raise self._refusal(operation)
        if dice < storm.refused + storm.timeout:
            await asyncio.sleep(self.chance.uniform(0.5, PATIENCE))
            raise Unavailable(operation, "timeout")
        if operation == "GetRecords" and self.chance.random() < storm.expired:
            raise IteratorExpired(f"{operation}: ExpiredIteratorException")

    async def after(self, operation: str) -> None:
        """The answer's way back, on which it may be held up, or lost."""
        await asyncio.sleep(self._latency())
        storm, dice = self.weather.storm, self.chance.random()
        if self.weather.calm:
            return
        if dice < storm.lost:
            raise Unavailable(operation, "connection", "the answer is lost")
        if dice < storm.lost + storm.timeout:
            await asyncio.sleep(self.chance.uniform(0.0, PATIENCE))

    def late(self) -> tuple[float, float] | None:
        """Seconds after which the caller gives up although the call goes on, and by which it is late; None: it is not."""
        if self.weather.calm or self.chance.random() >= self.weather.storm.late:
            return None
        return self.chance.uniform(0.0, 0.1), self.chance.choice((0.0, LATE * self.chance.random()))

    def _latency(self) -> float:
        """Mostly small, sometimes all of it."""
        most = CALM_LATENCY if self.weather.calm else self.weather.storm.latency
        return most * self.chance.random() ** 3

    async def _pause(self) -> None:
        left = self.weather.paused_until.get(self.process, 0.0) - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    async def _outage(self, operation: str) -> None:
        outage = self.weather.outage(self.service)
        if outage is None:
            return
        if outage.hangs:
            await asyncio.sleep(PATIENCE)
            raise Unavailable(operation, "timeout", "outage")
        raise Unavailable(operation, "connection", "outage")

    def _refusal(self, operation: str) -> Unavailable | SourceGone:
        if self.service == "sqs" and self.chance.random() < 0.1:
            return SourceGone(f"{operation}: there is no such queue")
        return Unavailable(operation, self.chance.choice(REFUSALS[self.service]))
