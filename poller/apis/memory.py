"""What the Apis in memory share: a connection that can misbehave on request, and be cut.

The contents (`MemoryStreams`, `MemoryQueues`) are the service: they outlive connections, and any number may share them. A
connection (`MemoryKinesis`, `MemorySqs`) is what one process has of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Faults(Protocol):
    """Misbehaviour of one connection. Both methods may wait, and may raise `Unavailable` or `IteratorExpired`."""

    async def before(self, operation: str) -> None:
        """Called before the effect: what is raised here keeps the call from happening."""

    async def after(self, operation: str) -> None:
        """Called after the effect: what is raised here loses the answer, the effect stays."""


class NoFaults:
    """Every call works."""

    async def before(self, operation: str) -> None:
        """See `Faults.before`."""

    async def after(self, operation: str) -> None:
        """See `Faults.after`."""


NO_FAULTS: Final[Faults] = NoFaults()


class Link:
    """The way from one connection to its contents."""

    def __init__(self, faults: Faults = NO_FAULTS) -> None:
        self._faults = faults
        self._whole = True

    def cut(self) -> None:
        """From now on, and for ever, nothing passes: calls not yet made have no effect, answers on their way are lost."""
        self._whole = False

    async def carry(self, operation: str, effect: Callable[[], T], *, ready: Callable[[], Awaitable[None]] | None = None) -> T:
        """Makes one call: the effect happens at one instant, between two chances to go wrong.

        Lets other tasks run at least once, as any real call does. `ready` waits, on the service's side, for the effect's time.
        """
        await asyncio.sleep(0)
        await self._faults.before(operation)
        self._check(operation)
        if ready is not None:
            await ready()
            self._check(operation)
        answer = effect()
        await self._faults.after(operation)
        self._check(operation)
        return answer

    def _check(self, operation: str) -> None:
        if not self._whole:
            raise Unavailable(operation, "connection", "the connection is cut")
