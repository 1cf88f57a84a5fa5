"""The workers of a function that are there always: started before the first invocation, and replaced when they are gone."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from poller.core.model import Refused
from poller.executors.post import Post

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle
    from collections.abc import Callable

    from poller.executors.channel import Reply
    from poller.executors.child import Ended
    from poller.executors.launch import Initialization
    from poller.executors.post import Trouble
    from poller.executors.starting import Start

SHORTAGE_SECONDS = 1.0
"""Between tries while the machine has no process to give."""


class Provision:
    """Keeps a pool from having fewer workers than are to be there always.

    `launch` adds a worker to the pool, `rest` is told when it has nothing to do, and `workers` says how many there are.
    """

    def __init__(
        self,
        start: Start,
        launch: Callable[[Initialization], Post | Trouble],
        rest: Callable[[Post], None],
        workers: Callable[[], int],
    ) -> None:
        self._start = start
        self._launch = launch
        self._rest = rest
        self._workers = workers
        self._wanted = 0
        self._tries = 0
        self._under_way = 0
        self._going_on = False
        self._trouble: Trouble | None = None
        self._timer: TimerHandle | None = None
        self._round: Future[Trouble | None] | None = None

    def begin(self) -> Future[Trouble | None]:
        """Begins. Done when each was tried once: None, or what was wrong with the first that did not become ready.

        Cancelled when the pool is closed before.
        """
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
            self._wanted = self._start.lifecycle.provisioned_concurrency
            self.refill()
        return self._round

    def close(self) -> None:
        """Starts no more."""
        self._wanted = 0
        if self._timer is not None:
            self._timer.cancel()
        if self._round is not None:
            self._round.cancel()

    def refill(self) -> None:
        """Starts what is missing, one in each turn of the loop; later, where that is of no use now.

        Each start keeps the loop for some milliseconds.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._going_on = False
        if self._workers() < self._wanted:
            wait = self._start.crashes.left(self._start.clock.monotonic()) or self._start_one()
            self._going_on = not wait
            self._timer = asyncio.get_running_loop().call_later(wait, self.refill)
        self._end_round()

    def _start_one(self) -> float:
        """Returns the seconds before the next may be tried."""
        post = self._launch("provisioned-concurrency")
        first = self._tries < self._wanted
        self._tries += 1
        if not isinstance(post, Post):
            self._trouble = self._trouble or post
            return SHORTAGE_SECONDS if isinstance(post, Refused) else 0.0
        self._under_way += first
        reply = post.worker.reply(self._start.lifecycle.init_seconds)
        reply.add_done_callback(partial(self._initialised, post, first))
        return 0.0

    def _initialised(self, post: Post, first: bool, reply: Future[Reply | Ended]) -> None:  # noqa: FBT001 - a callback of the loop
        trouble = self._start.initialised(post, reply.result())
        if trouble is None and post.worker.alive:
            post.worker.rest()
            self._start.memory.rest(post.watched)
            self._rest(post)
        if first:
            self._under_way -= 1
            self._trouble = self._trouble or trouble
            self._end_round()

    def _end_round(self) -> None:
        """Whoever waits for the first round waits no longer, once each was tried."""
        if not self._under_way and not self._going_on and self._round is not None and not self._round.done():
            self._round.set_result(self._trouble)
