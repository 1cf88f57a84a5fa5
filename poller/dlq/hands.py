"""What a command has in hand of a queue: it stays hidden from others until it is deleted or given back.

A receive hides what it brings for `HIDDEN` seconds only, whatever the queue is set to, and these are prolonged for as long as the
command runs. So nothing comes twice in one pass, and nothing is out of sight for long: at the end, after Ctrl-C too, everything
is visible again at once; after a `kill -9` within `HIDDEN` seconds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from poller.dlq.desk import caught, finished, opened
from poller.errors import PollerError
from poller.retry import transport_wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from poller.dlq.desk import Desk
    from poller.dlq.letters import Letter
    from poller.ports import EntryFailure

T = TypeVar("T")

HIDDEN: Final = 20
ENTRIES: Final = 10
"""Messages of one batch call."""

SIDE_BY_SIDE: Final = 4
TRIES: Final = 4
"""Of a delete that fails for an entry alone."""


@dataclass(slots=True, kw_only=True)
class _Held:
    receipt: str
    until: float


class Hands:
    """What is in hand, by message id.

    Attributes:
        gone: ids of messages that are done: should one come again, it is only to be deleted.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._held: dict[str, _Held] = {}
        self.gone: set[str] = set()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, letters: Iterable[Letter], asked_at: float) -> None:
        """These were received; they were asked for at `asked_at` (steady clock)."""
        for letter in letters:
            self._held.pop(letter.id, None)
            self._held[letter.id] = _Held(receipt=letter.receipt, until=asked_at + HIDDEN)

    async def keep(self) -> None:
        """Prolongs what is in hand, until cancelled."""
        while True:
            await asyncio.sleep(HIDDEN / 4)
            await finished(self._prolong())

    async def delete(self, letters: Sequence[Letter]) -> set[str]:
        """Deletes up to ten. Returns the ids of those that may still be there."""
        self.gone.update(letter.id for letter in letters)
        for letter in letters:
            self._held.pop(letter.id, None)
        left = list(letters)
        for failures in range(1, TRIES + 1):
            receipts = [letter.receipt for letter in left]
            answer = await self._desk.persist(lambda given=receipts: self._delete(given))  # type: ignore[misc]
            lost = {left[failure.index].id for failure in answer if failure.gone}
            left = [left[failure.index] for failure in answer]
            if len(lost) == len(left) or failures == TRIES:
                break
            await asyncio.sleep(transport_wait(failures, self._desk.rng))
        return {letter.id for letter in left}

    async def release(self) -> None:
        """Gives everything back at once. What cannot be given back comes by itself, in `HIDDEN` seconds at the most."""
        some = list(tens([held.receipt for held in self._held.values()]))
        self._held.clear()
        async with asyncio.TaskGroup() as group:
            for start in range(SIDE_BY_SIDE):
                group.create_task(self._give_back(some[start::SIDE_BY_SIDE]))

    async def _give_back(self, share: Sequence[Sequence[str]]) -> None:
        for receipts in share:
            with suppress(PollerError):
                await self._desk.api.change_visibility(self._desk.queue_arn, receipts, 0)

    async def _delete(self, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        return await self._desk.api.delete_messages(self._desk.queue_arn, receipts)

    async def _prolong(self) -> None:
        """Those of which half the time is over. What fails is tried the next time, and else comes again in the same pass."""
        now = self._desk.clock.monotonic()
        due = [id_ for id_, held in self._held.items() if held.until < now + HIDDEN / 2]
        for ids in tens(due):
            held = {id_: self._held[id_] for id_ in ids if id_ in self._held}
            if not held:
                continue
            asked_at = self._desk.clock.monotonic()
            receipts = [one.receipt for one in held.values()]
            answer = await caught(self._desk.api.change_visibility(self._desk.queue_arn, receipts, HIDDEN))
            failed = set(range(len(held))) if isinstance(answer, PollerError) else {failure.index for failure in opened(answer)}
            for index, one in enumerate(held.values()):
                if index not in failed:
                    one.until = asked_at + HIDDEN


def tens(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Ten at a time, in order."""
    return (items[start : start + ENTRIES] for start in range(0, len(items), ENTRIES))
