"""The daemon's end of a worker's socket: framed messages, by callbacks of the event loop. The format is `worker`'s."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.executors.worker import MAX_ANSWER_BYTES, RAISED, READY, REPLY, RETURNED

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

READ_BYTES = 64 * 1024
"""Below what the allocator maps and unmaps page by page for every read."""
KINDS = frozenset({READY, RETURNED, RAISED})


@dataclass(frozen=True, slots=True)
class Reply:
    """A message of a worker: kind and payload, what it answers (0: nothing), seconds it took, bytes resident at most."""

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
        self._arrived = bytearray()
        self._unsent = memoryview(b"")
        self._loop.add_reader(socket, self.read)

    def send(self, parts: Sequence[bytes]) -> None:
        """Writes a request: at once as much as the socket takes, the rest as it drains. One request at a time."""
        try:
            sent = self._socket.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the other end is gone; reading says so
        if sent < sum(map(len, parts)):
            self._unsent = memoryview(b"".join(parts))[sent:]
            self._loop.add_writer(self._socket, self._send_more)

    def _send_more(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def read(self) -> None:
        """Takes in one piece of what has arrived."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._stop(f"the connection to it failed ({error})")
            return
        if not data:
            self._stop("it closed its connection")
            return
        self._arrived += data
        self._deliver()

    def _deliver(self) -> None:
        while len(self._arrived) >= REPLY.size:
            size, sequence, kind, seconds, memory = REPLY.unpack_from(self._arrived)
            if kind not in KINDS or size > MAX_ANSWER_BYTES:
                self._stop("it sent what is no answer")
                return
            end = REPLY.size + size
            if len(self._arrived) < end:
                return
            with memoryview(self._arrived) as arrived:
                payload = bytes(arrived[REPLY.size : end])
            del self._arrived[:end]
            self._received(Reply(kind, payload, sequence, seconds, memory))

    def _stop(self, reason: str) -> None:
        self._loop.remove_reader(self._socket)
        self._broken(reason)

    def close(self) -> None:
        """Closes the socket. Nothing is called any more."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
