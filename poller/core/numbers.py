"""Positions as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.model import SUB_SEQUENCE_DIGITS, sequence_number

if TYPE_CHECKING:
    from poller.core.model import Position


def numbered(at: Position) -> str:
    """A sequence number, and after a colon the number in its aggregate where that is not 0. Not for BEGINNING."""
    sub = int(at[-SUB_SEQUENCE_DIGITS:])
    return f"{sequence_number(at)}:{sub}" if sub else sequence_number(at)
