"""Puts the demo together, runs it, and takes it apart."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from poller.clock import SystemClock
from poller.demo import servers
from poller.demo.children import Child, DemoFailed, own_folder, running
from poller.demo.site import DRAIN_TIMEOUT, furnish
from poller.demo.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

    from poller.demo.feed import Feed
    from poller.demo.screen import Watcher

T = TypeVar("T")

USUAL_PORT: Final = 9108
"""Where a daemon's listener is unless configured; the demo's too, where it is free."""

START_PATIENCE: Final = 30.0
DRAIN_PATIENCE: Final = DRAIN_TIMEOUT + 10.0

LOOK_AGAIN: Final = 0.1
SAME_SIGNAL: Final = 0.2
"""Seconds in which a second signal counts as the first: `timeout` and shells signal a process and its group."""

SHOW_CURSOR: Final = "\x1b[?25h"

EX_FAILED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says.

    Attributes:
        seconds: how long to feed; None: until a signal.
        rate: orders a second for each source.
        keep: leave the folder there.
        metrics_port: of the daemon's listener; None: the usual one if it is free, else any; 0: any.
    """

    seconds: float | None = None
    rate: float = 40.0
    keep: bool = False
    metrics_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All that runs."""

    children: tuple[Child, ...]
    daemon: Child
    feed: Feed
    watcher: Watcher


def run(options: Options) -> int:
    """The demo from beginning to end; returns the exit code. Says what it does on stdout, and what went wrong on stderr.

    Raises `BrokenPipeError` where nobody reads what it says; by then everything has been taken apart.
    """
    if absent := servers.missing():
        complain(f"the extra is not installed (no {', '.join(absent)}): pip install 'poller[demo]'")
        return EX_FAILED
    failures: list[BaseException] = []
    code, unread = EX_FAILED, False
    try:
        code = asyncio.run(play(options))
    except* DemoFailed as group:
        failures += group.exceptions
    except* BrokenPipeError:
        unread = True
    if unread:
        raise BrokenPipeError
    for failure in failures:
        complain(str(_innermost(failure)))
    return code


async def play(options: Options) -> int:
    """Everything in its order: set up, run until it is to stop, drain, sum up. Raises `DemoFailed`."""
    port, stop = metrics_port(options), asyncio.Event()
    with stopping_signals(stop), own_folder(keep=options.keep) as folder:
        if options.keep:
            say(f"folder: {folder}")
        async with AsyncExitStack() as stack:
            cast = await unless(stop, set_up(options, port, folder, stack))
            if cast is None:
                say("stopped before anything ran")
                return 0
            if options.seconds is not None:
                asyncio.get_running_loop().call_later(options.seconds, stop.set)
            await unless(stop, perform(cast))
            code = await drain(cast)
    for line in cast.watcher.summary():
        say(line)
    say(f"poller drained, exit code {code}" if code == 0 else f"poller did not drain well, exit code {code}")
    if options.keep:
        say(f"kept: {folder}")
    return EX_FAILED if code else 0


async def set_up(options: Options, port: int, folder: Path, stack: AsyncExitStack) -> Cast:
    """Starts servers and daemon, makes streams and queues. All of it ends with `stack`."""
    say("starting ministack (Kinesis, SQS) and Valkey (the store)")
    stand_in, store = servers.ministack(folder), servers.valkey(folder)
    children = [stack.enter_context(running(program, folder)) for program in (stand_in, store)]
    from poller.demo.feed import Feed  # noqa: PLC0415  imports take a second: meanwhile the servers start
    from poller.demo.scene import scene  # noqa: PLC0415  the same
    from poller.demo.screen import Watcher  # noqa: PLC0415  the same

    forget_aws()
    for child in children:
        await child.listening(START_PATIENCE)
    say("making streams and queues")
    url = f"http://{servers.LOOPBACK}:{stand_in.port}"
    opened = await stack.enter_async_context(scene(url))
    await opened.build(SOURCES)
    config = furnish(folder, SOURCES, services=url, store=f"redis://{servers.LOOPBACK}:{store.port}", port=port)
    say(f"starting poller run -c {config}")
    daemon = stack.enter_context(running(servers.daemon(config, port), folder))
    await daemon.listening(START_PATIENCE)
    feed = Feed(taker=opened, sources=SOURCES, rate=options.rate, clock=SystemClock())
    watcher = await stack.enter_async_context(Watcher(feed=feed, scene=opened, log=daemon.log, port=port))
    say(f"metrics: {watcher.url}")
    return Cast(children=(*children, daemon), daemon=daemon, feed=feed, watcher=watcher)


async def perform(cast: Cast) -> None:
    """Feeds and shows, until it is cancelled. Raises `DemoFailed` where a program has ended."""
    async with asyncio.TaskGroup() as together:
        together.create_task(cast.feed.run())
        together.create_task(cast.watcher.run())
        while True:
            for child in cast.children:
                child.check()
            await asyncio.sleep(LOOK_AGAIN)


async def drain(cast: Cast) -> int:
    """Ends the daemon as a service manager would. Returns its exit code. Raises `DemoFailed` where it does not end."""
    say("the feed has ended; poller drains")
    cast.daemon.terminate()
    async with asyncio.TaskGroup() as together:
        last_pages = together.create_task(cast.watcher.keep_reading())
        code = await cast.daemon.ended(DRAIN_PATIENCE)
        last_pages.cancel()
    if code is None:
        raise DemoFailed(f"poller still runs {DRAIN_PATIENCE:g} s after SIGTERM.{cast.daemon.last_words()}")
    await cast.watcher.look()
    return code


async def unless(stop: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """What the work returns; None where it was stopped first: then it was cancelled."""
    async with asyncio.TaskGroup() as together:
        working = together.create_task(work)
        stopping = together.create_task(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()
    return None if working.cancelled() else working.result()


@contextmanager
def stopping_signals(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`; a second one ends this process at once, and the leashes end everything else."""
    loop = asyncio.get_running_loop()
    first: float | None = None

    def received(number: int) -> None:
        nonlocal first
        if first is None:
            first = loop.time()
            stop.set()
        elif loop.time() - first > SAME_SIGNAL:
            print(SHOW_CURSOR if sys.stdout.isatty() else "", end="", flush=True)
            os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def forget_aws() -> None:
    """Takes the user's own AWS settings out of this process: none of them may reach the stand-in, or be needed."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(servers.AWS)


def metrics_port(options: Options) -> int:
    """Where the daemon's listener is to be. Raises `DemoFailed` where the port that was asked for is taken."""
    if options.metrics_port is None:
        return USUAL_PORT if servers.is_free(USUAL_PORT) else servers.free_port()
    if options.metrics_port and not servers.is_free(options.metrics_port):
        raise DemoFailed(f"port {options.metrics_port} is taken: choose another --metrics-port")
    return options.metrics_port or servers.free_port()


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Why there is no demo, or no more of it."""
    print(f"poller demo: error: {text}", file=sys.stderr)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
