"""Runs a function in worker processes: one invocation at a time each, started on demand, kept for the next.

A worker is the light worker of `worker.py` under the function's own Python. Its process group is killed when it passes its
deadline, when its invocation is cancelled, when it dies, and when the daemon does.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from functools import partial
from time import gmtime, strftime
from typing import TYPE_CHECKING, Self, assert_never

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import NO_FIGURES, Errored, Figures, Refused, Returned, TooLarge
from poller.executors import payloads
from poller.executors.child import Child, Ended
from poller.executors.launch import ProcessSpec, launch
from poller.executors.waiting import outlast
from poller.executors.worker import READY, RETURNED, Call

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import Answer, Invocation
    from poller.executors.channel import Reply
    from poller.ports import Clock, WorkerEvents

INIT_SECONDS = 10.0
"""What Lambda gives a function to initialise."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC})
"""A process cannot be started for want of something that is not the function's fault."""


__all__ = ["ProcessExecutor", "ProcessSpec"]


class ProcessExecutor:
    """Keeps the workers of one function."""

    def __init__(self, spec: ProcessSpec, events: WorkerEvents, clock: Clock) -> None:
        self._spec = spec
        self._events = events
        self._clock = clock
        self._launches = 0
        self._idle: list[Child] = []
        self._children: set[Child] = set()
        self._removals: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Kills all workers. Returns when no process, descriptor or folder of them is left."""
        children = list(self._children)
        for child in children:
            self._events.ended("reload")
            child.stop()
        try:
            await outlast(*(child.dead for child in children))
        finally:
            await outlast(*self._removals)

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `poller.ports.Executor`. Initialisation does not count: the deadline moves by what it took."""
        if len(invocation.event) > MAX_EVENT_BYTES:
            return TooLarge(len(invocation.event))
        begun = self._clock.monotonic()
        seconds = invocation.deadline - self._clock.time()
        child, init = self._take_idle(), None
        if child is None:
            new = await self._start(invocation.request_id)
            if not isinstance(new, Child):
                return new
            child, init = new, self._clock.monotonic() - begun
            self._events.initialised(init)
        call = Call(
            invocation.request_id, invocation.deadline + (init or 0.0), invocation.arn or self._spec.arn, invocation.trace
        )
        try:
            reply = await child.ask(call, invocation.event, seconds)
        except asyncio.CancelledError:
            await child.end()
            raise
        child.rest()
        if isinstance(reply, Ended):
            duration = self._clock.monotonic() - begun - (init or 0.0)
            return _died(reply, invocation.request_id, seconds, Figures(duration=duration, init_duration=init))
        if child.alive:
            self._idle.append(child)
        return _answer(reply, init)

    async def warm(self) -> Answer | None:
        """Starts a worker before anybody asks for one. None: it is ready and kept; else what an invocation would be answered."""
        begun = self._clock.monotonic()
        child = await self._start("")
        if not isinstance(child, Child):
            return child
        self._events.initialised(self._clock.monotonic() - begun)
        self._idle.append(child)
        return None

    def _take_idle(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
        return None

    async def _start(self, request_id: str) -> Child | Answer:
        """A worker that is ready, or what to answer because there is none."""
        self._launches += 1
        log_stream = strftime(f"%Y/%m/%d/[$LATEST]{self._launches:032x}", gmtime(self._clock.time()))
        try:
            child = Child(launch(self._spec, log_stream), self._events, self._buried)
        except OSError as error:
            if error.errno in EXHAUSTED:
                return Refused("unavailable", detail=f"no worker can be started: {error}")
            return Errored("crash", payloads.not_started(request_id, f"{error.strerror}: {error.filename}"))
        except ValueError as error:  # an environment that no process can have
            return Errored("crash", payloads.not_started(request_id, str(error)))
        self._children.add(child)
        seconds = max(INIT_SECONDS, self._spec.timeout)
        try:
            reply = await child.reply(seconds)
        except asyncio.CancelledError:
            await child.end()
            raise
        if isinstance(reply, Ended):
            return _died(reply, request_id, seconds, NO_FIGURES)
        if reply.kind == READY:
            return child
        child.stop("itself")  # which it is about to do
        await outlast(child.dead)
        return Errored("function_error", reply.payload)

    def _buried(self, child: Child, ended: Ended) -> None:
        self._children.discard(child)
        if child in self._idle:
            self._idle.remove(child)
        match ended.cause:
            case "timeout":
                self._events.ended("timeout")
            case "itself" | "channel":
                self._events.ended("crash")
            case "stopped":
                pass
            case _:
                assert_never(ended.cause)
        self._remove(child.folder)

    def _remove(self, folder: Path) -> None:
        """Removes a temporary folder: in a thread if there is anything in it."""
        try:
            folder.rmdir()
        except OSError:
            rmtree = partial(shutil.rmtree, folder, ignore_errors=True)
            removal = asyncio.get_running_loop().run_in_executor(None, rmtree)
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)


def _answer(reply: Reply, init: float | None) -> Answer:
    figures = Figures(duration=reply.seconds, init_duration=init, max_memory=reply.memory or None)
    if reply.kind == RETURNED:
        return Returned(reply.payload, figures)
    return Errored("function_error", reply.payload, figures)


def _died(ended: Ended, request_id: str, seconds: float, figures: Figures) -> Answer:
    """What a worker's death means for whoever waited for its reply, for so many seconds at most."""
    match ended.cause:
        case "timeout":
            return Errored("timeout", payloads.timed_out(request_id, seconds), figures)
        case "itself" | "stopped":
            return Errored("crash", payloads.exited(request_id, ended.status), figures)
        case "channel":
            return Errored("crash", payloads.broken_off(request_id, ended.detail), figures)
    assert_never(ended.cause)
