"""Where a worker reaches its Runtime API: a listening socket at 127.0.0.1, and the connections that come in there."""

from __future__ import annotations

import asyncio
import os
import socket

from poller.executors.peers import user_of_peer
from poller.executors.runtime_connection import Connection, Server

BACKLOG = 64
MAX_CONNECTIONS = 8
"""Of one worker. A runtime has one or two."""

AGAIN_SECONDS = 0.1
"""After there was no descriptor for a connection, which waits in the queue meanwhile."""


def listen() -> socket.socket:
    """A listening socket on a port of its own, which nobody but processes of this machine can reach. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.settimeout(0)
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class Listener:
    """Accepts connections of processes of the daemon's own user. Takes over the socket.

    Attributes:
        connections: those that are open.
    """

    def __init__(self, socket: socket.socket, limit: int, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._limit = limit
        self._server = server
        self._again: asyncio.TimerHandle | None = None
        self.connections: set[Connection] = set()
        self._listen()

    def read(self) -> None:
        """Takes in all that has arrived."""
        while self._accept():
            pass
        for connection in tuple(self.connections):
            connection.read()

    def close(self) -> None:
        """Closes everything. Nothing is called any more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in self.connections:
            connection.close()
        self.connections.clear()

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> bool:
        """Accepts one connection. Whether there may be another."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        except OSError:  # no descriptor is left
            self._loop.remove_reader(self._socket)
            self._again = self._again or self._loop.call_later(AGAIN_SECONDS, self._listen)
            return False
        if len(self.connections) >= MAX_CONNECTIONS or user_of_peer(connection) not in {os.getuid(), None}:
            connection.close()
        else:
            connection.settimeout(0)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.add(Connection(connection, self._limit, self._server))
        return True
