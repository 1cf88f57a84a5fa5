"""One shard of a stream in memory: its hash range, its records, and when it was closed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from poller.services import KinesisRecord

MAX_PAGE_BYTES: Final = 10 * 1024 * 1024
"""Kinesis: record data and partition keys of one GetRecords, at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record as the shard keeps it: what GetRecords answers, and what is compared."""

    record: KinesisRecord
    sequence: int
    arrived_at: float
    size: int


@dataclass(slots=True, kw_only=True)
class MemoryShard:
    """An ordered part of a stream. Offsets count from the first record it ever had, trimmed ones included.

    Attributes:
        hash_from: the first hash key of its range.
        hash_to: the last one.
        closed_at: when a split or a merge closed it, in Unix seconds; None while it takes records.
        trimmed: how many records retention has taken.
        reads: how many GetRecords it has answered.
        read_at: times of the answered reads within the last second.
    """

    id: ShardId
    hash_from: int
    hash_to: int
    parents: tuple[ShardId, ...] = ()
    closed_at: float | None = None
    stored: list[Stored] = field(default_factory=list)
    trimmed: int = 0
    reads: int = 0
    read_at: list[float] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return self.trimmed + len(self.stored)

    def covers(self, hash_key: int) -> bool:
        """Whether it takes records of this hash key now."""
        return self.closed_at is None and self.hash_from <= hash_key <= self.hash_to

    def at_sequence(self, sequence: int) -> int:
        """The offset of the record with this sequence number; where it is gone, of the oldest one behind it."""
        return self.trimmed + bisect_left(self.stored, sequence, key=lambda one: one.sequence)

    def after_sequence(self, sequence: int) -> int:
        """The offset of the first record behind this sequence number."""
        return self.trimmed + bisect_right(self.stored, sequence, key=lambda one: one.sequence)

    def at_time(self, timestamp: float) -> int:
        """The offset of the first record that arrived at this time or later."""
        return self.trimmed + bisect_left(self.stored, timestamp, key=lambda one: one.arrived_at)

    def page(self, offset: int, limit: int) -> tuple[list[Stored], int]:
        """Records from an offset on, within the limits of one answer, and the offset behind them."""
        first = max(offset - self.trimmed, 0)
        taken: list[Stored] = []
        room = MAX_PAGE_BYTES
        for one in self.stored[first : first + limit]:
            if taken and one.size > room:
                break
            taken.append(one)
            room -= one.size
        return taken, self.trimmed + first + len(taken)

    def behind(self, offset: int, now: float) -> float:
        """Seconds between this offset and the tip: the age of the first record there that is unread; 0 at the tip."""
        if offset >= self.end:
            return 0.0
        unread = self.stored[max(offset - self.trimmed, 0)]
        return max(now - unread.arrived_at, 0.001)

    def trim(self, horizon: float) -> None:
        """Forgets what arrived before the horizon (Unix seconds)."""
        gone = bisect_left(self.stored, horizon, key=lambda one: one.arrived_at)
        if gone:
            del self.stored[:gone]
            self.trimmed += gone

    def forgotten(self, horizon: float) -> bool:
        """Whether it was closed before the horizon and has no record left: it is listed no more."""
        return self.closed_at is not None and self.closed_at < horizon and not self.stored
