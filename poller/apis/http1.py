"""Answers of HTTP/1.1 servers to a POST, read from pieces of whatever size. No network here.

Source: RFC 9112. Read strictly: an answer that two readers could understand differently is none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

MAX_HEAD: Final = 32 * 1024
"""Bytes of a status line and its headers, of a line of a chunk, or of all trailers, at the most."""

MAX_BODY: Final = 32 * 1024 * 1024
"""Bytes of a body, at the most. The largest that AWS gives are 10 MiB of records, as base64 in JSON."""

STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-5]\d\d)(?: |$)")
LENGTH: Final = re.compile(r"\d{1,12}")
CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;|$)")
NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
START: Final = b"HTTP/1."
SWITCHING: Final = 101
FIRST_FINAL: Final = 200
BODILESS: Final = frozenset({204, 304})


class BadAnswer(Exception):
    """What came is no answer of HTTP/1.1, or too large a one."""


class Answer(NamedTuple):
    """What came back. Header names are in lower case; of a header that came twice the values are joined by `, `."""

    status_code: int
    headers: dict[str, str]
    body: bytes


class AnswerReader:
    """Reads one answer. What came before its time (100 Continue) is skipped.

    Attributes:
        answer: once it is complete.
        reusable: the connection may be asked again. Only meant once there is an answer.
    """

    __slots__ = ("_body", "_got", "_pieces", "_size", "_unread", "answer", "reusable")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.reusable = False
        self._body: tuple[int, dict[str, str]] | None = None
        self._unread: bytes | bytearray = b""
        self._pieces: list[bytes] = []
        self._got = 0
        self._size: int | None = None

    def feed(self, data: bytes) -> bool:
        """Takes what arrived; whether the answer is complete. Raises `BadAnswer`."""
        while self._body is None:
            found = self._find_head(data)
            if found is None:
                return False
            data = found
        if self._size == CHUNKED:
            return self._feed_chunks(data)
        self._keep(data)
        return self._size is not None and self._got >= self._size and self._complete()

    def end(self) -> bool:
        """The connection has ended; whether that completes the answer."""
        return self._body is not None and self._size is None and self._complete()

    # ------------------------------------------------------------------------------------------------------------------- head

    def _find_head(self, data: bytes) -> bytes | None:
        """What follows a head, which is understood; None: it is not there yet."""
        data = bytes(self._unread) + data if self._unread else data
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
        if end < 0:
            if len(data) > MAX_HEAD or not (data.startswith(START) or START.startswith(data)):
                raise BadAnswer("the head is too long" if data.startswith(START) else "not HTTP/1.1")
            self._unread = data
            return None
        self._unread = b""
        self._understand(data[:end].decode("latin-1"))
        return data[end + 4 :]

    def _understand(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        found = STATUS.match(first)
        if found is None:
            raise BadAnswer("not HTTP/1.1")
        status, headers = int(found[2]), _headers(lines)
        if status == SWITCHING:
            raise BadAnswer("switches protocols")
        if status >= FIRST_FINAL:
            self._body = status, headers
            self._size = 0 if status in BODILESS else _size(headers)
            self.reusable = found[1] == "1" and self._size is not None and "close" not in headers.get("connection", "").lower()

    # ------------------------------------------------------------------------------------------------------------------- body

    def _keep(self, data: bytes) -> None:
        self._got += len(data)
        if self._got > MAX_BODY:
            raise BadAnswer("the body is too large")
        self._pieces.append(data)

    def _complete(self) -> bool:
        assert self._body is not None  # noqa: S101  bodies follow heads
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._size is not None and CHUNKED != self._size < self._got:
            self.reusable = False  # nobody asked for what follows
            body = body[: self._size]
        self.answer = Answer(*self._body, body)
        return True

    def _feed_chunks(self, data: bytes) -> bool:
        """Moves whole chunks from what is unread to the pieces."""
        unread = self._unread = bytearray(self._unread) if isinstance(self._unread, bytes) else self._unread
        unread += data
        while (size := _chunk_size(unread)) is not None:
            at, length = size
            if length == 0:
                return self._feed_trailers(at)
            if self._got + length > MAX_BODY:
                raise BadAnswer("the body is too large")
            if len(unread) < at + length + 2:
                return False
            if unread[at + length : at + length + 2] != b"\r\n":
                raise BadAnswer("a chunk has another length than it says")
            self._keep(bytes(unread[at : at + length]))
            del unread[: at + length + 2]
        return False

    def _feed_trailers(self, at: int) -> bool:
        """They end with an empty line, and nobody reads them. `at`: where the line of the last chunk ends."""
        assert isinstance(self._unread, bytearray)  # noqa: S101  chunks gather there
        end = self._unread.find(b"\r\n\r\n", at - 2)
        if end < 0:
            if len(self._unread) > MAX_HEAD:
                raise BadAnswer("the trailers are too long")
            return False
        self.reusable = self.reusable and len(self._unread) == end + 4
        return self._complete()


CHUNKED: Final = -1
"""In the place of a size: the body says it itself, piece by piece."""


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        given, colon, value = line.partition(":")
        if not colon:
            raise BadAnswer("a header is no header")
        name, value = _name(given), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@lru_cache(maxsize=256)
def _name(given: str) -> str:
    """The same few, all day."""
    if not NAME.fullmatch(given):
        raise BadAnswer("a header is no header")
    return given.lower()


def _size(headers: dict[str, str]) -> int | None:
    """Bytes of the body, or `CHUNKED`; None: until the connection ends. Raises `BadAnswer`."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise BadAnswer("compressed, unasked")
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise BadAnswer("its length cannot be told")
        return CHUNKED
    if length is None:
        return None
    if not LENGTH.fullmatch(length):
        raise BadAnswer("its length is no length, or there are several")
    if int(length) > MAX_BODY:
        raise BadAnswer("the body is too large")
    return int(length)


def _chunk_size(unread: bytearray) -> tuple[int, int] | None:
    """Where a chunk's bytes start, and how many they are; None: its line is not there yet. Raises `BadAnswer`."""
    end = unread.find(b"\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(unread) > MAX_HEAD:
            raise BadAnswer("the line of a chunk is too long")
        return None
    found = CHUNK.match(bytes(unread[:end]))
    if found is None:
        raise BadAnswer("a chunk without a length")
    return end + 2, int(found[1], 16)
