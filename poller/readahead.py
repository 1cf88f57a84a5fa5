"""Read-ahead of one shard: what has been read and is not settled yet, dealt to its lanes by key.

One reader fills it, P lanes empty it, one `Progress` says how far the shard is done. It reads while any lane may soon run dry, so
that no lane waits for the network, and no further, so that memory stays small. The dealer never waits for a single lane: only the
cap of the whole shard (records, bytes) stops the reader then, and so a poisoned key holds up its own lane alone until then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from poller.core.model import Slice
from poller.core.progress import Progress

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Sequence

    from poller.checkpointer import Checkpointer
    from poller.core.memo import Memo
    from poller.core.model import Attempt, Position, Record, Release
    from poller.drain import Drain


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAheadLimits:
    """How much a shard may have read and not settled.

    Attributes:
        records: at the most; never less than two batches, so that a full batch can always be gathered.
        bytes: of payload; a shard that holds nothing may always read once.
        soon: a lane with fewer records than this in its inbox may soon run dry: two batches, or 500 records if that is more (a
            read brings up to 1,000).
        lanes: ParallelizationFactor.
    """

    records: int = 10_000
    bytes: int = 32 * 1024 * 1024
    soon: int = 500
    lanes: int = 1


class MemoryBudget:
    """Payload bytes that all shards of this process hold, against one cap."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: dict[ReadAhead, None] = {}  # no set: who waits longest looks first

    def take(self, size: int) -> None:
        """These bytes are held from now on."""
        self.used += size

    def give_back(self, size: int) -> None:
        """These bytes are free; who waits looks again."""
        self.used -= size
        if self.used < self.limit and self._waiting:
            waiting, self._waiting = self._waiting, {}
            for ahead in waiting:
                ahead.look_again()

    def wake(self, ahead: ReadAhead) -> None:
        """Call `ahead.look_again` once when there is room."""
        self._waiting[ahead] = None


class ReadAhead:
    """The records of one shard between its checkpoint and its reader."""

    def __init__(self, limits: ReadAheadLimits, budget: MemoryBudget, checkpointer: Checkpointer, drain: Drain) -> None:
        self._limits = limits
        self._budget = budget
        self._checkpointer = checkpointer
        self._drain = drain
        self._unsettled: deque[Record] = deque()
        self._bytes = 0
        self._wakeup: Future[None] | None = None
        self.progress = Progress()
        self.stopped = False
        self.lanes = tuple(ShardLane(self, index, drain) for index in range(limits.lanes))

    @property
    def oldest(self) -> float | None:
        """Arrival (Unix seconds) of the oldest record that is not settled; None where there is none."""
        return self._unsettled[0].arrived_at if self._unsettled else None

    @property
    def bytes(self) -> int:
        """Payload bytes held."""
        return self._bytes

    @property
    def blocked(self) -> bool:
        """No record can go on: every lane waits to try a failed attempt again, or the cap is reached while one does."""
        waiting = [lane.attempt is not None for lane in self.lanes]
        return all(waiting) or (self.stopped and any(waiting))

    async def space(self) -> None:
        """Until there is room for another read, or the drain starts."""
        while not (self._roomy() or self._drain.started):
            self.stopped = True
            self._wakeup = asyncio.get_running_loop().create_future()
            self._budget.wake(self)
            await self._drain.wait(self._wakeup)
        self.stopped = False

    def look_again(self) -> None:
        """Something was settled, here or elsewhere in the process."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def deal(self, records: Sequence[Record]) -> None:
        """Takes what was read, and hands each record to the lane of its key."""
        self.progress.track([record.position for record in records])
        self._unsettled.extend(records)
        size = sum([len(record.payload) for record in records])
        self._bytes += size
        self._budget.take(size)
        if len(self.lanes) == 1:
            self.lanes[0].put(records)
            return
        for record in records:
            self.lanes[crc32(record.group.encode()) % len(self.lanes)].put((record,))

    def end(self) -> None:
        """The shard has no more records."""
        for lane in self.lanes:
            lane.end()

    async def settle(self, records: Sequence[Record]) -> None:
        """Records it at once; returns when not too much waits to become durable."""
        reached = self.progress.settle([record.position for record in records])
        if reached is not None:
            self._checkpointer.advance(reached, self._sweep(reached))
            self.look_again()
        await self._checkpointer.room()

    def memo(self, lane: int) -> Memo:
        """What a lane remembers."""
        return self._checkpointer.remembered.memos[lane]

    def remember(self, lane: int, memo: Memo) -> None:
        """See `Lane.remember`."""
        if memo != self.memo(lane):
            self._checkpointer.remembered.memos[lane] = memo
            self._checkpointer.touch()

    def close(self) -> None:
        """The shard is given up or done: its memory is free."""
        self._budget.give_back(self._bytes)
        self._bytes = 0
        self._unsettled.clear()

    def _roomy(self) -> bool:
        if not self._unsettled:
            return True
        return (
            any(lane.queued < self._limits.soon for lane in self.lanes)
            and len(self._unsettled) < self._limits.records
            and self._bytes < self._limits.bytes
            and self._budget.used < self._budget.limit
        )

    def _sweep(self, reached: Position) -> int:
        """Forgets what is settled up to there; returns how many records that was."""
        count = size = 0
        while self._unsettled and self._unsettled[0].position <= reached:
            size += len(self._unsettled.popleft().payload)
            count += 1
        self._bytes -= size
        self._budget.give_back(size)
        return count


class ShardLane:
    """One of the P ordered sub-streams of a shard: a `Lane`.

    Attributes:
        attempt: the attempt that its worker waits to try again, or None.
    """

    def __init__(self, ahead: ReadAhead, index: int, drain: Drain) -> None:
        self._ahead = ahead
        self._index = index
        self._drain = drain
        self._inbox: deque[Record] = deque()
        self._ended = False
        self._arrival: Future[None] | None = None
        self.attempt: Attempt | None = None

    @property
    def queued(self) -> int:
        """Records that its worker has not taken yet."""
        return len(self._inbox)

    async def read(self, limit: int, wait: float | None) -> Slice:
        """See `Lane.read`."""
        if not (self._inbox or self._ended or wait == 0):
            self._arrival = asyncio.get_running_loop().create_future()
            await self._drain.wait(self._arrival, wait)
        inbox = self._inbox
        records = tuple([inbox.popleft() for _ in range(min(limit, len(inbox)))])
        self._ahead.look_again()
        return Slice(records=records, more=bool(inbox), ended=self._ended and not inbox)

    async def settle(self, records: Sequence[Record]) -> None:
        """See `Lane.settle`."""
        await self._ahead.settle(records)

    async def release(self, release: Release) -> None:
        """Nothing to do: the checkpoint has not passed them, so the next holder reads them again."""

    def lost(self, attempt: Attempt) -> tuple[Record, ...]:
        """None: the lease of the shard is lost as a whole."""
        del attempt
        return ()

    @property
    def memo(self) -> Memo:
        """See `Lane.memo`."""
        return self._ahead.memo(self._index)

    def remember(self, memo: Memo) -> None:
        """See `Lane.remember`."""
        self._ahead.remember(self._index, memo)

    def waiting(self, attempt: Attempt | None) -> None:
        """See `Lane.waiting`."""
        self.attempt = attempt

    def put(self, records: Sequence[Record]) -> None:
        """The dealer's side."""
        self._inbox.extend(records)
        self._arrived()

    def end(self) -> None:
        """Nothing will come after what is in the inbox."""
        self._ended = True
        self._arrived()

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
