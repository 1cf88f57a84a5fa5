"""How a batch that was split is found again: where its parts begin and end, as the last holder of a lane has stored it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.sim.books import Row
    from support.sim.track import Due

Shape = tuple[int, int, range]
"""Of a cut as it has to be stored: the sequence number of its last record, its failures, and which its first record may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A part begins and ends with these records of the lane, and has failed so often."""

    last: int
    failures: int
    first: int


@dataclass(slots=True, kw_only=True)
class Cuts:
    """Of one lane of one hold.

    Attributes:
        left: those that were stored when it began, and are still ahead.
        told: what has to be stored now; some of them may be behind.
        vague: what has to be stored now is not known exactly: records of a batch that was not invoked have expired.
    """

    left: list[Cut] = field(default_factory=list)
    told: tuple[Cut, ...] = ()
    vague: bool = False

    def next(self, low: int) -> Cut | None:
        """The one over whose beginning and end a batch that begins with this record must not go."""
        while self.left and self.left[0].last < low:
            del self.left[0]
        return self.left[0] if self.left else None

    def reached(self, high: int) -> int:
        """How often a batch that ends here has failed. A piece of one is another batch, and so is what is left of it.

        What comes before one says nothing of it.
        """
        if not self.left or high <= self.left[0].first:
            return 0
        if self.left[0].last == high - 1:
            return self.left.pop(0).failures
        self.left[0] = replace(self.left[0], failures=0)
        return 0

    def failures(self, low: int, high: int, count: int) -> int:
        """Of a batch that was never invoked in this hold, of which these records have expired, as the document tells it."""
        cut = self.next(low)
        own = cut.failures if cut is not None and cut.first <= low and high - 1 <= cut.last else 0
        return own if count == own + 1 else 0

    def keep(self, dues: Sequence[Due], *, split: bool) -> None:
        """These are open now. Something is kept only of what is, or was, `split`, or partly done.

        What is given up still counts as open.
        """
        if split or self.told:
            mine = [
                Cut(last=due.high - 1, failures=due.failures - due.spent, first=due.low)
                for due in reversed(dues)
                if due.low < due.high
            ]
            self.told = (*mine, *self.left)
        self.vague = False

    def shown(self, row: Row, cursor: int) -> tuple[Shape, ...] | None:
        """What has to be stored while everything before the cursor is resolved; None: it is not known exactly.

        Where the front of a part has expired, it begins as it did, or with any later record up to the cursor.
        """
        ahead = [cut for cut in self.told if cut.last >= cursor]
        return None if self.vague else tuple(_shape(row, cut, max(cut.first, cursor)) for cut in ahead)


def _shape(row: Row, cut: Cut, latest: int) -> Shape:
    firsts = range(row.entry(cut.first).sequence, row.entry(latest).sequence + 1)
    return row.entry(cut.last).sequence, cut.failures, firsts


def alike(told: Sequence[Shape], kept: Sequence[tuple[int, int, int]]) -> bool:
    """Whether these are stored as they have to be."""
    pairs = zip(told, kept, strict=False)
    return len(told) == len(kept) and all(one[:2] == other[:2] and other[2] in one[2] for one, other in pairs)
