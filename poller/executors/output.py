"""What a function prints: read as it comes, whatever its amount, cut into lines, and reported with the request id."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from poller.executors.paced import Printed

READ_BYTES = 64 * 1024
"""What a pipe holds: one read per turn of the loop empties it, and no flood keeps the loop from its other work."""

MAX_LINE_BYTES = 256 * 1024
MAX_INVOCATION_BYTES = 1024 * 1024
"""What is reported of one invocation, per stream. The rest is read, so that the function never blocks, and dropped."""


MAX_INVOCATION_LINES = 4096
"""The same in lines: a megabyte of empty ones would be a million entries in the log."""


class Output:
    """Reads stdout or stderr of a worker until it is closed. Takes over the descriptor."""

    def __init__(self, pipe: int, stream: Literal["stdout", "stderr"], events: Printed) -> None:
        self._loop = asyncio.get_running_loop()
        self._pipe = pipe
        self._stream: Literal["stdout", "stderr"] = stream
        self._events = events
        self._request_id: str | None = None
        self._line = bytearray()
        self._room, self._lines = MAX_INVOCATION_BYTES, MAX_INVOCATION_LINES
        self._dropped = 0
        self._loop.add_reader(pipe, self.read)

    def belongs_to(self, request_id: str | None) -> None:
        """What is read from now on comes from this invocation, or from none."""
        if self._room < MAX_INVOCATION_BYTES:
            self._finish()
        self._request_id = request_id

    def read(self) -> None:
        """Takes in what has arrived, as far as a pipe holds it."""
        try:
            data = os.read(self._pipe, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._pipe)
        kept = self._affordable(data)
        self._dropped += len(data) - len(kept)
        self._room -= len(kept)
        self._lines -= kept.count(b"\n")
        first, *others = kept.split(b"\n")
        self._extend(first)
        for piece in others:
            self._report()
            self._extend(piece)

    def _affordable(self, data: bytes) -> bytes:
        """As much of it as there is room for, in bytes and in lines."""
        kept = data[: self._room]
        if kept.count(b"\n") > self._lines:
            kept = b"".join([line + b"\n" for line in kept.split(b"\n", self._lines)[: self._lines]])
        return kept

    def close(self) -> None:
        """Reports what is left and closes the descriptor."""
        self._finish()
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)

    def _extend(self, piece: bytes) -> None:
        room = MAX_LINE_BYTES - len(self._line)
        self._line += piece[:room]
        self._dropped += max(0, len(piece) - room)

    def _report(self) -> None:
        text = self._line.decode("utf-8", "replace").rstrip("\r")
        self._line.clear()
        self._events.output(text, stream=self._stream, request_id=self._request_id)

    def _finish(self) -> None:
        """Reports the line that has no end, and how much is missing."""
        self._room, self._lines = MAX_INVOCATION_BYTES, MAX_INVOCATION_LINES
        if self._line:
            self._report()
        if self._dropped:
            text = f"({self._dropped} bytes of output dropped)"
            self._dropped = 0
            self._events.output(text, stream=self._stream, request_id=self._request_id)
