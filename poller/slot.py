"""One poll slot of a queue: a lane that receives only while its function has a free permit, and holds what it has received."""

from __future__ import annotations

from dataclasses import dataclass
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

LONGEST_POLL = 20
"""Seconds of a long poll at the most, as SQS allows."""

IDLE_PAUSE = 1.0
"""Seconds between receives that do not wait, where the queue was empty."""

HIDE_TRIES = 3
"""How often a queue is told to hand a message out again. If it does not hear, the message comes back by itself, later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQueue:
    """A queue whose messages this process takes, and who looks after those in hand.

    Attributes:
        receive_wait: seconds of a long poll.
        fifo: the queue keeps the order of its groups.
    """

    source: QueueSource
    visibility: Visibility
    deleter: Deleter
    receive_wait: int
    fifo: bool
    work: Work


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
        work = self._queue.work
        if wait == 0 or not await work.function.permits.free(work.function.name, self._drain, wait):
            return Slice()
        longest = self._queue.receive_wait if wait is None else min(self._queue.receive_wait, int(wait))
        if wait is not None and longest == 0:  # less than a second is left, and a receive waits for whole seconds
            await self._drain.sleep(wait)
            return Slice()
        return await self._receive(min(limit, ENTRIES), longest, wait)

    async def settle(self, records: Sequence[Record]) -> None:
        """See `Lane.settle`: deleted a little later."""
        self._forget(records)
        await self._queue.deleter.delete(records)

    async def release(self, release: Release) -> None:
        """See `Lane.release`. A message of a FIFO queue takes the others of its group that are still in hand with it."""
        self._forget(release.records)
        if self._queue.fifo:
            groups = {record.group for record in release.records}
            self._broken |= groups & {record.group for record in self._held.values()}
        if release.delay is None:
            self._queue.visibility.drop(release.records)
            return
        records = await self._queue.visibility.let_go(release.records)
        for start in range(0, len(records), ENTRIES):
            await self._hide(records[start : start + ENTRIES], ceil(release.delay))

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

    async def _receive(self, limit: int, seconds: int, wait: float | None) -> Slice:
        work, visibility = self._queue.work, self._queue.visibility
        asked_at = work.clock.monotonic()
        try:
            records = await self._receiver.receive(limit, seconds, visibility.seconds)
        except Unavailable as error:
            self._failures += 1
            work.observe.poll_failed(error, seconds=work.clock.monotonic() - asked_at)
            pause = transport_wait(self._failures, work.rng)
            await self._drain.sleep(pause if wait is None else min(pause, wait))
            return Slice()
        self._failures = 0
        visibility.hold(records, asked_at)
        self._held |= {record.receipt: record for record in records}
        if not records and seconds == 0:
            await self._drain.sleep(IDLE_PAUSE)
        work.observe.polled(records, size=sum([len(r.payload) for r in records]), seconds=work.clock.monotonic() - asked_at)
        return Slice(records=records, more=len(records) == ENTRIES)

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
        if not self._held:
            self._broken.clear()
