"""How a worker begins and how it ends: told, counted, and held against those that come after it."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from poller.core.model import Refused
from poller.core.response import error_text
from poller.executors.channel import Reply
from poller.executors.crashloop import CrashLoop
from poller.executors.memory import MEBIBYTE, killed_for_memory
from poller.executors.post import Post, Unstarted, described
from poller.executors.worker import READY

if TYPE_CHECKING:
    from poller.executors.child import Ended
    from poller.executors.launch import Initialization
    from poller.executors.lifecycle import Lifecycle
    from poller.executors.memory import MemoryWatch
    from poller.executors.post import Keeper, Source, Trouble, Worker
    from poller.ports import Clock, WorkerEvents

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC})
"""A process cannot be started for want of something that is not the function's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Starts workers, judges their first words and their ends, and knows when none is to be started.

    Attributes:
        memory: who looks after theirs.
        crashes: those that died one after the other.
    """

    source: Source
    lifecycle: Lifecycle
    events: WorkerEvents
    clock: Clock
    memory: MemoryWatch
    crashes: CrashLoop = field(default_factory=CrashLoop)

    def launch(self, initialization: Initialization, keeper: Keeper) -> Post | Trouble:
        """A new process, or why there is none. Whether it becomes ready is known when its first reply is there."""
        now = self.clock.monotonic()
        try:
            worker = self.source.start(initialization, keeper)
        except OSError as error:
            if error.errno in EXHAUSTED:
                self.events.not_initialised("refused")
                return Refused("unavailable", detail=f"no worker can be started: {error}")
            return self._not_started(now, f"{error.strerror}: {error.filename}")
        except ValueError as error:  # an environment that no process can have
            return self._not_started(now, str(error))
        limit = self.lifecycle.memory_size * MEBIBYTE
        watched = self.memory.enter(worker.group, limit, partial(_has_too_much, worker))
        self.memory.work(watched)
        return Post(worker=worker, watched=watched, started_at=now)

    def initialised(self, post: Post, reply: Reply | Ended) -> Trouble | None:
        """Its first reply is there, or its end. None: it can be asked."""
        if isinstance(reply, Reply):
            if reply.kind == READY:
                self.events.initialised(self.clock.monotonic() - post.started_at)
                return None
            post.why = error_text(reply.payload)
            post.worker.stop("itself")  # which it is about to do, or has done
            self.events.not_initialised("failed")
            return reply
        if reply.cause == "stopped":
            return reply
        self.events.not_initialised("failed")
        return post.ended or reply

    def ended(self, post: Post, ended: Ended) -> None:
        """It is dead."""
        post.ended = ended = _judged(ended, post)
        self.memory.leave(post.watched)
        self.source.clear(post.worker.folder)
        if ended.cause == "stopped":
            return
        self.events.ended(ended.cause if ended.cause in {"timeout", "oom"} else "crash")
        if ended.cause != "timeout" or post.state == "starting":  # a slow invocation is no sign of a sick worker
            self._failed(post.started_at, post.why or described(ended))

    def _not_started(self, now: float, reason: str) -> Unstarted:
        self.events.not_initialised("failed")
        self._failed(now, reason)
        return Unstarted(reason)

    def _failed(self, started_at: float, why: str) -> None:
        wait = self.crashes.failed(started_at, self.clock.monotonic(), why)
        if wait is not None:
            self.events.backing_off(self.crashes.failures, wait)


def _has_too_much(worker: Worker, size: int) -> None:
    worker.stop("oom", f"it had {size // MEBIBYTE} MB")


def _judged(ended: Ended, post: Post) -> Ended:
    """How it ended, and why, if it was the kernel that killed it for want of memory."""
    killed = ended.cause == "itself" and ended.status == -signal.SIGKILL
    return replace(ended, cause="oom") if killed and killed_for_memory(post.watched) else ended
