"""The iterator of a shard, as Kinesis and DynamoDB have it: it moves on with each read, and dies when it is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from poller.errors import IteratorExpired, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.ports import Clock


class Answer(Protocol):
    """An answer of GetRecords."""

    @property
    def next_iterator(self) -> str | None:
        """For the read that comes next; None at the end of the shard."""


A = TypeVar("A", bound=Answer)


class HeldIterator:
    """One for each reader. It is made anew when it is too old to be trusted, or the service says that it has expired."""

    def __init__(self, clock: Clock, life: float, first: str | None) -> None:
        """`life`: seconds for which one is trusted; `first`: one that is there already, just made."""
        self._clock = clock
        self._life = life
        self._iterator = first
        self._expires_at = clock.monotonic() + life

    def drop(self) -> None:
        """The next read needs another one."""
        self._iterator = None

    async def read(self, make: Callable[[], Awaitable[str]], ask: Callable[[str], Awaitable[A]]) -> A:
        """What `ask` answers with the iterator; `make` makes one where there is none that can be trusted."""
        if self._iterator is None or self._clock.monotonic() >= self._expires_at:
            self._iterator = await make()
            self._expires_at = self._clock.monotonic() + self._life
        try:
            answer = await ask(self._iterator)
        except IteratorExpired as error:
            self._iterator = None
            raise Unavailable("GetRecords", "expired_iterator", str(error)) from error
        self._expires_at = self._clock.monotonic() + self._life
        self._iterator = answer.next_iterator
        return answer
