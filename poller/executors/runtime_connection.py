"""One connection of a worker with the Runtime API: requests come in, each is answered before the next one is looked at."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from socket import SHUT_WR
from typing import TYPE_CHECKING, Protocol

from poller.executors.runtime_bodies import BadRequest
from poller.executors.runtime_requests import Requests

if TYPE_CHECKING:
    import socket

    from poller.executors.runtime_requests import Head, Request

READ_BYTES = 64 * 1024
LAST_READS = 256
"""How much of what a dead worker has said last is read: more than what the kernel keeps of it."""

JOINED_BYTES = 16 * 1024
"""Up to here it is quicker to copy the body behind its head."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Server(Protocol):
    """Who answers."""

    def serve(self, connection: Connection, request: Request) -> None:
        """Answers, or remembers the connection and answers it later."""

    def ended(self, connection: Connection, cut_off: Head | None) -> None:
        """The other side has closed it, possibly within a request."""


class Connection:
    """Takes over the socket. Of a request that is being answered, no more than one read is kept of what follows it."""

    def __init__(self, socket: socket.socket, limit: int, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._server = server
        self._requests = Requests(limit)
        self._unsent = memoryview(b"")
        self._busy = False
        self._lasts = True
        self._advancing = False
        self._reading = True
        self._continued: Head | None = None
        self._loop.add_reader(socket, self._read)

    def read(self) -> None:
        """Takes in all that has arrived."""
        for _ in range(LAST_READS):
            if not self._reading or not self._read():
                break

    def _read(self) -> bool:
        """Takes in one piece of what has arrived. Whether there may be more."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            self._server.ended(self, self._requests.head if self._lasts else None)
            return False
        if self._lasts:
            self._requests.add(data)
            self._advance()
        return True

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """Answers the request that was served last."""
        self._busy = False
        self._send(head, body)
        if not self._lasts and not self._unsent:
            self._finish()
        elif self._requests.waiting and not self._advancing:
            self._advance()

    def close(self) -> None:
        """Closes it. Nothing is called any more."""
        self._reading = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _advance(self) -> None:
        """Serves what has arrived, request by request, as far as the last one is answered."""
        self._advancing = True
        while self._lasts and not self._busy and not self._unsent:
            try:
                request = self._requests.next()
            except BadRequest:
                self._lasts = False
                self.answer(NO_REQUEST)
                break
            if request is None:
                self._encourage(self._requests.head)
                break
            self._busy = True
            self._lasts = request.head.fields.lasts
            self._server.serve(self, request)
            if not self._requests.waiting:
                break
        self._advancing = False
        self._slow_down()

    def _encourage(self, head: Head | None) -> None:
        """Tells a client to go on that asks before it sends the body."""
        if head is not None and head.fields.hesitates and head is not self._continued:
            self._continued = head
            self._send(CONTINUE, b"")

    def _slow_down(self) -> None:
        """Reads on only where that does not pile up."""
        reading = not (self._lasts and self._requests.waiting and (self._busy or self._unsent))
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(self._socket, self._read)
            else:
                self._loop.remove_reader(self._socket)

    def _send(self, head: bytes, body: bytes) -> None:
        try:
            sent = self._socket.sendmsg((head, body)) if len(body) > JOINED_BYTES else self._socket.send(head + body)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the other end is gone; reading says so
        if sent < len(head) + len(body):
            self._unsent = memoryview(head + body)[sent:]
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
            if self._lasts:
                self._advance()
            elif not self._busy:
                self._finish()

    def _finish(self) -> None:
        """Says that nothing more will come. The other side closes first: what it still sends would take the answer from it."""
        with suppress(OSError):
            self._socket.shutdown(SHUT_WR)
