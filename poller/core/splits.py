"""A batch that is worked off: what it has been split into, and what of that a next holder of the shard must know.

What is written down is where its open attempts begin and end (`Cut`), as soon as it is split, partly done or blocked: after a
restart the same records are invoked together again, with the failures that they have been through. Of a batch that stays whole
nothing is kept.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from poller.core.memo import Cut
from poller.core.model import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.core.model import Batch, Decision


class OpenBatch:
    """A batch, until each of its records is settled or released.

    Attributes:
        attempts: those that are open, in the order in which they are due.
    """

    def __init__(self, batch: Batch) -> None:
        self.attempts = deque((Attempt(records=batch.records, retries=batch.retries),))
        self._later = batch.later

    def carried_out(self, decision: Decision) -> None:
        """The first attempt has become these; an attempt's own offspring goes before its later siblings."""
        self.attempts.popleft()
        self.attempts.extendleft(reversed(decision.again))

    def cuts(self, decision: Decision) -> tuple[Cut, ...]:
        """What is to be known while this is carried out on the first attempt: what is given up is open until it is reported."""
        first, *rest = self.attempts
        left = (first,) if decision.discard else decision.again
        return (*ends(left), *ends(rest), *self._later)


def divides(decision: Decision) -> bool:
    """Whether a batch that was whole must be remembered from now on: it is split, or partly done, or blocked, maybe for long."""
    again = decision.again
    return len(again) > 1 or (len(again) == 1 and (bool(decision.settle) or again[0].blocked))


def ends(attempts: Iterable[Attempt]) -> tuple[Cut, ...]:
    """Where they begin and end. The invocation that only closes a window has no end."""
    return tuple(
        Cut(last=each.records[-1].position, retries=each.retries, first=each.records[0].position)
        for each in attempts
        if each.records
    )
