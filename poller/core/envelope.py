"""The event that a function sees: record payloads, encoded once, joined; sizes are exact.

Lambda's limit counts the final JSON: base64 data and metadata included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Record

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Lambda's limit for the payload of a synchronous invocation."""

HEAD = b'{"Records":['
TAIL = b"]}"
FRAME_BYTES = len(HEAD) + len(TAIL)
SEPARATOR_BYTES = 1


def envelope(records: Sequence[Record], tail: bytes = TAIL) -> bytes:
    """The event of an invocation: `{"Records":[...]}`, UTF-8. `tail` is what follows the records, where that is more."""
    return b"".join((HEAD, b",".join([record.payload for record in records]), tail))
