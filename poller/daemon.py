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
from functools import partial
from typing import TYPE_CHECKING

from poller.admin.health import Health
from poller.clock import SystemClock
from poller.compose import Parts, World, make_functions, make_mapping
from poller.drain import Drain
from poller.errors import ConfigError, Unavailable
from poller.mapping import run_mapping
from poller.observe.logs import configure, logger
from poller.observe.loop import sample_lag
from poller.observe.metrics import Metrics
from poller.observe.store import ObservedStore
from poller.queue import QueueMapping, run_queue
from poller.readahead import MemoryBudget
from poller.retry import transport_wait
from poller.sources.pace import ReadPace

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from poller.config import Config, MappingConfig
    from poller.mapping import StreamMapping

    AnyMapping = StreamMapping | QueueMapping

CONNECTIONS = 10
"""Connections of a client for each mapping, at the most: a queue's polls hold one each for their whole time."""

READ_AHEAD_BYTES = 256 * 1024 * 1024
"""Payload bytes that all shards of the process may hold together."""

LOG_FORMATS = {"auto": None, "json": True, "console": False}

COLLECTIONS = (50_000, 20, 100)
"""Allocations before the youngest generation is looked at, and so on."""

SAME_SIGNAL = 0.2
"""Seconds in which a second signal counts as the first: `timeout`, shells and supervisors signal the group as well."""

log = logger()


def run(config: Config) -> int:
    """Runs the daemon until it has drained; returns the exit code. Raises `ConfigError` for what only the world could tell."""
    configure(config.log.level, json=LOG_FORMATS[config.log.format])
    raise_descriptor_limit()
    spare_the_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(config))
    return 0


async def main(config: Config) -> None:
    """The daemon in the real world: signals start its drain."""
    from poller.apis.client import AwsClients, Transport  # noqa: PLC0415  takes a second; commands that need no AWS never pay
    from poller.wiring import production  # noqa: PLC0415  the same

    drain, clock = Drain(), SystemClock()
    with draining_signals(drain.start):
        async with AwsClients(Transport(connections=max(50, CONNECTIONS * len(config.event_source_mappings)))) as clients:
            world = World(clock=clock, rng=random.Random(), wiring=production(clients, clock), owner=owner())  # noqa: S311  jitter and ids
            await serve(config, world, drain)


async def serve(config: Config, world: World, drain: Drain, metrics: Metrics | None = None) -> None:
    """Opens everything in order, runs the mappings until the drain is done, and closes in reverse."""
    metrics, health = metrics or Metrics(), Health(world.clock)
    async with AsyncExitStack() as stack:
        if config.http.listen is not None:
            from poller.admin.http import AdminServer  # noqa: PLC0415  aiohttp is not needed without a listener

            await stack.enter_async_context(AdminServer(config.http.listen, metrics, health))
        store = ObservedStore(world.wiring.store(config.store), metrics, world.clock, partial(told_by_store, health))
        parts = Parts(
            config=config,
            world=world,
            metrics=metrics,
            store=await stack.enter_async_context(store),
            functions=await make_functions(config, world, metrics, stack),
            budget=MemoryBudget(READ_AHEAD_BYTES),
            pace=ReadPace(world.clock),
        )
        enabled = [each for each in config.event_source_mappings if each.enabled]
        jobs = {each.name: run_configured(each, await try_mapping(each, parts), parts, drain) for each in enabled}
        log.info("started", mappings=len(jobs), functions=len(parts.functions), store=config.store.shown_url)
        health.passed("config")
        async with asyncio.TaskGroup() as together:
            lag = together.create_task(sample_lag(metrics, world.clock))
            await run_all(jobs, drain, config.drain_timeout, health)
            lag.cancel()
    log.info("stopped")


async def run_configured(config: MappingConfig, made: AnyMapping | None, parts: Parts, drain: Drain) -> None:
    """One mapping; where what it needs could not be reached at the start, as soon as it can. No other mapping waits for it."""
    failures = 0
    while made is None:
        failures += 1
        await drain.sleep(transport_wait(failures, parts.world.rng))
        if drain.started:
            return
        made = await try_mapping(config, parts)
    await (run_queue(made, drain) if isinstance(made, QueueMapping) else run_mapping(made, drain))


async def try_mapping(config: MappingConfig, parts: Parts) -> AnyMapping | None:
    """The mapping; None, and a line in the log, where its credentials or services cannot be reached for now."""
    try:
        return await make_mapping(config, parts)
    except Unavailable as error:
        log.warning("failing", mapping=config.name, what="mapping", kind=error.kind, error=str(error))
    except ConfigError as error:
        raise ConfigError(f"mapping {config.name}: {error}") from error
    return None


async def run_all(mappings: Mapping[str, Coroutine[None, None, None]], drain: Drain, patience: float, health: Health) -> None:
    """All mappings side by side until the drain is done; after `patience` seconds of draining what still runs is cancelled."""
    async with asyncio.TaskGroup() as together:
        running = [together.create_task(job, name=name) for name, job in mappings.items()]
        await drain.wait()
        health.drain()
        log.info("draining", timeout_s=patience)
        late = (await asyncio.wait(running, timeout=patience))[1] if running else set()
        for task in late:
            log.warning("drain_timeout", mapping=task.get_name())
            task.cancel()


def told_by_store(health: Health, problem: str | None) -> None:
    """Readiness follows the store."""
    if problem is None:
        health.passed("store")
    else:
        health.failed("store", f"not answering: {problem}")


@contextmanager
def draining_signals(start: Callable[[], None]) -> Iterator[None]:
    """SIGTERM or SIGINT drains; a second one ends the process at once (workers die with it), with the signal's exit code."""
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
    loop.add_signal_handler(signal.SIGHUP, lambda: log.warning("reload_ignored", remedy="restart"))
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
