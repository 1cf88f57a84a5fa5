"""Bodies of requests: taken piece by piece out of what has arrived, and kept up to a limit."""

from __future__ import annotations

import re

MAX_HEAD_BYTES = 1024 * 1024 + 64 * 1024
"""Of all header fields, or all trailers: clients send up to 1 MiB in `Lambda-Runtime-Function-XRay-Error-Cause`."""

MAX_LINE_BYTES = 16 * 1024
"""Of a line that begins a chunk."""

NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,12}")


class BadRequest(Exception):
    """This is no request. Nothing that comes after it on the same connection can be read."""


class Sized:
    """A body whose length was announced.

    Attributes:
        size: in bytes.
        kept: what has arrived of it; nothing where it is larger than the limit.
        trailers: none.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.kept = bytearray()
        self.trailers: dict[bytes, bytes] = {}
        self._left = size
        self._wanted = size <= limit

    def complete(self, arrived: bytearray) -> bool:
        """Takes what belongs to it out of what has arrived. Whether that was the rest of it."""
        piece = arrived[: self._left]
        del arrived[: self._left]
        self._left -= len(piece)
        if self._wanted:
            self.kept += piece
        return not self._left


class Chunked:
    """A body in pieces, each with its length, and header fields after the last one.

    Attributes:
        size: of what has arrived, in bytes.
        kept: that; nothing where it is larger than the limit.
        trailers: the fields after it.
    """

    def __init__(self, limit: int) -> None:
        self.size = 0
        self.kept = bytearray()
        self.trailers: dict[bytes, bytes] = {}
        self._limit = limit
        self._left = 0
        self._next = self._chunk_begins
        self._longest = MAX_LINE_BYTES
        self._trailing = 0

    def complete(self, arrived: bytearray) -> bool:
        """Takes what belongs to it out of what has arrived. Whether that was the rest of it. Raises BadRequest."""
        while True:
            if self._left and not self._take(arrived):
                return False
            line = self._take_line(arrived)
            if line is None:
                return False
            if self._next(line):
                return True

    def _take(self, arrived: bytearray) -> bool:
        """Takes a piece of a chunk. Whether that was the rest of the chunk."""
        piece = arrived[: self._left]
        del arrived[: self._left]
        self._left -= len(piece)
        self.size += len(piece)
        if self.size <= self._limit:
            self.kept += piece
        else:
            self.kept.clear()
        return not self._left

    def _take_line(self, arrived: bytearray) -> bytes | None:
        end = arrived.find(b"\r\n", 0, self._longest)
        if end < 0:
            if len(arrived) >= self._longest:
                raise BadRequest
            return None
        line = bytes(arrived[:end])
        del arrived[: end + 2]
        return line

    def _chunk_begins(self, line: bytes) -> bool:
        size = line.partition(b";")[0].strip(b" \t")
        if not CHUNK_SIZE.fullmatch(size):
            raise BadRequest
        self._left = int(size, 16)
        self._next = self._chunk_ends if self._left else self._trailer
        self._longest = MAX_LINE_BYTES if self._left else MAX_HEAD_BYTES
        return False

    def _chunk_ends(self, line: bytes) -> bool:
        if line:
            raise BadRequest
        self._next = self._chunk_begins
        return False

    def _trailer(self, line: bytes) -> bool:
        if not line:
            return True
        self._trailing += len(line)
        if self._trailing > MAX_HEAD_BYTES:
            raise BadRequest
        name, value = parse_field(line)
        self.trailers[name] = value
        return False


def parse_field(line: bytes) -> tuple[bytes, bytes]:
    """Name, in lower case, and value of a header field. Raises BadRequest."""
    name, colon, value = line.partition(b":")
    if not colon or not NAME.fullmatch(name):
        raise BadRequest
    return name.lower(), value.strip(b" \t")
