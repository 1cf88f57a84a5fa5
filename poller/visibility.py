"""The heartbeat of a queue: messages in hand stay hidden from others, for as long as they wait, run, or are being deleted.

Nothing here trusts the service's clock or the wall clock: a message is ours until its time is over, counted by the steady clock
from the moment the receive (or the last extension) was *asked for*.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from poller.errors import MappingError, Unavailable
from poller.retry import transport_wait

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterable, Sequence

    from poller.core.model import Record
    from poller.observe.mapping import MappingObserver
    from poller.ports import Clock, QueueSource, Rng

LONGEST = 43_200.0
"""Seconds for which SQS lets a message be hidden after its receive, in all: 12 hours."""

LAST_SECONDS = 5.0
"""Of these 12 hours a few seconds are left alone: the service counts from a moment that we only know roughly."""

ENTRIES = 10
"""Messages of one batch call."""

SIDE_BY_SIDE = 8
"""Calls that extend at the same time."""


@dataclass(slots=True, kw_only=True)
class _Hold:
    """A message in hand: since when, and until when it is ours if nothing is done."""

    record: Record
    since: float
    until: float


class Visibility:
    """Which messages of a queue are in hand, and until when they are ours. `run` prolongs that when half of it is over.

    Attributes:
        seconds: for which a receive, and each extension, hides a message.
    """

    def __init__(self, source: QueueSource, seconds: int, observe: MappingObserver, clock: Clock, rng: Rng) -> None:
        self._source = source
        self._observe = observe
        self._clock = clock
        self._rng = rng
        self._held: dict[str, _Hold] = {}
        self._line: dict[str, _Hold] = {}  # of them those to be prolonged, in the order in which they end: all last equally long
        self._under_way: dict[str, Future[None]] = {}
        self._arrival: Future[None] | None = None
        self.seconds = seconds

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes(self) -> int:
        """Payload bytes in hand."""
        return sum([len(hold.record.payload) for hold in self._held.values()])

    @property
    def held(self) -> list[Record]:
        """All messages in hand."""
        return [hold.record for hold in self._held.values()]

    def hold(self, records: Iterable[Record], asked_at: float) -> None:
        """These are in hand now; they were asked for at `asked_at` (steady clock)."""
        for record in records:
            hold = _Hold(record=record, since=asked_at, until=asked_at + self.seconds)
            self._held[record.receipt] = self._line[record.receipt] = hold
        if self._line and self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def ours(self, record: Record) -> bool:
        """Whether nobody else can have it: it is held, and its time is not over."""
        hold = self._held.get(record.receipt)
        return hold is not None and hold.until > self._clock.monotonic()

    def drop(self, records: Iterable[Record]) -> None:
        """These are not in hand any more: deleted, or left to the queue."""
        for record in records:
            self._held.pop(record.receipt, None)
            self._line.pop(record.receipt, None)

    async def let_go(self, records: Sequence[Record]) -> list[Record]:
        """Drops them and returns those that were still held, once no extension that could hide them again is under way."""
        held = [record for record in records if record.receipt in self._held]
        self.drop(held)
        for record in held:
            if (extension := self._under_way.get(record.receipt)) is not None:
                await asyncio.wait([extension])
        return held

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            await self._until_due()
            failures = 0 if await self._extend(self._due()) else failures + 1
            if failures:
                await asyncio.sleep(min(transport_wait(failures, self._rng), self.seconds / 8))

    async def _until_due(self) -> None:
        while True:
            now = self._clock.monotonic()
            first = next(iter(self._line.values()), None)
            if first is None:
                self._arrival = asyncio.get_running_loop().create_future()
                await self._arrival
            elif (left := self._half(first) - now) > 0:
                await asyncio.sleep(left)
            else:
                return

    def _half(self, hold: _Hold) -> float:
        return hold.until - self.seconds / 2

    def _due(self) -> list[_Hold]:
        """What is to be extended now. What is over by our own clock is given up: somebody else may have it."""
        now = self._clock.monotonic()
        due = list(takewhile(lambda hold: self._half(hold) <= now, self._line.values()))
        late = [hold.record for hold in due if hold.until <= now]
        self._lost(late)
        return [hold for hold in due if hold.until > now]

    def _lost(self, records: Sequence[Record]) -> None:
        if records:
            self.drop(records)
            self._observe.visibility("lost", len(records))

    async def _extend(self, due: list[_Hold]) -> bool:
        """Hides them for another while, some calls at a time. False where a call failed as a whole."""
        chunks = deque(due[start : start + ENTRIES] for start in range(0, len(due), ENTRIES))
        well = True
        while chunks and well:
            async with asyncio.TaskGroup() as together:
                calls = [together.create_task(self._prolong(chunks.popleft())) for _ in range(min(SIDE_BY_SIDE, len(chunks)))]
            well = all(call.result() for call in calls)
        return well

    async def _prolong(self, holds: list[_Hold]) -> bool:
        """One call. Its answer counts from when it was asked for; it may take no longer than the messages are ours."""
        asked_at = self._clock.monotonic()
        seconds = int(min(self.seconds, holds[0].since + LONGEST - LAST_SECONDS - asked_at))
        if asked_at + seconds <= holds[0].until:  # the 12 hours are over: what they have is all they get
            self._leave_line(holds)
            return True
        done = asyncio.get_running_loop().create_future()
        self._under_way |= dict.fromkeys([hold.record.receipt for hold in holds], done)
        try:
            async with asyncio.timeout(self.seconds / 4):
                failed = {each.index: each for each in await self._source.hide([hold.record for hold in holds], seconds)}
        except (Unavailable, MappingError, TimeoutError):
            self._observe.visibility("error", len(holds))
            return False
        finally:
            done.set_result(None)
            for hold in holds:
                self._under_way.pop(hold.record.receipt, None)
        self._prolonged([hold for index, hold in enumerate(holds) if index not in failed], asked_at + seconds)
        self._lost([hold.record for index, hold in enumerate(holds) if index in failed and failed[index].gone])
        return all(each.gone for each in failed.values())

    def _prolonged(self, holds: list[_Hold], until: float) -> None:
        """Those still in hand go to the end of the line."""
        self._leave_line(holds)
        for hold in holds:
            hold.until = until
            if hold.record.receipt in self._held and until < hold.since + LONGEST - LAST_SECONDS - 1:
                self._line[hold.record.receipt] = hold
        self._observe.visibility("ok", len(holds))

    def _leave_line(self, holds: list[_Hold]) -> None:
        for hold in holds:
            self._line.pop(hold.record.receipt, None)
