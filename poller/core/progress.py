"""Turns "these records are done" (a set) into "everything up to here is done" (a checkpoint).

Because of this, filters, parallel lanes and partial answers need no special case: a shard's checkpoint can never pass a record
that somebody still holds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from poller.core.model import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.core.model import Position


class Progress:
    """The open positions of one shard, shared by all its lanes.

    Attributes:
        reached: everything up to here is settled; never moves back.
    """

    def __init__(self, reached: Position = BEGINNING) -> None:
        self.reached = reached
        self._open: dict[Position, bool] = {}
        self._order: deque[Position] = deque()  # a dict of which the front is deleted is slow to find its first

    def track(self, positions: Iterable[Position]) -> None:
        """These have been read and are open. In the order of the shard, each once, all after everything tracked before."""
        read = dict.fromkeys(positions, False)
        self._open.update(read)
        self._order.extend(read)

    def settle(self, positions: Iterable[Position]) -> Position | None:
        """These are done. Returns the new `reached` where it moved; settling twice, or the unknown, changes nothing."""
        for position in positions:
            if position in self._open:
                self._open[position] = True
        return self._sweep()

    def is_open(self, position: Position) -> bool:
        """It was read, and is not settled."""
        return not self._open.get(position, True)

    @property
    def drained(self) -> bool:
        """Nothing is open."""
        return not self._open

    def _sweep(self) -> Position | None:
        done = []
        for position in self._order:
            settled = self._open.get(position, True)  # what was tracked twice is gone at its second turn
            if not settled:
                break
            done.append(position)
        for position in done:
            self._order.popleft()
            self._open.pop(position, None)
        top = max(done, default=BEGINNING)  # a record that the source repeated is tracked again, behind later ones
        if top <= self.reached:
            return None
        self.reached = top
        return top
