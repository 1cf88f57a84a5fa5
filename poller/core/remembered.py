"""What a leased shard remembers beside its position: the one place from which the checkpoint's `extra` is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.extra import NO_EXTRA, Extra, pack, unpack
from poller.core.model import BEGINNING

if TYPE_CHECKING:
    from poller.core.memo import Memo
    from poller.core.model import Checkpoint, Position


class Remembered:
    """Begins with what the last holder left.

    Attributes:
        position: of the checkpoint that it left.
        memos: one for each lane.
        tip: when a read last came to the tip of the shard, in Unix seconds, whether or not all of it is settled; None: never.
        stored_tip: as of the checkpoint that was packed last.
    """

    def __init__(self, left: Checkpoint | None = None, lanes: int = 1) -> None:
        extra = unpack(left.extra) if left is not None else NO_EXTRA
        self.position = left.position if left is not None else BEGINNING
        self.memos: list[Memo] = list(extra.memos_of(lanes))
        self._start = extra.start
        self.tip = self.stored_tip = self._settled_tip = extra.tip
        self._coming: tuple[Position, float] | None = None

    def caught_up(self, at: float, last: Position, settled: Position) -> None:
        """A read that began at that time found nothing behind `last`; `settled` is how far the shard is done."""
        self.tip = at
        self.settled_tip(settled)
        if self._coming is None or self._coming[0] == last:  # else the earlier one counts first
            self._coming = (last, at)

    def settled_tip(self, settled: Position) -> float | None:
        """When nothing was behind that position, in Unix seconds: what a read has found is true once all of it is settled."""
        if self._coming is not None and self._coming[0] <= settled:
            self._settled_tip, self._coming = self._coming[1], None
        return self._settled_tip

    def pack(self, position: Position) -> bytes:
        """What is to be stored with a position: where the shard begins is said for as long as nothing is settled."""
        start = self._start if position == BEGINNING else None
        self.stored_tip = self.settled_tip(position)
        return pack(Extra(start=start, lanes=len(self.memos), memos=tuple(self.memos), tip=self.stored_tip))
