"""The heartbeat of a queue: messages in hand stay hidden from others, for as long as they wait, run, or are being deleted.

Nothing here trusts the service's clock or the wall clock: a message is ours until its time is over, counted by the steady clock
from the moment the receive (or the last extension) was *asked for*.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from poller.errors import MappingError, Unavailable
from poller.retry import transport_wait

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterable, Iterator, Sequence

    from poller.core.model import Record
    from poller.drain import Drain
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

MOST_MESSAGES = 100_000
MOST_BYTES = 256 * 1024 * 1024
"""In hand at the same time, at the most; SQS itself lets 120,000 messages of a queue be in flight."""

SLACK = 1 / 8
"""A part of the time: that much the order of the line may be wrong, and that long a failed call is waited with at the most."""


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
        most: messages in hand, at the most: who would receive more waits for `room`.
        leaving: receipts that are being deleted at this moment: that they are gone is no surprise then.
    """

    def __init__(self, source: QueueSource, seconds: int, observe: MappingObserver, clock: Clock, rng: Rng) -> None:
        self._source = source
        self._observe = observe
        self._clock = clock
        self._rng = rng
        self._held: dict[str, _Hold] = {}
        self._line: dict[str, _Hold] = {}  # of them those to be prolonged, about in the order in which they end
        self._latest = float("-inf")
        self._under_way: dict[str, Future[None]] = {}
        self._news: Future[None] | None = None
        self._bytes = 0
        self._expected = 0
        self._crowded: dict[Future[None], None] = {}  # no set: they wake in the order in which they came
        self.seconds = seconds
        self.most = MOST_MESSAGES
        self.leaving: set[str] = set()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bytes(self) -> int:
        """Payload bytes in hand."""
        return self._bytes

    @property
    def held(self) -> list[Record]:
        """All messages in hand."""
        return [hold.record for hold in self._held.values()]

    def hold(self, records: Iterable[Record], asked_at: float) -> None:
        """These are in hand now; they were asked for at `asked_at` (steady clock)."""
        until = asked_at + self.seconds
        holds = [_Hold(record=record, since=asked_at, until=until) for record in records]
        for hold in holds:
            if hold.record.receipt not in self._held:
                self._bytes += len(hold.record.payload)
            self._held[hold.record.receipt] = hold
        self._line_up(holds, until)

    async def room(self, drain: Drain, seconds: float | None) -> int:
        """How many more may be in hand, once there is room for any; 0 after so many seconds, or when the drain starts."""
        left = None if seconds is None else self._clock.monotonic() + seconds
        while (room := self._room) <= 0:
            hope = asyncio.get_running_loop().create_future()
            self._crowded[hope] = None
            try:
                if not await drain.wait(hope, None if left is None else max(0.0, left - self._clock.monotonic())):
                    return 0
            finally:
                self._crowded.pop(hope, None)
        return room

    @contextmanager
    def expecting(self, count: int) -> Iterator[None]:
        """So many messages may come of a receive: their room is taken."""
        self._expected += count
        try:
            yield
        finally:
            self._expected -= count
            self._tell_of_room()

    def _tell_of_room(self) -> None:
        if self._crowded and self._room > 0:
            for hope in self._crowded:
                if not hope.done():
                    hope.set_result(None)

    @property
    def _room(self) -> int:
        return self.most - len(self._held) - self._expected if self._bytes < MOST_BYTES else 0

    def ours(self, record: Record) -> bool:
        """Whether nobody else can have it: it is held, and its time is not over."""
        hold = self._held.get(record.receipt)
        return hold is not None and hold.until > self._clock.monotonic()

    def drop(self, records: Iterable[Record]) -> None:
        """These are not in hand any more: deleted, or left to the queue."""
        for record in records:
            if (hold := self._held.pop(record.receipt, None)) is not None:
                self._bytes -= len(hold.record.payload)
            self._line.pop(record.receipt, None)
        self._tell_of_room()

    async def let_go(self, records: Sequence[Record]) -> list[Record]:
        """Drops them and returns those that are ours, once no extension that could hide them again is under way.

        What was held for longer than it was ours is lost: somebody else may have it, and must not be disturbed.
        """
        self._lost([record for record in records if not self.ours(record)])
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
            await self._extend(self._due())
            failures = failures + 1 if self._left() <= 0 else 0
            if failures:
                await asyncio.sleep(min(transport_wait(failures, self._rng), self.seconds * SLACK))

    async def _until_due(self) -> None:
        while (left := self._left()) > 0:
            self._news = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._news], timeout=None if left == float("inf") else left)

    def _left(self) -> float:
        """Seconds until something is to be prolonged; without end while nothing is in hand."""
        first = next(iter(self._line.values()), None)
        return float("inf") if first is None else self._half(first) - self._clock.monotonic()

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
        """What is not in hand any more, like a message that was deleted in the meantime, is not lost."""
        if lost := [record for record in records if record.receipt in self._held]:
            self.drop(lost)
            self._observe.visibility("lost", len(lost))

    async def _extend(self, due: list[_Hold]) -> None:
        """Hides them for another while, some calls at a time, until one fails as a whole."""
        whole: list[_Hold] = []
        ending: list[_Hold] = []  # those whose 12 hours end: each has a time of its own
        for hold in due:
            (whole if self._longer(hold) == self.seconds else ending).append(hold)
        chunks = deque(whole[start : start + ENTRIES] for start in range(0, len(whole), ENTRIES))
        chunks.extend([hold] for hold in ending)
        well = True
        while chunks and well:
            async with asyncio.TaskGroup() as together:
                calls = [together.create_task(self._prolong(chunks.popleft())) for _ in range(min(SIDE_BY_SIDE, len(chunks)))]
            well = all(call.result() for call in calls)

    def _longer(self, hold: _Hold) -> int:
        """Seconds for which it can be hidden from now on: of its 12 hours there may be less left than the rule."""
        return int(min(self.seconds, hold.since + LONGEST - LAST_SECONDS - self._clock.monotonic()))

    def _worth_it(self, due: list[_Hold], now: float) -> list[_Hold]:
        """Those that are still in hand, and ours. At the end of its 12 hours a message leaves the line: that was all it gets."""
        ours = [hold for hold in due if hold.until > now]
        self._leave_line([hold for hold in ours if now + self._longer(hold) <= hold.until])
        return [hold for hold in ours if self._line.get(hold.record.receipt) is hold]

    async def _prolong(self, due: list[_Hold]) -> bool:
        """One call. Its answer counts from when it was asked for; it may take no longer than the messages are ours.

        False where it failed as a whole.
        """
        asked_at = self._clock.monotonic()
        holds = self._worth_it(due, asked_at)
        if not holds:
            return True
        seconds = min(self._longer(hold) for hold in holds)
        done = asyncio.get_running_loop().create_future()
        self._under_way |= dict.fromkeys([hold.record.receipt for hold in holds], done)
        try:
            async with asyncio.timeout(min(self.seconds / 4, min(hold.until for hold in holds) - asked_at)):
                failed = {each.index: each for each in await self._source.hide([hold.record for hold in holds], seconds)}
        except (Unavailable, MappingError, TimeoutError):
            self._observe.visibility("error", len(holds))
            return False
        finally:
            done.set_result(None)
            for hold in holds:
                self._under_way.pop(hold.record.receipt, None)
        self._prolonged([hold for index, hold in enumerate(holds) if index not in failed], asked_at + seconds)
        gone = [hold for index, hold in enumerate(holds) if index in failed and failed[index].gone]
        self._leave_line(gone)
        self._lost([hold.record for hold in gone if hold.record.receipt not in self.leaving])
        return True

    def _prolonged(self, holds: list[_Hold], until: float) -> None:
        """Those still in hand go to the end of the line."""
        self._leave_line(holds)
        for hold in holds:
            hold.until = until
        held = [hold for hold in holds if hold.record.receipt in self._held]
        self._line_up([hold for hold in held if until < hold.since + LONGEST - LAST_SECONDS - 1], until)
        self._observe.visibility("ok", len(holds))

    def _line_up(self, holds: list[_Hold], until: float) -> None:
        """At the end of the line, where most belong. What came of a long poll was asked for long ago, and ends before others."""
        news = not self._line
        self._line |= {hold.record.receipt: hold for hold in holds}
        if until < self._latest - self.seconds * SLACK:
            self._line = dict(sorted(self._line.items(), key=lambda item: item[1].until))
            news = True
        self._latest = max(self._latest, until)
        if news and self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _leave_line(self, holds: list[_Hold]) -> None:
        for hold in holds:
            self._line.pop(hold.record.receipt, None)
