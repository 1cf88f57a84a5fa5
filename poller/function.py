"""A function as mappings see it: permits, an executor, and the time it may take."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.core.envelope import MAX_EVENT_BYTES, TAIL, envelope
from poller.core.model import Attempt, Invocation, TooLarge
from poller.core.permits import PermitLedger, Ticket
from poller.ports import Provisioned

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Mapping

    from poller.core.model import Answer
    from poller.drain import Drain
    from poller.observe.function import FunctionObserver
    from poller.ports import Clock, Executor, Rng


class Permits:
    """The permits of all functions of this process; what the ledger decides, this waits for."""

    def __init__(self, limits: Mapping[str, int], total: int, reserved: Mapping[str, int] | None = None) -> None:
        self._ledger = PermitLedger(limits, total, reserved or {})
        self._granted: dict[Ticket, Future[None]] = {}
        self._hopeful: dict[str, dict[Future[None], int]] = {}

    def hold(self, ticket: Ticket, drain: Drain, observe: FunctionObserver | None = None) -> Holding:
        """Within the context a permit is held: True. False where a drain came before one was free; then nothing is held."""
        return Holding(self, ticket, drain, observe)

    def resize(self, limits: Mapping[str, int], total: int, reserved: Mapping[str, int] | None = None) -> None:
        """Other limits from now on; invocations that run go on."""
        self._serve(self._ledger.resize(limits, total, reserved or {}))

    def in_use(self, function: str) -> int:
        """Invocations of the function that hold a permit now."""
        return self._ledger.in_use(function)

    def has_free(self, function: str) -> bool:
        """Whether one more invocation of the function could start now."""
        return self._ledger.free(function)

    async def free(self, function: str, drain: Drain, seconds: float | None = None, priority: int = 0) -> bool:
        """Until the function has a free permit: True; False after so many seconds, or when the drain starts. Takes nothing.

        Of those who wait here the higher priority is told first.
        """
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        while not self._ledger.free(function):
            hope = loop.create_future()
            self._hopeful.setdefault(function, {})[hope] = priority
            try:
                if not await drain.wait(hope, None if until is None else max(0.0, until - loop.time())):
                    return False
            finally:
                self._give_up(function, hope)
        return True

    async def take(self, ticket: Ticket, drain: Drain, observe: FunctionObserver | None) -> bool:
        """What `hold` does first; `give_back` has to follow, whatever this returns or raises."""
        if self._ledger.ask(ticket):
            return True
        loop = asyncio.get_running_loop()
        turn = self._granted[ticket] = loop.create_future()
        if observe is None:
            return await drain.wait(turn)
        began = loop.time()
        observe.throttled(self._ledger.shortage(ticket.function))
        try:
            return await drain.wait(turn)
        finally:
            observe.waited(loop.time() - began)

    def give_back(self, ticket: Ticket) -> None:
        """Nothing is held or waited for under this ticket any more."""
        self._granted.pop(ticket, None)
        self._serve(self._ledger.give_back(ticket))

    def _serve(self, served: list[Ticket]) -> None:
        """These hold a permit now; and who only waits for a free one looks again."""
        for ticket in served:
            self._granted[ticket].set_result(None)
        for function, hopes in self._hopeful.items():
            if self._ledger.free(function):
                for hope in sorted(hopes, key=hopes.__getitem__, reverse=True):  # among equals, in the order in which they came
                    if not hope.done():
                        hope.set_result(None)

    def _give_up(self, function: str, hope: Future[None]) -> None:
        hopes = self._hopeful[function]
        del hopes[hope]
        if not hopes:
            del self._hopeful[function]


class Holding:
    """One permit, held within the context. No generator: one is made for each invocation."""

    __slots__ = ("_drain", "_observe", "_permits", "_ticket")

    def __init__(self, permits: Permits, ticket: Ticket, drain: Drain, observe: FunctionObserver | None) -> None:
        self._permits = permits
        self._ticket = ticket
        self._drain = drain
        self._observe = observe

    async def __aenter__(self) -> bool:
        """Whether it is held; False: a drain came first."""
        try:
            return await self._permits.take(self._ticket, self._drain, self._observe)
        except BaseException:
            self._permits.give_back(self._ticket)
            raise

    async def __aexit__(self, *exc_info: object) -> None:
        """Gives it back."""
        self._permits.give_back(self._ticket)


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

    def permit(self, mapping: str, priority: int, drain: Drain) -> Holding:
        """The right to invoke it once, held within the context: see `Permits.hold`."""
        return self.permits.hold(Ticket(mapping, self.name, priority), drain, self.observe)

    async def warm(self, drain: Drain) -> None:
        """Until the workers that it is always to have were tried once, whatever came of it, or the drain starts."""
        if isinstance(self.executor, Provisioned):
            await drain.wait(self.executor.warm())

    async def invoke(self, attempt: Attempt, arn: str, mapping: str = "", tail: bytes = TAIL) -> Answer:
        """Invokes an attempt, whose request id is set, under the name `arn`, for a mapping. The caller holds a permit.

        `tail` is what follows the records in the event.
        """
        event = envelope(attempt.records, tail)
        if len(event) > MAX_EVENT_BYTES:
            return TooLarge(len(event))
        invocation = Invocation(
            request_id=attempt.request_id or "",
            event=event,
            deadline=self.clock.time() + self.timeout,
            arn=arn,
        )
        answer = None
        self.observe.started(invocation.request_id, mapping)
        try:
            answer = await self.executor.invoke(invocation)
        finally:
            self.observe.finished(invocation.request_id, answer)
        return answer


def new_request_id(rng: Rng) -> str:
    """A random UUID, drawn from the given source of chance."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
