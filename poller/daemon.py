"""The composition root: store, functions, mappings, listener; signals; drain."""

from __future__ import annotations

import asyncio
import gc
import os
import random  # noqa: TID251  the composition root makes the real one
import resource
import signal
import socket
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from poller.admin.health import Health
from poller.admin.status import Board
from poller.clock import SystemClock
from poller.compose import Parts, World, permit_limits
from poller.drain import Drain
from poller.fleet import Fleet
from poller.function import Permits
from poller.observe.logs import configure, logger
from poller.observe.loop import sample_lag
from poller.observe.metrics import Metrics
from poller.observe.store import ObservedStore
from poller.overview import overview
from poller.readahead import MemoryBudget
from poller.reload import FileReloads
from poller.sources.pace import ReadPace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from poller.config import Config
    from poller.reload import Reloads

CONNECTIONS = 10_000
"""Of a client, at the most: mappings bound them by what they do, a poll of a queue holds one for its whole time."""

READ_AHEAD_BYTES = 256 * 1024 * 1024
"""Payload bytes that all shards of the process may hold together."""

LOG_FORMATS = {"auto": None, "json": True, "console": False}

COLLECTIONS = (50_000, 20, 100)
"""Allocations before the youngest generation is looked at, and so on."""

SAME_SIGNAL = 0.2
"""Seconds in which a second signal counts as the first: `timeout`, shells and supervisors signal the group as well."""

log = logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """Where the configuration came from: the file or folder, and how it is read again."""

    path: Path
    read: Callable[[], Config]


def run(config: Config, file: ConfigFile | None = None) -> int:
    """Runs the daemon until it has drained; returns the exit code. Raises `ConfigError` for what only the world could tell."""
    configure(config.log.level, json=LOG_FORMATS[config.log.format])
    raise_descriptor_limit()
    spare_the_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(config, file))
    return 0


async def main(config: Config, file: ConfigFile | None = None) -> None:
    """The daemon in the real world: signals start its drain, or have its file read again."""
    from poller.apis.client import AwsClients, Transport  # noqa: PLC0415  takes a second; commands that need no AWS never pay
    from poller.wiring import production  # noqa: PLC0415  the same

    drain, clock, metrics = Drain(), SystemClock(), Metrics()
    reloads = None if file is None else FileReloads(file.path, file.read, metrics, clock)
    with signals(drain.start, reload_ignored if reloads is None else reloads.ask):
        async with AwsClients(Transport(connections=CONNECTIONS)) as clients:
            world = World(clock=clock, rng=random.Random(), wiring=production(clients, clock), owner=owner())  # noqa: S311  jitter and ids
            await serve(config, world, drain, metrics, reloads)


async def serve(
    config: Config, world: World, drain: Drain, metrics: Metrics | None = None, reloads: Reloads | None = None
) -> None:
    """Opens everything in order, runs the mappings until the drain is done, and closes in reverse."""
    metrics, health, board = metrics or Metrics(), Health(world.clock), Board()
    async with AsyncExitStack() as stack:
        if config.http.listen is not None:
            from poller.admin.http import AdminServer  # noqa: PLC0415  aiohttp is not needed without a listener

            await stack.enter_async_context(AdminServer(config.http.listen, metrics, health, board))
        store = ObservedStore(world.wiring.store(config.store), metrics, world.clock, partial(told_by_store, health))
        parts = Parts(
            config=config,
            world=world,
            metrics=metrics,
            store=await stack.enter_async_context(store),
            permits=Permits(*permit_limits(config)),
            budget=MemoryBudget(READ_AHEAD_BYTES),
            pace=ReadPace(world.clock),
        )
        fleet = await stack.enter_async_context(Fleet(parts))
        board.show(partial(overview, fleet, health))
        async with asyncio.TaskGroup() as together:
            lag = together.create_task(sample_lag(metrics, world.clock))
            await fleet.run(drain, health, reloads)
            lag.cancel()
    log.info("stopped")


def told_by_store(health: Health, problem: str | None) -> None:
    """Readiness follows the store."""
    if problem is None:
        health.passed("store")
    else:
        health.failed("store", f"not answering: {problem}")


def reload_ignored() -> None:
    """There is no file to read again."""
    log.warning("reload_ignored", remedy="restart")


@contextmanager
def signals(start: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """SIGTERM or SIGINT drains; a second one ends the process at once (workers die with it), with the signal's exit code.

    SIGHUP reloads.
    """
    loop = asyncio.get_running_loop()
    first: float | None = None

    def received(number: int) -> None:
        nonlocal first
        if first is None:
            first = loop.time()
            start()
        elif loop.time() - first > SAME_SIGNAL:
            log.warning("stopped_at_once", signal=signal.Signals(number).name)
            os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def owner() -> str:
    """This process, as leases name it: unique, and readable for an operator."""
    return f"{socket.gethostname()}:{os.getpid()}:{random.SystemRandom().getrandbits(32):08x}"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed (extra `fast`)."""
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415  optional

        return uvloop.new_event_loop
    return None


def spare_the_collector() -> None:
    """Modules live for ever and records in flight make no cycles: the collector may look more rarely (8 % of the CPU)."""
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)


def raise_descriptor_limit() -> None:
    """Each connection and each worker takes descriptors: ask for as many as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
