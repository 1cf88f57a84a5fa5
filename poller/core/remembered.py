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
    """

    def __init__(self, left: Checkpoint | None = None, lanes: int = 1) -> None:
        extra = unpack(left.extra) if left is not None else NO_EXTRA
        self.position = left.position if left is not None else BEGINNING
        self.memos: list[Memo] = list(extra.memos_of(lanes))
        self._start = extra.start

    def pack(self, position: Position) -> bytes:
        """What is to be stored with a position: where the shard begins is said for as long as nothing is settled."""
        start = self._start if position == BEGINNING else None
        return pack(Extra(start=start, lanes=len(self.memos), memos=tuple(self.memos)))
