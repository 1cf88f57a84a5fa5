"""A saturated function delays nobody else: not the pages of the daemon, and not the records of another function.

Each figure is compared with that of a second daemon on the same machine at the same time, which has the same configuration and no
work but the other function's: whatever else the machine does, it does to both.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import aiohttp
import pytest
from e2e.scene import FUNCTIONS, Scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.scene import Fields
    from support.daemon import Daemon

CONCURRENCY = 2
FLOODS = 3
"""Queues before the function that is saturated."""

WINDOW = 4.0
WINDOWS = 3
"""So often it is measured, until it is as it should be: in a window a stranger may have taken the machine for a moment."""

BETWEEN_PROBES, BETWEEN_SCRAPES, BETWEEN_RECORDS = 0.01, 0.2, 0.1

RATIO = 3.0
"""Of the time that the busy daemon takes by that of the idle one, at the worst."""

STALL = 0.1
"""Seconds that the worst of all probes may take beyond that."""


@dataclass(slots=True, kw_only=True)
class Side:
    """A daemon, and what it was measured at, in seconds.

    Attributes:
        queue: of the function that is not saturated.
        probes: how long /livez took, and so how late its loop was.
        scrapes: the same of /metrics.
        sent: when each record was sent to the queue, in Unix seconds.
    """

    scene: Scene
    daemon: Daemon
    queue: str
    probes: list[float] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)
    sent: dict[int, float] = field(default_factory=dict)

    @property
    def delays(self) -> list[float]:
        """From sending to the start of the handler, of the records of this window."""
        return [entry["began"] - self.sent[entry["id"]] for entry in self.scene.ledger.entries if entry["id"] in self.sent]

    def forget(self) -> None:
        self.probes, self.scrapes, self.sent = [], [], {}


@pytest.mark.slow
async def test_a_saturated_function_delays_neither_pages_nor_another_function(scene: Scene) -> None:
    async with sides(scene, "busy", messages=60) as (busy, idle):
        await measured(busy, idle)
        now = await busy.daemon.measured(
            lambda now: now.value("poller_in_flight_invocations", function="saturated") == CONCURRENCY,
            "it is saturated to the end",
        )
        assert now.value("poller_throttles_total", function="saturated") > 0
        assert not idle.daemon.lines("batch", mapping="flood-0")


@pytest.mark.slow
@pytest.mark.parametrize(("ordeal", "messages"), [("floods", 15), ("answers", 60)])
async def test_a_hundred_megabytes_of_output_and_answers_of_six_do_not_stall_the_loop(
    scene: Scene, ordeal: str, messages: int
) -> None:
    async with sides(scene, ordeal, messages) as (busy, idle):
        await busy.daemon.logged("batch", mapping="flood-0", outcome="success")
        await measured(busy, idle)
        assert max(busy.probes) <= RATIO * max(idle.probes) + STALL


@asynccontextmanager
async def sides(scene: Scene, ordeal: str, messages: int) -> AsyncIterator[tuple[Side, Side]]:
    """The busy daemon, with so many messages for its saturated function in each of several queues, and the idle one."""
    made = [corner(scene, name) for name in ("busy", "idle")]
    try:
        started = [await start(each, ordeal, waiting) for each, waiting in zip(made, (messages, 0), strict=True)]
        yield started[0], started[1]
    finally:
        for each in made:
            await each.close()


def corner(scene: Scene, name: str) -> Scene:
    folder = scene.folder / name
    folder.mkdir()
    return Scene(url=scene.url, folder=folder, streams=scene.streams, queues=scene.queues)


async def start(scene: Scene, ordeal: str, messages: int) -> Side:
    other, floods = await scene.queue(), [await scene.queue(f"-flood-{number}") for number in range(FLOODS)]
    for queue in floods:
        await scene.send(queue, *range(messages))
    flooding: list[Fields] = [
        scene.queue_mapping(queue, name=f"flood-{number}", function_name="saturated", batch_size=1)
        for number, queue in enumerate(floods)
    ]
    saturated = {"code": str(FUNCTIONS / "saturating"), "maximum_concurrency": CONCURRENCY, "environment": {"ORDEAL": ordeal}}
    functions = {"orders": scene.function(), "saturated": scene.function(saturated)}
    daemon = await scene.running(scene.queue_mapping(other), *flooding, functions=functions)
    await scene.send(other, "the first")
    await scene.ledger.has("the first", daemon=daemon)  # with a worker, which is kept
    return Side(scene=scene, daemon=daemon, queue=other)


async def measured(busy: Side, idle: Side) -> None:
    """Measures both until the one is not much slower than the other, or for so many windows."""
    ratios: dict[str, float] = {}
    for window in range(WINDOWS):
        for side in (busy, idle):
            side.forget()
        await measure(busy, idle, first=1_000 * window)
        assert len(busy.delays) == len(busy.sent), "records of the other function are left behind"
        ratios = {
            "loop p99": late(busy.probes, 0.99) / late(idle.probes, 0.99),
            "/metrics p90": late(busy.scrapes, 0.9) / late(idle.scrapes, 0.9),
            "records p90": late(busy.delays, 0.9) / late(idle.delays, 0.9),
        }
        print(f"window {window}, {len(busy.probes)} probes: {ratios}, worst {max(busy.probes):.3f} and {max(idle.probes):.3f} s")
        if max(ratios.values()) <= RATIO:
            return
    raise AssertionError(f"busy / idle: {ratios}")


def late(seconds: list[float], share: float) -> float:
    """What so many of them do not exceed."""
    return sorted(seconds)[int(len(seconds) * share)]


async def measure(busy: Side, idle: Side, *, first: int) -> None:
    """One window: pages of both in turn, and the same records for both."""
    end = time.monotonic() + WINDOW
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(get("/livez", [(busy, busy.probes), (idle, idle.probes)], BETWEEN_PROBES, end))
        tasks.create_task(get("/metrics", [(busy, busy.scrapes), (idle, idle.scrapes)], BETWEEN_SCRAPES, end))
        tasks.create_task(send([busy, idle], first, end))
    for side in (busy, idle):
        await side.scene.ledger.has(*side.sent, daemon=side.daemon)


async def get(path: str, of: list[tuple[Side, list[float]]], pause: float, end: float) -> None:
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            for side, figures in of:
                began = time.perf_counter()
                async with session.get(f"http://127.0.0.1:{side.daemon.port}{path}") as response:
                    assert response.status == 200
                    await response.read()
                figures.append(time.perf_counter() - began)
            await asyncio.sleep(pause)


async def send(to: list[Side], first: int, end: float) -> None:
    for number in count(first):
        if time.monotonic() >= end:
            return
        for side in to:
            side.sent[number] = time.time()
            await side.scene.send(side.queue, number)
        await asyncio.sleep(BETWEEN_RECORDS)
