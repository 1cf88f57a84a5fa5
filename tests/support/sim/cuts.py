"""How a batch that was split is found again: where its parts end, as the last holder of a lane has stored it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.sim.track import Due


@dataclass(slots=True, kw_only=True)
class Cut:
    """A part ends with this record of the lane, and has failed so often."""

    last: int
    failures: int


@dataclass(slots=True, kw_only=True)
class Cuts:
    """Of one lane of one hold.

    Attributes:
        left: those that were stored when it began, and are still ahead.
        told: what has to be stored now, as (last record, failures); some of them may be behind.
        vague: what has to be stored now is not known exactly: records of a batch that was not invoked have expired.
    """

    left: list[Cut] = field(default_factory=list)
    told: tuple[tuple[int, int], ...] = ()
    vague: bool = False

    def next(self, low: int) -> Cut | None:
        """The one beyond which a batch that begins with this record must not go."""
        while self.left and self.left[0].last < low:
            del self.left[0]
        return self.left[0] if self.left else None

    def reached(self, high: int) -> int:
        """How often a batch that ends here has failed. A piece of one is another batch, and so is what is left of it."""
        if not self.left:
            return 0
        if self.left[0].last == high - 1:
            return self.left.pop(0).failures
        self.left[0].failures = 0
        return 0

    def failures(self, high: int, count: int) -> int:
        """Of a batch that was never invoked in this hold, whose records up to there have expired, as the function is told."""
        own = self.left[0].failures if self.left and high - 1 <= self.left[0].last else 0
        return own if count == own + 1 else 0

    def keep(self, dues: Sequence[Due], *, split: bool) -> None:
        """These are open now. Something is kept only of what is, or was, `split`, or partly done.

        What is given up still counts as open.
        """
        if split or self.told:
            mine = [(due.high - 1, due.failures - due.spent) for due in reversed(dues) if due.low < due.high]
            self.told = (*mine, *((cut.last, cut.failures) for cut in self.left))
        self.vague = False
