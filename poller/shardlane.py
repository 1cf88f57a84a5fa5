"""One of the P ordered sub-streams of a shard, and which keys are in it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

from poller.core.model import BEGINNING, Accepted, Slice

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Sequence

    from poller.core.memo import Memo
    from poller.core.model import Attempt, Outcome, Position, Record, Release
    from poller.drain import Drain
    from poller.readahead import ReadAhead


class ShardLane:
    """One of the P ordered sub-streams of a shard: a `Lane`.

    Attributes:
        index: see `lane_of`.
        taken: records that its worker has taken and not settled.
        furthest: the last one that it has ever taken.
        attempt: the attempt with which its worker waits, to try it again or for a destination; None: it does not.
        failure: what its last invocation came to where it was no success and nothing has been settled since, and the attempt.
        failing_since: when the first such invocation in a row ended, by the steady clock; None while `failure` is.
    """

    def __init__(self, ahead: ReadAhead, index: int, drain: Drain) -> None:
        self._ahead = ahead
        self.index = index
        self._drain = drain
        self._inbox: deque[Record] = deque()
        self._ended = False
        self._arrival: Future[None] | None = None
        self._full = False
        self.taken = 0
        self.furthest = BEGINNING
        self.attempt: Attempt | None = None
        self.failure: tuple[Attempt, Outcome] | None = None
        self.failing_since: float | None = None

    @property
    def queued(self) -> int:
        """Records that its worker has not taken yet."""
        return len(self._inbox)

    @property
    def held(self) -> int:
        """Records that were read for it and are not settled."""
        return len(self._inbox) + self.taken

    @property
    def failing(self) -> bool:
        """It waits with an attempt, or its last invocation was no success: also while that is repeated."""
        return self.attempt is not None or self.failure is not None

    @property
    def exhausted(self) -> bool:
        """Its attempt has no retries left, and is to wait for an operator (`on_exhausted: block`)."""
        tried = self.attempt or (self.failure[0] if self.failure is not None else None)
        return tried is not None and tried.blocked

    @property
    def rests(self) -> bool:
        """Nothing that it does now makes room in its shard: it waits for records, or fails."""
        return self.failing or (self._arrival is not None and not self._arrival.done())

    async def read(self, limit: int, wait: float | None) -> Slice:
        """See `Lane.read`."""
        if not (self._inbox or self._ended or wait == 0):
            self._arrival = asyncio.get_running_loop().create_future()
            self._ahead.look_for_room()
            await self._drain.wait(self._arrival, wait)
            self._arrival = None
        inbox, full, self._full = self._inbox, self._full, False
        records = tuple([inbox.popleft() for _ in range(min(limit, len(inbox)))])
        if records:
            self.taken += len(records)
            self.furthest = records[-1].position
        self._ahead.look_again()
        if inbox:
            return Slice(records=records, more=True)
        return Slice(records=records, full=full, ended=self._ended, seen_until=self._ahead.seen_until)

    async def settle(self, records: Sequence[Record]) -> None:
        """See `Lane.settle`."""
        self.taken -= len(records)
        self.failure = self.failing_since = None
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
        return self._ahead.memo(self.index)

    def remember(self, memo: Memo) -> None:
        """See `Lane.remember`."""
        self._ahead.remember(self.index, memo)

    def waiting(self, attempt: Attempt | None) -> None:
        """See `Lane.waiting`."""
        if attempt is not None and self.failure is not None:  # while that is tried again it is still what is known of the lane
            self.failure = attempt, self.failure[1]
        self.attempt = attempt

    def judged(self, attempt: Attempt, outcome: Outcome) -> None:
        """What its last invocation came to (see `Work.judged`)."""
        if isinstance(outcome, Accepted):
            self.failure = self.failing_since = None
            return
        self.failure = attempt, outcome
        self._ahead.failed()
        if self.failing_since is None:
            self.failing_since = asyncio.get_running_loop().time()

    def put(self, records: Sequence[Record]) -> None:
        """The dealer's side."""
        self._inbox.extend(records)
        self._arrived()

    def no_more(self) -> None:
        """Nothing comes before it settles something: what its worker has gathered need not wait."""
        self._full = self._arrival is not None and self.taken > 0
        if self._full:
            self._arrived()

    def end_at(self, position: Position) -> None:
        """It ends behind that position: what is beyond it in the inbox is left to the next holder."""
        while self._inbox and self._inbox[-1].position > position:
            self._inbox.pop()
        self.end()

    def end(self) -> None:
        """Nothing will come after what is in the inbox."""
        self._ended = True
        self._arrived()

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


def lane_of(group: str, lanes: int) -> int:
    """The lane that records of this group are in, of so many: the same in every process and at all times.

    How Lambda spreads keys is not documented. By its wording an idle lane takes no other lane's keys, and so it is here.
    """
    return crc32(group.encode()) % lanes
