"""The signal to start nothing new, and the waits that it ends early.

Lifecycle has three words. *Run*. *Drain*: start no new read; finish or release what is held, by a deadline. *Cancel*: stop now.
Whatever waits for longer than a call of the outside world waits through a `Drain`, so that a drain never waits for a timer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

T = TypeVar("T")


class Drain:
    """Starts once, for good. Belongs to one event loop."""

    def __init__(self) -> None:
        self.started = False
        self._waiters: dict[Future[bool], None] = {}  # no set: they wake in the order in which they came

    def start(self) -> None:
        """Start nothing new from now on. Starting twice is the same as once."""
        self.started = True
        for waiter in self._waiters:
            _finish(waiter, answer=False)

    async def wait(self, wanted: Future[T] | None = None, seconds: float | None = None) -> bool:
        """Until `wanted` is done (True), the seconds are over, or the drain starts (False). `wanted` is left as it is."""
        if self.started:
            return False
        loop = asyncio.get_running_loop()
        waiter: Future[bool] = loop.create_future()
        self._waiters[waiter] = None
        timer = None if seconds is None else loop.call_later(seconds, _finish, waiter, False)  # noqa: FBT003  call_later takes no keywords

        def came(_: Future[T]) -> None:
            _finish(waiter, answer=True)

        if wanted is not None:
            wanted.add_done_callback(came)
        try:
            return await waiter
        finally:
            del self._waiters[waiter]
            if timer is not None:
                timer.cancel()
            if wanted is not None:
                wanted.remove_done_callback(came)

    async def sleep(self, seconds: float) -> None:
        """Sleeps; a drain wakes it."""
        if seconds > 0:
            await self.wait(seconds=seconds)


def _finish(waiter: Future[bool], answer: bool) -> None:  # noqa: FBT001  a callback of the loop
    if not waiter.done():
        waiter.set_result(answer)
