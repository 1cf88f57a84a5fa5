"""Read-ahead of one shard: what has been read and is not settled yet, dealt to its lanes by key.

One reader fills it, P lanes empty it, one `Progress` says how far the shard is done. It reads while any lane may soon run dry, so
that no lane waits for the network, and no further, so that memory stays small. The dealer never waits for a single lane: only the
cap of the whole shard (records, bytes) stops the reader then, and so a poisoned key holds up its own lane alone until then.

With few keys some lanes stay empty, and the shard is read up to its cap: which lane the next record is for, nobody knows before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.core.progress import Progress
from poller.shardlane import ShardLane, lane_of

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Sequence

    from poller.checkpointer import Checkpointer
    from poller.core.memo import Memo
    from poller.core.model import Position, Record
    from poller.drain import Drain


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAheadLimits:
    """How much a shard may have read and not settled.

    Attributes:
        records: at the most; never less than two batches of each lane, so that full ones can always be gathered.
        bytes: of payload; a shard that holds nothing may always read once. What bounds memory: a record has 400 bytes at least.
        soon: a lane with fewer records than this in its inbox may soon run dry: two batches, or its part of 500 records if that
            is more (a read brings up to 1,000).
        lanes: ParallelizationFactor.
        levelling: seconds of a drain in which lanes may catch up with the one that is furthest ahead.
    """

    records: int = 10_000
    bytes: int = 32 * 1024 * 1024
    soon: int = 500
    lanes: int = 1
    levelling: float = 5.0


class MemoryBudget:
    """Payload bytes that all shards of this process hold, against one cap.

    Shards that are stuck with all that they may hold must not stop the others: half of the cap counts as shared out evenly, and a
    shard below its share may read whatever the others hold. So together they hold half as much again as the cap at the most, and
    what each of them read last.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._shards: set[ReadAhead] = set()
        self._waiting: dict[ReadAhead, None] = {}  # no set: who waits longest looks first

    def join(self, ahead: ReadAhead) -> None:
        """One more shares the memory."""
        self._shards.add(ahead)

    def leave(self, ahead: ReadAhead) -> None:
        """One fewer: the shares of the others grow."""
        self._shards.discard(ahead)
        self._waiting.pop(ahead, None)
        self._wake()

    def is_full(self, ahead: ReadAhead) -> bool:
        """Whether a shard may not read."""
        return self.used >= self.limit and 2 * len(self._shards) * ahead.bytes >= self.limit

    def has_room(self, ahead: ReadAhead) -> bool:
        """Whether a shard may read; where it may not, its `look_again` is called once that may have changed."""
        if not self.is_full(ahead):
            self._waiting.pop(ahead, None)
            return True
        self._waiting[ahead] = None
        return False

    def take(self, size: int) -> None:
        """These bytes are held from now on."""
        self.used += size

    def give_back(self, size: int) -> None:
        """These bytes are free; who waits looks again."""
        self.used -= size
        if self.used < self.limit:
            self._wake()

    def _wake(self) -> None:
        for ahead in tuple(self._waiting):
            ahead.look_again()


class ReadAhead:
    """The records of one shard between its checkpoint and its reader."""

    def __init__(self, limits: ReadAheadLimits, budget: MemoryBudget, checkpointer: Checkpointer, drain: Drain) -> None:
        self._limits = limits
        self.levels_for = limits.levelling
        self._budget = budget
        self._checkpointer = checkpointer
        self._drain = drain
        self._unsettled: deque[Record] = deque()
        self._bytes = 0
        self._wakeup: Future[None] | None = None
        self._ended = False
        self._levelling: Future[None] | None = None
        self.progress = Progress()
        self.stopped = False
        self.seen_until = 0.0
        self.lanes = tuple(ShardLane(self, index, drain) for index in range(limits.lanes))
        budget.join(self)

    @property
    def oldest(self) -> float | None:
        """Arrival (Unix seconds) of the oldest record that is not settled; None where there is none."""
        return self._unsettled[0].arrived_at if self._unsettled else None

    @property
    def records(self) -> int:
        """Records held: read, and not behind the checkpoint yet."""
        return len(self._unsettled)

    @property
    def bytes(self) -> int:
        """Payload bytes held."""
        return self._bytes

    @property
    def durable(self) -> Position:
        """Everything up to here is settled, durably."""
        return self._checkpointer.durable

    @property
    def blocked(self) -> bool:
        """No record can go on: each lane is failing, or has none and, as the reader has stopped, gets none; one is failing.

        Or a lane waits for an operator, whatever the others do.
        """
        if any(lane.exhausted for lane in self.lanes):
            return True
        no_more = self.stopped or self._ended
        return any(lane.failing for lane in self.lanes) and all(
            lane.failing or (no_more and not lane.held) for lane in self.lanes
        )

    def oldest_of_lanes(self) -> list[float | None]:
        """For each lane the arrival (Unix seconds) of its oldest record that is not settled. Looks at all that is held."""
        oldest: list[float | None] = [None] * len(self.lanes)
        missing = sum(1 for lane in self.lanes if lane.held)
        for record in self._unsettled:
            if missing == 0:
                break
            if self.progress.is_open(record.position) and oldest[lane := lane_of(record.group, len(self.lanes))] is None:
                oldest[lane] = record.arrived_at
                missing -= 1
        return oldest

    async def space(self) -> None:
        """Until there is room for another read, or the drain starts."""
        while not (self._may_read() or self._drain.started or self._levelling is not None):
            self.stopped = True
            self.look_for_room()
            self._wakeup = asyncio.get_running_loop().create_future()
            await self._drain.wait(self._wakeup)
        self.stopped = False

    def look_for_room(self) -> None:
        """Where the shard may hold no more, and no lane works that could change this, open batches go out as they are."""
        full = self._unsettled and (self._at_cap or self._budget.is_full(self))
        if full and all(lane.rests for lane in self.lanes):
            for lane in self.lanes:
                lane.no_more()

    def look_again(self) -> None:
        """Something was settled, here or elsewhere in the process, or taken by a lane."""
        if self._wakeup is not None and not self._wakeup.done() and self._may_read():
            self._wakeup.set_result(None)

    def deal(self, records: Sequence[Record]) -> None:
        """Takes what was read, and hands each record to the lane of its key."""
        if not records:  # an idle shard's, every second: no lane need wake for that
            return
        if self._levelling is not None:  # too late: the next holder reads them again
            return
        self.progress.track([record.position for record in records])
        self._unsettled.extend(records)
        size = sum([len(record.payload) for record in records])
        self._bytes += size
        self._budget.take(size)
        if (count := len(self.lanes)) == 1:
            self.lanes[0].put(records)
            return
        hands: list[list[Record]] = [[] for _ in self.lanes]
        for record in records:
            hands[lane_of(record.group, count)].append(record)
        for lane, hand in zip(self.lanes, hands, strict=True):
            if hand:
                lane.put(hand)

    def level(self) -> Future[None]:
        """Lanes go on as far as any of them has come, then they end. Done when one fails: then this cannot be."""
        self._levelling = asyncio.get_running_loop().create_future()
        furthest = max(lane.furthest for lane in self.lanes)
        for lane in self.lanes:
            lane.end_at(furthest)
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
        if any(lane.failing for lane in self.lanes):
            self.failed()
        return self._levelling

    def failed(self) -> None:
        """An invocation of some lane was no success."""
        self.look_for_room()
        if self._levelling is not None and not self._levelling.done():
            self._levelling.set_result(None)

    def end(self) -> None:
        """The shard has no more records."""
        self._ended = True
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
        self._budget.leave(self)

    @property
    def _at_cap(self) -> bool:
        return len(self._unsettled) >= self._limits.records or self._bytes >= self._limits.bytes

    def _may_read(self) -> bool:
        if not self._unsettled:
            return True
        if self._at_cap:
            return False
        return any(lane.queued < self._limits.soon for lane in self.lanes) and self._budget.has_room(self)

    def _sweep(self, reached: Position) -> int:
        """Forgets what is settled up to there; returns how many records that was."""
        count = size = 0
        while self._unsettled and self._unsettled[0].position <= reached:
            size += len(self._unsettled.popleft().payload)
            count += 1
        self._bytes -= size
        self._budget.give_back(size)
        return count
