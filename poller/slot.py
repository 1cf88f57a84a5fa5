"""One poll slot of a queue: a lane that receives only while its function has a free permit, and holds what it has received.

A slot that has a batch to do sees to it that others poll in its place (`core/scaling.py`); one that polls in vain ends, where
enough others do. A batch of more than one receive is gathered by several at a time, twice as many after each round that came
back full.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from poller.core.memo import NO_MEMO
from poller.core.model import Slice
from poller.errors import MappingError, Unavailable
from poller.lane import run_lane
from poller.retry import transport_wait
from poller.visibility import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poller.breaking import CircuitBreaker
    from poller.core.memo import Memo
    from poller.core.model import Attempt, Record, Release
    from poller.core.scaling import PollerScale
    from poller.deleter import Deleter
    from poller.drain import Drain
    from poller.lane import Work
    from poller.ports import QueueReceiver, QueueSource
    from poller.visibility import Visibility

POLL_PART = 2 / 3
"""A receive waits no longer than this part of the time for which it hides its messages: the rest is for the heartbeat."""

IDLE_PAUSE = 1.0
"""Seconds from one receive of an empty queue to the next, where the queue does not make us wait for so long."""

ROUND_WAIT = 1
"""Seconds that one of several receives may wait: the queue was full a moment ago, and the batch waits for all of them."""

HIDE_TRIES = 3
"""How often a queue is told to hand a message out again. If it does not hear, the message comes back by itself, later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQueue:
    """A queue whose messages this process takes, and who looks after those in hand.

    Attributes:
        receive_wait: seconds of a long poll.
        fifo: the queue keeps the order of its groups.
        scale: how many slots there are, and how many of them poll.
        breaker: may keep all of them from receiving.
        start: starts so many more.
        polls: until when the receives that are open may wait, by slot; steady clock.
    """

    source: QueueSource
    visibility: Visibility
    deleter: Deleter
    receive_wait: int
    fifo: bool
    work: Work
    scale: PollerScale
    breaker: CircuitBreaker
    start: Callable[[int], None] = lambda _: None
    polls: dict[str, float] = field(default_factory=dict)


async def run_slot(queue: OpenQueue, drain: Drain) -> bool:
    """Until the drain is done, or the slot is superfluous (True).

    What the slot still has in hand when it fails leaves the heartbeat, and comes back.
    """
    lane = QueueLane(queue, drain)
    try:
        await run_lane(lane, queue.work, drain)
    finally:
        lane.close(cancelled=drain.started)
    return True


class QueueLane:
    """A `Lane`. Never two receives at once, and no receive is cut short: at a drain what it still brings is handed back."""

    def __init__(self, queue: OpenQueue, drain: Drain) -> None:
        self._queue = queue
        self._drain = drain
        self._receivers: list[QueueReceiver] = []
        self._held: dict[str, Record] = {}
        self._broken: set[str] = set()
        self._failures = 0
        self._abreast = 1
        self._polls = False

    async def read(self, limit: int, wait: float | None) -> Slice:
        """See `Lane.read`. Comes back empty also when a long poll does, and when the queue could not be reached."""
        work, began = self._queue.work, self._queue.work.clock.monotonic()
        if wait == 0:
            return Slice()
        if not self._polls:
            if self._queue.scale.crowded():
                return Slice(ended=True)
            self._polls = True
            self._queue.scale.polls()
        if not await work.function.permits.free(work.function.name, self._drain, wait, work.priority):
            return Slice()
        room = await self._queue.visibility.room(self._drain, wait)
        if not room or not await self._queue.breaker.passed(work.place, self._drain, wait) or self._drain.started:
            return Slice()
        left = float("inf") if wait is None else max(0.0, wait - (work.clock.monotonic() - began))
        return await self._gather(min(limit, room), left)

    async def settle(self, records: Sequence[Record]) -> None:
        """See `Lane.settle`: deleted a little later."""
        self._forget(records)
        await self._queue.deleter.delete(records)

    async def release(self, release: Release) -> None:
        """See `Lane.release`. A message of a FIFO queue takes the others of its group that are still in hand with it."""
        if self._queue.fifo:
            self._broken |= {record.group for record in release.records}
        self._forget(release.records)
        if release.delay is None:
            self._queue.visibility.drop(release.records)
            return
        for start in range(0, len(release.records), ENTRIES):  # what waits for its call stays in hand: a drain may end first
            if records := await self._queue.visibility.let_go(release.records[start : start + ENTRIES]):
                await self._hide(records, max(ceil(release.delay), self._until_polls_end()))

    def _until_polls_end(self) -> int:
        """Seconds until a drain has no open receive left that might take again what is handed back, and spend its receives."""
        polls = self._queue.polls
        if not (self._drain.started and polls):
            return 0
        return int(max(polls.values()) - self._queue.work.clock.monotonic()) + 1

    def lost(self, attempt: Attempt) -> tuple[Record, ...]:
        """See `Lane.lost`: whose time is over; in a FIFO queue also what would now come before an earlier one of its group."""
        self._find_substitutes()
        ours, broken = self._queue.visibility.ours, set(self._broken)
        gone: list[Record] = []
        for record in attempt.records:
            if record.group in broken or not ours(record):
                gone.append(record)
                if self._queue.fifo:
                    broken.add(record.group)
        return tuple(gone)

    @property
    def memo(self) -> Memo:
        """Nothing: a queue remembers its messages itself."""
        return NO_MEMO

    def remember(self, memo: Memo) -> None:
        """See `memo`."""

    def waiting(self, attempt: Attempt | None) -> None:
        """See `Lane.waiting`. That may take long, so others are to poll."""
        if attempt is not None:
            self._find_substitutes()

    def close(self, *, cancelled: bool) -> None:
        """The slot is over. Where it was cut off by a drain out of patience, the mapping hands back what is left."""
        if self._polls:
            self._queue.scale.stops_polling()
        self._queue.breaker.left(self._queue.work.place)
        if not cancelled:
            self._queue.visibility.drop(self._held.values())

    def _find_substitutes(self) -> None:
        """It has something else to do: others are to poll."""
        if self._polls:
            self._polls = False
            scale, work = self._queue.scale, self._queue.work
            scale.stops_polling()
            free = work.function.permits.has_free(work.function.name)
            self._queue.start(scale.missing(full=self._abreast > 1, free=free))
            self._abreast = 1

    async def _gather(self, limit: int, left: float) -> Slice:
        """One receive, or several at once: as many as the last ones have earned and the batch needs."""
        abreast, began = min(self._abreast, ceil(limit / ENTRIES)), self._queue.work.clock.monotonic()
        longest = int(min(self._queue.receive_wait, left, self._queue.visibility.seconds * POLL_PART))
        if abreast == 1:
            records = await self._receive(0, min(limit, ENTRIES), longest)
        else:
            records = await self._receive_abreast(
                [min(ENTRIES, limit - ENTRIES * n) for n in range(abreast)], min(longest, ROUND_WAIT)
            )
        full = len(records) == min(limit, ENTRIES * abreast)
        self._abreast = 2 * abreast if full else 1
        if not records:
            await self._pause(began, left)
        idle = not (records or self._held or self._drain.started)
        return Slice(records=records, more=full, ended=idle and self._queue.scale.superfluous())

    async def _receive_abreast(self, sizes: Sequence[int], longest: int) -> tuple[Record, ...]:
        """Several receives at a time, each of its size. None is cut short because another fails."""
        errors: list[MappingError] = []

        async def receive(number: int, size: int) -> tuple[Record, ...]:
            try:
                return await self._receive(number, size, longest)
            except MappingError as error:
                errors.append(error)
                return ()

        async with asyncio.TaskGroup() as together:
            calls = [together.create_task(receive(number, size)) for number, size in enumerate(sizes)]
        records = tuple([record for call in calls for record in call.result()])
        if errors and not records:  # what others have brought is worked off first; the error will come again
            raise errors[0]
        return records

    async def _pause(self, began: float, left: float) -> None:
        """Before the next receive after one in vain, for as long as the batch has."""
        work = self._queue.work
        pause = transport_wait(self._failures, work.rng) if self._failures else began + IDLE_PAUSE - work.clock.monotonic()
        await self._drain.sleep(min(pause, left))

    async def _receive(self, number: int, limit: int, longest: int) -> tuple[Record, ...]:
        """One receive. What it brings is ours from when it was asked for, so it may not wait for as long as that lasts."""
        work, visibility = self._queue.work, self._queue.visibility
        asked_at = work.clock.monotonic()
        with visibility.expecting(limit):
            try:
                records = await self._poll(number, limit, longest)
            except Unavailable as error:
                self._failures += 1
                work.observe.poll_failed(error, seconds=work.clock.monotonic() - asked_at)
                return ()
            visibility.hold(records, asked_at)
        self._failures = 0
        self._held |= {record.receipt: record for record in records}
        took = work.clock.monotonic() - asked_at
        work.observe.polled(records, size=sum([len(record.payload) for record in records]), seconds=took)
        return records

    async def _poll(self, number: int, limit: int, longest: int) -> tuple[Record, ...]:
        """One call. All slots know that it is open."""
        place = f"{self._queue.work.place}.{number}"
        while len(self._receivers) <= number:
            self._receivers.append(self._queue.source.receiver())
        self._queue.polls[place] = self._queue.work.clock.monotonic() + longest
        try:
            return await self._receivers[number].receive(limit, longest, self._queue.visibility.seconds)
        finally:
            del self._queue.polls[place]

    async def _hide(self, records: Sequence[Record], seconds: int) -> None:
        """Tells the queue when it may hand them out again; gives up after some tries."""
        for tried in range(1, HIDE_TRIES + 1):
            try:
                failed = await self._queue.source.hide(records, seconds)
            except (Unavailable, MappingError):
                left = records
            else:
                left = [records[each.index] for each in failed if not each.gone]
            if not left:
                return
            records = left
            if tried < HIDE_TRIES:
                await self._drain.sleep(transport_wait(tried, self._queue.work.rng))
        self._queue.work.observe.visibility("error", len(records))

    def _forget(self, records: Sequence[Record]) -> None:
        for record in records:
            self._held.pop(record.receipt, None)
        if self._broken:
            self._broken &= {record.group for record in self._held.values()}
