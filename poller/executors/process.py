"""Runs a function in worker processes: one invocation at a time each, started on demand, kept for the next.

A worker is the light worker of `worker.py` under the function's own Python. Its process group is killed when it passes its deadline,
when its invocation is cancelled, when it dies, and when the daemon does.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from time import gmtime, strftime
from typing import TYPE_CHECKING, Self, assert_never

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import Errored, Figures, Refused, Returned, TooLarge
from poller.executors import payloads
from poller.executors.child import Child, Ended
from poller.executors.launch import ProcessSpec, launch
from poller.executors.waiting import outlast
from poller.executors.worker import RETURNED, READY, Call

if TYPE_CHECKING:
    from poller.core.model import Answer, Invocation
    from poller.executors.channel import Reply
    from poller.ports import Clock, WorkerEvents

INIT_SECONDS = 10.0
"""What Lambda gives a function to initialise."""

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC})
"""A process cannot be started for want of something that is not the function's fault."""


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
        seconds = invocation.deadline - self._clock.time()
        init = None
        child = self._idle.pop() if self._idle else None
        if child is None:
            started = self._clock.monotonic()
            child = await self._start(invocation)
            if not isinstance(child, Child):
                return child
            ...
