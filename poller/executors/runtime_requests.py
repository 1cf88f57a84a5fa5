"""Cuts what arrives on a connection into HTTP/1.1 requests. No socket, no loop: bytes go in, requests come out.

What is not plainly one request is refused rather than guessed at: two lengths, folded lines, other encodings than `chunked`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from poller.executors.runtime_bodies import MAX_HEAD_BYTES, BadRequest, Chunked, Sized, parse_field

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = frozenset({b"GET", b"POST"})
METHOD = re.compile(rb"[A-Z]{1,20}")
SIZE = re.compile(rb"[0-9]{1,15}")
VERSION_1_1, VERSION_1_0 = b"HTTP/1.1", b"HTTP/1.0"
LONELY_LINE_FEEDS = b"\n\n"

MOST_FIELDS = 100
"""Header fields of a request, at the most."""

REMEMBERED = 8
REMEMBERED_BYTES = 1024
"""A client sends the same header fields again and again. So many forms of them, of so many bytes, are looked at once only."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The header fields of a request, their names in lower case.

    Attributes:
        length: of the body that follows, in bytes; None: it is chunked.
        lasts: whether the connection is kept for another request.
        hesitates: whether the client waits for a word before it sends the body.
    """

    values: Mapping[bytes, bytes]
    length: int | None
    lasts: bool
    hesitates: bool


class Head(NamedTuple):
    """The beginning of a request: what is asked. A tuple, as two of them are made for every invocation."""

    method: bytes
    path: bytes
    fields: Fields


class Request(NamedTuple):
    """A whole request.

    Attributes:
        size: of the body, in bytes.
        body: nothing of it if it is larger than the limit.
        trailers: header fields that came after a chunked body.
    """

    head: Head
    size: int
    body: bytes
    trailers: Mapping[bytes, bytes]


NO_TRAILERS: Mapping[bytes, bytes] = {}


class Requests:
    """What has arrived on one connection. Bodies above `limit` bytes are read and not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrived = bytearray()
        self._searched = 0
        self._begun: _Begun | None = None
        self._known: dict[tuple[bytes, bytes], Fields] = {}

    def add(self, data: bytes) -> None:
        """Takes in what has arrived."""
        self._arrived += data

    @property
    def waiting(self) -> int:
        """How many bytes have not been looked at."""
        return len(self._arrived)

    @property
    def head(self) -> Head | None:
        """The head of a request whose body is not here yet."""
        return self._begun.head if self._begun is not None else None

    def next(self) -> Request | None:
        """The next request, when it is here to its end. Raises BadRequest."""
        arrived = self._arrived
        if self._begun is None:
            head = self._take_head() if arrived else None
            if head is None:
                return None
            length = head.fields.length
            if length is not None and length <= len(arrived) and length <= self._limit:  # nearly always
                body = bytes(arrived[:length])
                del arrived[:length]
                return Request(head, length, body, NO_TRAILERS)
            self._begun = _Begun(head, Chunked(self._limit) if length is None else Sized(length, self._limit))
        begun = self._begun
        if not begun.body.complete(arrived):
            return None
        self._begun = None
        return Request(begun.head, begun.body.size, bytes(begun.body.kept), begun.body.trailers)

    def _take_head(self) -> Head | None:
        arrived = self._arrived
        while arrived.startswith((b"\r", b"\n")):  # an empty line too many after the last request
            del arrived[:1]
        end = arrived.find(b"\r\n\r\n", self._searched)
        if end < 0:
            if len(arrived) > MAX_HEAD_BYTES or arrived.find(LONELY_LINE_FEEDS, self._searched) >= 0:
                raise BadRequest
            self._searched = max(0, len(arrived) - 3)
            return None
        if end > MAX_HEAD_BYTES:
            raise BadRequest
        head = bytes(arrived[:end])
        del arrived[: end + 4]
        self._searched = 0
        return self._parse_head(head)

    def _parse_head(self, head: bytes) -> Head:
        line, _, rest = head.partition(b"\r\n")
        try:
            method, target, version = line.split(b" ")
        except ValueError:
            raise BadRequest from None
        if method not in METHODS and not METHOD.fullmatch(method):
            raise BadRequest
        return Head(method, target.partition(b"?")[0], self._fields(version, rest))

    def _fields(self, version: bytes, text: bytes) -> Fields:
        key = (version, text)
        known = self._known.get(key)
        if known is None:
            known = parse_fields(version, text)
            if len(text) <= REMEMBERED_BYTES:
                if len(self._known) == REMEMBERED:
                    self._known.clear()
                self._known[key] = known
        return known


@dataclass(slots=True)
class _Begun:
    """A request of which only a part has arrived."""

    head: Head
    body: Sized | Chunked


def parse_fields(version: bytes, text: bytes) -> Fields:
    """The header fields, and what they mean for the connection. Raises BadRequest."""
    if version not in {VERSION_1_1, VERSION_1_0}:
        raise BadRequest
    values: dict[bytes, bytes] = {}
    if text.count(b"\r\n") >= MOST_FIELDS:
        raise BadRequest
    for line in text.split(b"\r\n") if text else ():
        name, value = parse_field(line)
        if values.setdefault(name, value) != value:
            if name in {b"content-length", b"transfer-encoding"}:
                raise BadRequest
            values[name] += b", " + value
    wish = values.get(b"connection", b"").lower()
    return Fields(
        values=values,
        length=_length(version, values),
        lasts=b"keep-alive" in wish if version == VERSION_1_0 else b"close" not in wish,
        hesitates=values.get(b"expect", b"").lower() == b"100-continue",
    )


def _length(version: bytes, values: Mapping[bytes, bytes]) -> int | None:
    """How many bytes the body has; None where it is chunked. Raises BadRequest."""
    encoding, length = values.get(b"transfer-encoding"), values.get(b"content-length", b"0")
    if encoding is None:
        if not SIZE.fullmatch(length):
            raise BadRequest
        return int(length)
    if encoding.lower() != b"chunked" or b"content-length" in values or version == VERSION_1_0:
        raise BadRequest
    return None
