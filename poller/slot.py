"""One poll slot of a queue: a lane that receives only while its function has a free permit, and holds what it has received."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from poller.core.model import Slice
from poller.errors import MappingError, Unavailable
from poller.lane import run_lane
from poller.retry import transport_wait
from poller.visibility import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Attempt, Record, Release
    from poller.deleter import Deleter
    from poller.drain import Drain
    from poller.lane import Work
    from poller.ports import QueueReceiver, QueueSource
    from poller.visibility import Visibility

POLL_PART = 2 / 3
"""A receive waits no longer than this part of the time for which it hides its messages: the rest is for the heartbeat."""

IDLE_PAUSE = 1.0
"""Seconds from one receive of an empty queue to the next, where the queue does not make us wait for so long."""

HIDE_TRIES = 3
"""How often a queue is told to hand a message out again. If it does not hear, the message comes back by itself, later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQueue:
    """A queue whose messages this process takes, and who looks after those in hand.

    Attributes:
        receive_wait: seconds of a long poll.
        fifo: the queue keeps the order of its groups.
        polls: until when the receives that are open may wait, by slot; steady clock.
    """

    source: QueueSource
    visibility: Visibility
    deleter: Deleter
    receive_wait: int
    fifo: bool
    work: Work
    polls: dict[str, float] = field(default_factory=dict)


async def run_slot(queue: OpenQueue, drain: Drain) -> bool:
    """Until the drain is done (True). What the slot still has in hand when it fails leaves the heartbeat, and comes back."""
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
        self._receiver: QueueReceiver = queue.source.receiver()
        self._held: dict[str, Record] = {}
        self._broken: set[str] = set()
        self._failures = 0

    async def read(self, limit: int, wait: float | None) -> Slice:
        """See `Lane.read`. Comes back empty also when a long poll does, and when the queue could not be reached."""
        work, began = self._queue.work, self._queue.work.clock.monotonic()
        if wait == 0 or not await work.function.permits.free(work.function.name, self._drain, wait) or self._drain.started:
            return Slice()
        left = float("inf") if wait is None else max(0.0, wait - (work.clock.monotonic() - began))
        return await self._receive(min(limit, ENTRIES), left)

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
        ours, broken = self._queue.visibility.ours, set(self._broken)
        gone: list[Record] = []
        for record in attempt.records:
            if record.group in broken or not ours(record):
                gone.append(record)
                if self._queue.fifo:
                    broken.add(record.group)
        return tuple(gone)

    def waiting(self, attempt: Attempt | None) -> None:
        """See `Lane.waiting`."""

    def close(self, *, cancelled: bool) -> None:
        """The slot is over. Where it was cut off by a drain out of patience, the mapping hands back what is left."""
        if not cancelled:
            self._queue.visibility.drop(self._held.values())

    async def _receive(self, limit: int, left: float) -> Slice:
        """One receive. What it brings is ours from when it was asked for, so it may not wait for as long as that lasts."""
        work, visibility = self._queue.work, self._queue.visibility
        longest = int(min(self._queue.receive_wait, left, visibility.seconds * POLL_PART))
        asked_at = work.clock.monotonic()
        try:
            records = await self._poll(limit, longest)
        except Unavailable as error:
            self._failures += 1
            work.observe.poll_failed(error, seconds=work.clock.monotonic() - asked_at)
            await self._drain.sleep(min(transport_wait(self._failures, work.rng), left))
            return Slice()
        self._failures = 0
        visibility.hold(records, asked_at)
        self._held |= {record.receipt: record for record in records}
        took = work.clock.monotonic() - asked_at
        work.observe.polled(records, size=sum([len(record.payload) for record in records]), seconds=took)
        if not records:
            await self._drain.sleep(min(IDLE_PAUSE - took, left))
        return Slice(records=records, more=len(records) == ENTRIES)

    async def _poll(self, limit: int, longest: int) -> tuple[Record, ...]:
        """One call. All slots know that it is open."""
        place = self._queue.work.place
        self._queue.polls[place] = self._queue.work.clock.monotonic() + longest
        try:
            return await self._receiver.receive(limit, longest, self._queue.visibility.seconds)
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
