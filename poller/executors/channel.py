"""The daemon's end of a worker's socket: framed messages, by callbacks of the event loop. The format is `worker`'s.

A turn of the loop takes in or hands out one piece, whatever the size of the message: megabytes hold up nobody else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import orjson

from poller.executors.worker import MAX_ANSWER_BYTES, RAISED, READY, REPLY, REQUEST, RETURNED

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from poller.executors.worker import Call

READ_BYTES = 64 * 1024
"""Below what the allocator maps and unmaps page by page for every read."""

LAST_READS = 256
"""How much of what a dead worker has said last is read: more than what the kernel keeps of it."""

HEAD_BYTES = REPLY.size
KINDS = frozenset({READY, RETURNED, RAISED})


class Reply(NamedTuple):
    """A message of a worker: kind and payload, what it answers (0: nothing), seconds it took, bytes resident at most.

    A tuple, for one is made for every invocation.
    """

    kind: bytes
    payload: bytes
    sequence: int
    seconds: float
    memory: int


class Channel:
    """Sends requests, receives replies. Takes over the socket.

    `received` gets every reply; `broken`, once, why there will be none any more. Both are called on the loop.
    """

    def __init__(self, socket: socket.socket, received: Callable[[Reply], None], broken: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._received = received
        self._broken = broken
        self._over = False
        self._rest = b""
        self._begun: _Begun | None = None
        self._unsent: list[memoryview] = []
        self._loop.add_reader(socket, self._read)

    ready = taken = True
    """A worker that has answered waits for the next request, in its socket."""

    def send(self, call: Call, event: bytes, sequence: int) -> None:
        """Writes a request: at once as much as the socket takes, the rest as it drains. One request at a time."""
        head = orjson.dumps(tuple(call))
        parts = (REQUEST.pack(len(head), len(event), sequence) + head, event)
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the other end is gone; reading says so
        if sent < len(parts[0]) + len(event):
            self._unsent = _after(sent, parts)
            self._loop.add_writer(self._socket, self._send_more)

    def _send_more(self) -> None:
        try:
            self._unsent = _after(self._socket.sendmsg(self._unsent), self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._unsent = []
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def read(self) -> None:
        """Takes in all that has arrived."""
        for _ in range(LAST_READS):
            if self._over or not self._read():
                break

    def _read(self) -> bool:
        """Takes in one piece of what has arrived. Whether there may be more."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._stop(f"the connection to it failed ({error})")
            return False
        if not data:
            self._stop("it closed its connection")
        elif self._begun is not None:
            self._go_on(self._begun, data)
        else:
            self._deliver(self._rest + data)
        return bool(data)

    def _deliver(self, data: bytes) -> None:
        """Hands on the replies that are whole, and keeps what is left."""
        self._rest = b""
        while len(data) >= HEAD_BYTES:
            size, sequence, kind, seconds, memory = REPLY.unpack_from(data)
            if kind not in KINDS or size > MAX_ANSWER_BYTES:
                self._stop("it sent what is no answer")
                return
            end = HEAD_BYTES + size
            reply = Reply(kind, data[HEAD_BYTES:end], sequence, seconds, memory)
            if len(data) < end:
                self._begun = _Begun(reply, end - len(data))
                return
            self._received(reply)
            if len(data) == end:  # nearly always
                return
            data = data[end:]
        self._rest = data

    def _go_on(self, begun: _Begun, data: bytes) -> None:
        """Adds a piece to a reply that takes more than one; joins them once, when the last is there."""
        begun.pieces.append(data[: begun.missing])
        begun.missing -= len(data)
        if begun.missing <= 0:
            self._begun = None
            self._received(begun.reply._replace(payload=b"".join(begun.pieces)))
            self._deliver(data[len(data) + begun.missing :])

    def _stop(self, reason: str) -> None:
        self._over = True
        self._loop.remove_reader(self._socket)
        self._broken(reason)

    def close(self) -> None:
        """Closes the socket. Nothing is called any more."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()


class _Begun:
    """A reply of which only the beginning has arrived, and how many bytes are missing."""

    __slots__ = ("missing", "pieces", "reply")

    def __init__(self, reply: Reply, missing: int) -> None:
        self.reply = reply
        self.missing = missing
        self.pieces = [reply.payload]


def _after(sent: int, parts: Sequence[bytes | memoryview]) -> list[memoryview]:
    """What is left of a message when so many bytes of it are sent; nothing is copied."""
    rest = []
    for part in parts:
        if sent < len(part):
            rest.append(memoryview(part)[sent:])
        sent = max(0, sent - len(part))
    return rest
