"""A function as mappings see it: permits, an executor, and the time it may take."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.core.envelope import MAX_EVENT_BYTES, envelope
from poller.core.model import Attempt, Invocation, TooLarge
from poller.core.permits import PermitLedger, Ticket

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncIterator, Mapping

    from poller.core.model import Answer
    from poller.drain import Drain
    from poller.observe.function import FunctionObserver
    from poller.ports import Clock, Executor, Rng


class Permits:
    """The permits of all functions of this process; what the ledger decides, this waits for."""

    def __init__(self, limits: Mapping[str, int], total: int) -> None:
        self._ledger = PermitLedger(limits, total)
        self._granted: dict[Ticket, Future[None]] = {}
        self._hopeful: dict[Future[None], str] = {}

    @asynccontextmanager
    async def hold(self, ticket: Ticket, drain: Drain) -> AsyncIterator[bool]:
        """Waits for a permit and holds it: True. False where a drain came first; then nothing is held."""
        held = self._ledger.ask(ticket)
        try:
            yield held or await self._turn(ticket, drain)
        finally:
            self._granted.pop(ticket, None)
            self._serve(self._ledger.give_back(ticket))

    def resize(self, limits: Mapping[str, int], total: int) -> None:
        """Other limits from now on; invocations that run go on."""
        self._serve(self._ledger.resize(limits, total))

    async def free(self, function: str, drain: Drain, seconds: float | None = None) -> bool:
        """Until the function has a free permit: True; False after so many seconds, or when the drain starts. Takes nothing."""
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        while not self._ledger.free(function):
            hope = loop.create_future()
            self._hopeful[hope] = function
            try:
                if not await drain.wait(hope, None if until is None else max(0.0, until - loop.time())):
                    return False
            finally:
                self._hopeful.pop(hope, None)
        return True

    async def _turn(self, ticket: Ticket, drain: Drain) -> bool:
        turn = self._granted[ticket] = asyncio.get_running_loop().create_future()
        return await drain.wait(turn)

    def _serve(self, served: list[Ticket]) -> None:
        """These hold a permit now; and who only waits for a free one looks again."""
        for ticket in served:
            self._granted[ticket].set_result(None)
        for hope, function in self._hopeful.items():
            if not hope.done() and self._ledger.free(function):
                hope.set_result(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function, shared by all mappings that name it.

    Attributes:
        name: as configured.
        timeout: seconds that one invocation may take.
    """

    name: str
    timeout: float
    executor: Executor
    permits: Permits
    clock: Clock
    observe: FunctionObserver

    async def invoke(self, attempt: Attempt, arn: str) -> Answer:
        """Invokes an attempt, whose request id is set, under the name `arn`. The caller holds a permit."""
        event = envelope(attempt.records)
        if len(event) > MAX_EVENT_BYTES:
            return TooLarge(len(event))
        invocation = Invocation(
            request_id=attempt.request_id or "",
            event=event,
            deadline=self.clock.time() + self.timeout,
            arn=arn,
        )
        self.observe.started()
        try:
            return await self.executor.invoke(invocation)
        finally:
            self.observe.finished()


def new_request_id(rng: Rng) -> str:
    """A random UUID, drawn from the given source of chance."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
