"""What the next holder of a lane must know beside the position: a split that goes on, a tumbling window that is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.core.model import BEGINNING

if TYPE_CHECKING:
    from poller.core.model import Position

NO_STATE = b"{}"
"""The state of a window that was just opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A tumbling window as its function sees it.

    Attributes:
        start, end: Unix seconds; the end is the start of the next one.
        state: JSON, what the function returned last.
        final: no record of it will come any more: this invocation closes it.
        early: it is closed before its end, because its state is too large.
    """

    start: float
    end: float
    state: bytes = NO_STATE
    final: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where an attempt begins and ends that is a part of a batch that was split.

    Attributes:
        last: the position of its last record.
        retries: how often the function has failed on it.
        first: the position of its first record; BEGINNING: not known, an earlier version did not say it.
    """

    last: Position
    retries: int = 0
    first: Position = BEGINNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """What a lane remembers.

    Attributes:
        window: the open tumbling window; None: none is.
        cuts: the attempts that are still open, of a batch that was split; in order.
    """

    window: Window | None = None
    cuts: tuple[Cut, ...] = ()


NO_MEMO = Memo()
