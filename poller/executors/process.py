"""Runs a function in worker processes, one invocation at a time each: an invocation goes in, Lambda's answer comes out.

A worker is started by `start` and kept by `pool`. Its process group is killed when it passes its deadline, when its invocation is
cancelled, when it has too much memory, when it dies, and when the daemon does.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Self, assert_never

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import NO_FIGURES, Errored, Figures, Refused, Returned, TooLarge
from poller.executors import payloads
from poller.executors.channel import Reply
from poller.executors.child import UNTAKEN, Ended
from poller.executors.launch import ProcessSpec
from poller.executors.lifecycle import INIT_SECONDS, Lifecycle
from poller.executors.memory import LONG, MemoryWatch, peak
from poller.executors.paced import Paced
from poller.executors.pool import Pool
from poller.executors.post import Post, Unstarted
from poller.executors.starting import Start
from poller.executors.waiting import outlast
from poller.executors.worker import RETURNED, Call
from poller.executors.workshop import Workshop

if TYPE_CHECKING:
    from asyncio import Future

    from poller.core.model import Answer, Invocation
    from poller.executors.post import Trouble
    from poller.ports import Clock, WorkerEvents


__all__ = ["Lifecycle", "MemoryWatch", "ProcessExecutor", "ProcessSpec"]


class ProcessExecutor:
    """Invokes one function. Without a lifecycle, workers come as they are needed, as many and as large as `spec` says.

    `memory` is for all executors of a process to share, so that one look serves them all.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        events: WorkerEvents,
        clock: Clock,
        lifecycle: Lifecycle | None = None,
        memory: MemoryWatch | None = None,
    ) -> None:
        lifecycle = lifecycle or Lifecycle(maximum_concurrency=spec.maximum_concurrency, memory_size=spec.memory_size)
        self._spec = spec
        self._events = events
        self._clock = clock
        self._init_seconds = max(INIT_SECONDS, spec.timeout)
        self._printed = Paced(events)
        self._pool = Pool(
            Start(
                source=Workshop(spec, self._printed, clock),
                lifecycle=replace(lifecycle, init_seconds=self._init_seconds),
                events=events,
                clock=clock,
                memory=memory or MemoryWatch(),
            )
        )
        self._warm: Future[Answer | None] | None = None

    async def __aenter__(self) -> Self:
        self._events.workers(self._pool.count)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Ends all workers. Returns when no process, descriptor or folder of them is left."""
        try:
            await self._pool.close()
            await self._printed.caught_up()
        finally:
            self._printed.close()

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `poller.ports.Executor`. Waiting for a worker does not count: the deadline moves by what it took."""
        if len(invocation.event) > MAX_EVENT_BYTES:
            return TooLarge(len(invocation.event))
        begun = self._clock.monotonic()
        seconds = invocation.deadline - self._clock.time()
        post, waited = self._pool.take_idle() or self._pool.take_resting(), 0.0
        while True:
            if post is None:
                new = await self._pool.take()
                if not isinstance(new, Post):
                    return self._not_run(new, invocation.request_id)
                post, waited = new, self._clock.monotonic() - begun
            init, post.cold = waited if post.cold else None, False
            call = Call(invocation.request_id, invocation.deadline + waited, invocation.arn or self._spec.arn, invocation.trace)
            try:
                reply = await post.worker.ask(call, invocation.event, seconds)
            except asyncio.CancelledError:
                post.worker.stop()
                await outlast(post.worker.dead)
                raise
            post.worker.rest()
            if isinstance(reply, Ended) or reply.kind != UNTAKEN:
                break
            self._pool.take_back(post)
            post = None
        if isinstance(reply, Ended):
            duration = self._clock.monotonic() - begun - waited
            figures = Figures(duration=duration, init_duration=init, max_memory=post.watched.peak or None)
            answer = _died(post.ended or reply, invocation.request_id, seconds, figures)
        else:
            answer = _answer(reply, init, post)
            self._pool.give_back(post)
        if self._printed.behind:
            await self._printed.caught_up()
        return answer

    def warm(self) -> Future[Answer | None]:
        """See `poller.ports.Provisioned`."""
        if self._warm is None:
            self._warm = asyncio.get_running_loop().create_future()
            self._pool.warm().add_done_callback(self._warmed)
        return self._warm

    def _warmed(self, tried: Future[Trouble | None]) -> None:
        if self._warm is None or self._warm.done():
            return
        if tried.cancelled():
            self._warm.cancel()
        else:
            trouble = tried.result()
            self._warm.set_result(None if trouble is None else self._not_run(trouble, ""))

    def _not_run(self, trouble: Trouble, request_id: str) -> Answer:
        """What an invocation is answered that no worker could be found for."""
        match trouble:
            case Refused():
                return trouble
            case Unstarted(reason):
                return Errored("crash", payloads.not_started(request_id, reason))
            case Ended():
                return _died(trouble, request_id, self._init_seconds, NO_FIGURES)
            case Reply():
                return Errored("function_error", trouble.payload)
        assert_never(trouble)


def _answer(reply: Reply, init: float | None, post: Post) -> Answer:
    known = reply.memory if reply.seconds < LONG else 0
    memory = max(known, post.watched.peak) if known else peak(post.watched, reply.seconds)
    figures = Figures(duration=reply.seconds, init_duration=init, max_memory=memory or None)
    if reply.kind == RETURNED:
        return Returned(reply.payload, figures)
    return Errored("function_error", reply.payload, figures)


def _died(ended: Ended, request_id: str, seconds: float, figures: Figures) -> Answer:
    """What a worker's death means for whoever waited for its reply, for so many seconds at most."""
    match ended.cause:
        case "timeout":
            return Errored("timeout", payloads.timed_out(request_id, seconds), figures)
        case "oom":
            return Errored("oom", payloads.out_of_memory(request_id), figures)
        case "itself" | "stopped":
            return Errored("crash", payloads.exited(request_id, ended.status), figures)
        case "channel":
            return Errored("crash", payloads.broken_off(request_id, ended.detail), figures)
    assert_never(ended.cause)
