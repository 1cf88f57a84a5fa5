"""One shard of a table's stream in memory: its records, its parent, and when it was closed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from poller.services import DynamoDbRecord

MAX_PAGE_BYTES: Final = 1024 * 1024
"""DynamoDB: what one GetRecords answers, at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A record as the shard keeps it: what GetRecords answers, and what is compared."""

    record: DynamoDbRecord
    sequence: int
    arrived_at: float
    size: int


@dataclass(slots=True, kw_only=True)
class TableShard:
    """An ordered part of a stream. Offsets count from the first record it ever had, trimmed ones included.

    Attributes:
        hash_from: the first hash of a partition key that it takes.
        hash_to: the last one.
        closed_at: when its child took over, in Unix seconds; None while it takes records.
        trimmed: how many records retention has taken.
        trimmed_to: the sequence number of the last of them; 0: none.
        reads: how many GetRecords it has answered.
        read_at: times of the answered reads within the last second.
    """

    id: ShardId
    hash_from: int
    hash_to: int
    parent: ShardId | None = None
    closed_at: float | None = None
    stored: list[Change] = field(default_factory=list)
    trimmed: int = 0
    trimmed_to: int = 0
    reads: int = 0
    read_at: list[float] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return self.trimmed + len(self.stored)

    def covers(self, hash_key: int) -> bool:
        """Whether it takes records of this hash now."""
        return self.closed_at is None and self.hash_from <= hash_key <= self.hash_to

    def after_sequence(self, sequence: int) -> int | None:
        """The offset of the first record behind this sequence number; None where retention has taken what has that number."""
        if sequence <= self.trimmed_to:
            return None
        return self.trimmed + bisect_right(self.stored, sequence, key=lambda one: one.sequence)

    def page(self, offset: int, limit: int) -> tuple[list[Change], int]:
        """Records from an offset on, within the limits of one answer, and the offset behind them."""
        taken: list[Change] = []
        room = MAX_PAGE_BYTES
        for one in self.stored[offset - self.trimmed : offset - self.trimmed + limit]:
            if taken and one.size > room:
                break
            taken.append(one)
            room -= one.size
        return taken, offset + len(taken)

    def trim(self, horizon: float) -> None:
        """Forgets what arrived before the horizon (Unix seconds)."""
        gone = bisect_left(self.stored, horizon, key=lambda one: one.arrived_at)
        if gone:
            self.trimmed_to = self.stored[gone - 1].sequence
            del self.stored[:gone]
            self.trimmed += gone

    def forgotten(self, horizon: float) -> bool:
        """Whether it was closed before the horizon and has no record left: it is listed no more."""
        return self.closed_at is not None and self.closed_at < horizon and not self.stored
