"""The workers of one function: how many there are, which of them serves next, and when one comes or goes.

Nothing of a worker's inside is known here, nor what it is asked: whoever wants one takes it, asks it, and gives it back.
Everything else happens in callbacks of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Literal

from poller.core.model import Refused
from poller.executors.post import Post
from poller.executors.provision import Provision
from poller.executors.waiting import outlast
from poller.ports import WorkerCount

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle

    from poller.executors.child import Ended
    from poller.executors.launch import Initialization
    from poller.executors.post import State, Trouble, Worker
    from poller.executors.starting import Start

RESTING_SECONDS = 0.1
"""So long a worker that has answered may take to be ready again before another is started in its place."""

LEAVING_SECONDS = 0.5
"""What a worker gets to end by itself (SIGTERM) before it is killed."""


class Pool:
    """Keeps the workers of one function. It is the `Keeper` of each."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._lifecycle = start.lifecycle
        self._now = start.clock.monotonic
        self._posts: dict[Worker, Post] = {}
        self._leaving: dict[Worker, Post] = {}
        self._idle: list[Post] = []
        self._waiting: list[Future[None]] = []
        self._upkeep: TimerHandle | None = None
        self._upkeep_at = 0.0
        self._provision = Provision(start, self._launch, self._rest, lambda: len(self._posts))
        self._closed = False

    # ------------------------------------------------------------------------------------------------- what executors call

    def take_idle(self) -> Post | None:
        """A worker that can be asked now, the one used last, if there is any. It is to be given back, or to die."""
        while self._idle:
            post = self._idle[-1]
            if self._worn(post):
                self._retire(post, "recycled")
                continue
            self._idle.pop()
            post.state = "busy"
            if post.worker.ready:  # else it is about to be buried
                self._start.memory.work(post.watched)
                return post
        return None

    def take_resting(self) -> Post | None:
        """A worker that has answered and will soon be ready, most likely. It is to be given back, or taken back, or to die."""
        for post in self._posts.values():
            if post.state == "resting" and post.worker.alive:
                post.state = "busy"
                self._start.memory.work(post.watched)
                return post
        return None

    def take_back(self, post: Post) -> None:
        """A resting worker did not come for what it was asked."""
        if post.worker in self._posts:
            self._start.memory.rest(post.watched)
            self._rest(post)

    async def take(self) -> Post | Trouble:
        """The same; waited for or started, if there is none."""
        patience = self._now() + RESTING_SECONDS
        while not self._closed:
            if (post := self.take_idle()) is not None:
                return post
            now = self._now()
            if self._has_room() and (now >= patience or not self._any_resting()):
                return self._start.crashes.refusal(now) or await self._start_for_invocation()
            await self._change(patience - now if self._has_room() else None)
        return Refused("unavailable", detail="the function is being closed")

    def give_back(self, post: Post) -> None:
        """It has answered, and its output is read."""
        post.invocations += 1
        self._start.crashes.answered(post.started_at)
        if post.worker not in self._posts:
            return
        self._start.memory.rest(post.watched)
        if self._worn(post):
            self._retire(post, "recycled")
            self._changed()
        else:
            self._rest(post)

    def warm(self) -> Future[Trouble | None]:
        """Begins to keep workers ready, as many as are to be there always. See `poller.ports.Provisioned`."""
        return self._provision.begin()

    def count(self) -> WorkerCount:
        """How many workers there are now."""
        count = self._count()
        return WorkerCount(count["starting"], count["idle"], count["busy"] + count["resting"])

    async def close(self) -> None:
        """Ends all workers at once. Returns when no process, descriptor or folder of them is left."""
        self._closed = True
        self._provision.close()
        if self._upkeep is not None:
            self._upkeep.cancel()
        for post in tuple(self._posts.values()):
            self._retire(post, "reload")
        self._tell_waiting()
        try:
            await outlast(*(worker.dead for worker in self._leaving))
            await self._start.memory.settled()
        finally:
            await self._start.source.cleared()

    # ---------------------------------------------------------------------------------------------------- what workers tell

    def ready(self, child: Worker) -> None:
        """See `poller.executors.child.Keeper`."""
        post = self._posts.get(child)
        if post is not None and post.state == "resting":
            self._rest(post)

    def buried(self, child: Worker, ended: Ended) -> None:
        """See `poller.executors.child.Keeper`."""
        post = self._posts.pop(child, None) or self._leaving.pop(child)
        if post.state == "idle":
            self._idle.remove(post)
        self._start.ended(post, ended)
        self._changed()

    # ---------------------------------------------------------------------------------------------------------- idle ones

    def _rest(self, post: Post) -> None:
        """It has nothing to do any more. Who waits for a worker may have it as soon as it can be asked again."""
        if not post.worker.ready:
            post.state = "resting"
            return
        post.state, post.idle_since = "idle", self._now()
        self._idle.append(post)
        self._look_after(post)
        self._tell_waiting()

    def _worn(self, post: Post) -> bool:
        most, age = self._lifecycle.maximum_invocations, self._lifecycle.maximum_age
        return (most is not None and post.invocations >= most) or (age is not None and self._now() - post.started_at >= age)

    def _look_after(self, post: Post) -> None:
        """Sees to it that an idle worker goes when its time has come."""
        idle, age = self._lifecycle.idle_timeout, self._lifecycle.maximum_age
        if age is None and (idle is None or self._upkeep is not None):
            return  # the others' time comes before this one's
        ends = [post.started_at + age] if age is not None else []
        if idle is not None and len(self._posts) > self._lifecycle.provisioned_concurrency:
            ends.append(post.idle_since + idle)
        if ends:
            self._look_in(max(0.0, min(ends) - self._now()))

    def _look_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._upkeep is None or at < self._upkeep_at:
            if self._upkeep is not None:
                self._upkeep.cancel()
            self._upkeep_at = at  # under uvloop a timer that is due at once does not know when it is
            self._upkeep = loop.call_at(at, self._keep_up)

    def _keep_up(self) -> None:
        """Idle workers that are too old go, and those that nobody needs, the one that has been idle for longest first."""
        self._upkeep = None
        now, timeout = self._now(), self._lifecycle.idle_timeout
        for post in tuple(self._idle):
            if self._worn(post):
                self._retire(post, "recycled")
            elif timeout is not None and now - post.idle_since >= timeout and self._has_spare():
                self._retire(post, "idle")
        for post in self._idle:
            self._look_after(post)
        self._changed()

    def _retire(self, post: Post, reason: Literal["recycled", "idle", "reload"]) -> None:
        """It is asked to end, and counts no more."""
        if post.state == "idle":
            self._idle.remove(post)
        post.state = "leaving"
        self._start.memory.rest(post.watched)
        self._leaving[post.worker] = self._posts.pop(post.worker)
        self._start.events.ended(reason)
        post.worker.dismiss(LEAVING_SECONDS)

    # ----------------------------------------------------------------------------------------------------------- new ones

    async def _start_for_invocation(self) -> Post | Trouble:
        """A worker that is ready, or why there is none."""
        post = self._launch("on-demand")
        if not isinstance(post, Post):
            return post
        try:
            trouble = self._start.initialised(post, await post.worker.reply(self._lifecycle.init_seconds))
            if trouble is not None:
                await outlast(post.worker.dead)
        except asyncio.CancelledError:
            post.worker.stop()
            await outlast(post.worker.dead)
            raise
        post.state, post.cold = "busy", True
        return trouble or post

    def _launch(self, initialization: Initialization) -> Post | Trouble:
        post = self._start.launch(initialization, self)
        if isinstance(post, Post):
            self._posts[post.worker] = post
        return post

    # --------------------------------------------------------------------------------------------------------------- counts

    def _has_room(self) -> bool:
        return len(self._posts) < self._lifecycle.maximum_concurrency

    def _has_spare(self) -> bool:
        return len(self._posts) > self._lifecycle.provisioned_concurrency

    def _any_resting(self) -> bool:
        return any(post.state == "resting" for post in self._posts.values())

    def _count(self) -> Counter[State]:
        return Counter(post.state for post in self._posts.values())

    async def _change(self, seconds: float | None) -> None:
        """Until a worker is idle or gone, or so many seconds have passed."""
        loop = asyncio.get_running_loop()
        change = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _tell, change)
        self._waiting.append(change)
        try:
            await change
        finally:
            self._waiting.remove(change)
            if timer is not None:
                timer.cancel()

    def _changed(self) -> None:
        """A worker is gone."""
        self._provision.refill()
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        for change in self._waiting:
            _tell(change)


def _tell(change: Future[None]) -> None:
    if not change.done():
        change.set_result(None)
