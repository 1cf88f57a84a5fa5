"""A lean HTTP/1.1 client for POSTs to services: connections that are kept, and nothing else.

It never asks twice: whether a lost answer may be asked for again only the caller can know (ReceiveMessage is not idempotent). It
knows no proxies, redirects, cookies or compression.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohappyeyeballs import start_connection
from botocore.httpsession import get_cert_path

from poller.apis.connection import Connection, WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.apis.client import Transport
    from poller.apis.http1 import Answer
    from poller.apis.sdk import Sdk

KEPT: Final = 12.0
"""Seconds for which an idle connection is kept. AWS closes it after 20; one that dies as it is asked is an answer lost."""

SECOND_ADDRESS: Final = 0.25
"""Seconds after which a host's next address is tried beside the one that has not answered (RFC 8305)."""

RESOLVED_FOR: Final = 10.0
"""Seconds for which a name is not looked up again: a start with a thousand long polls must not ask a thousand times."""

KEEPALIVE_IDLE: Final = 60
KEEPALIVE_INTERVAL: Final = 15
KEEPALIVE_PROBES: Final = 4
"""A connection is probed after 60 silent seconds, and given up after four probes without an answer."""


class Origin(NamedTuple):
    """Who is asked."""

    tls: bool
    host: str
    port: int


class Wire:
    """The connections of one client, at the most `transport.connections` at the same time. Closed by `aclose`.

    `verify` is botocore's word for whom to trust: True (its own list of authorities), or a file of them.
    """

    def __init__(self, transport: Transport, verify: bool | str) -> None:  # noqa: FBT001  botocore's
        self._transport = transport
        self._verify = verify
        self._free = asyncio.Semaphore(transport.connections)
        self._all: dict[Connection, Origin] = {}
        self._idle: dict[Origin, list[Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self._closed = False
        self._context: ssl.SSLContext | None = None
        self._names: dict[Origin, _Name] = {}

    async def send(self, origin: Origin, request: bytes) -> Answer:
        """Asks once, on a connection of its own for that time. Raises `WireError`."""
        async with self._free:
            connection = self._take(origin) or await self._open(origin)
            try:
                return await connection.ask(request)
            finally:
                self._give_back(connection, origin)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._all)

    async def aclose(self) -> None:
        """Ends all connections, and what waits for their answers with them."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in [*self._all]:
            connection.abort()
        while self._all:
            self._emptied.clear()
            await self._emptied.wait()

    # --------------------------------------------------------------------------------------------------------------- keeping

    def _take(self, origin: Origin) -> Connection | None:
        """The one that was used last: those that are not needed grow old."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable and asyncio.get_running_loop().time() < connection.idle_since + KEPT:
                return connection
            connection.abort()
        return None

    def _give_back(self, connection: Connection, origin: Origin) -> None:
        if self._closed or not connection.usable:
            connection.abort()
            return
        self._idle.setdefault(origin, []).append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEPT, self._sweep)

    def _sweep(self) -> None:
        """Ends those that were idle for too long."""
        loop, self._sweeping = asyncio.get_running_loop(), None
        for connection in [each for idle in self._idle.values() for each in idle if each.idle_since + KEPT <= loop.time()]:
            connection.abort()
        if any(self._idle.values()):
            self._sweeping = loop.call_later(KEPT / 4, self._sweep)

    def _lost(self, connection: Connection) -> None:
        origin = self._all.pop(connection, None)
        if origin is not None and connection in (idle := self._idle.get(origin, [])):
            idle.remove(connection)
        if not self._all:
            self._emptied.set()

    # --------------------------------------------------------------------------------------------------------------- opening

    async def _open(self, origin: Origin) -> Connection:
        """A new one; another host's that is idle makes room for it."""
        if len(self._all) >= self._transport.connections:
            for idle in [each for each in self._idle.values() if each][:1]:
                idle.pop(0).abort()
        try:
            async with asyncio.timeout(self._transport.connect_timeout):
                connection = await self._connect(origin)
        except TimeoutError:
            raise WireError(
                "timeout", f"no connection to {origin.host}:{origin.port} in {self._transport.connect_timeout:g} s"
            ) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: some of uvloop's
            raise WireError(
                "connection", f"no connection to {origin.host}:{origin.port}: {type(error).__name__}: {error}"
            ) from None
        self._all[connection] = origin
        if self._closed:
            connection.abort()
        return connection

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        found = await self._names.setdefault(origin, _Name(origin)).addresses()
        if origin.tls and self._context is None:
            self._context = await asyncio.to_thread(trusting, self._verify)
        connected = await start_connection(found, happy_eyeballs_delay=SECOND_ADDRESS, socket_factory=watchful_socket)
        context, name = (self._context, origin.host) if origin.tls else (None, None)
        try:
            _, connection = await loop.create_connection(self._connection, sock=connected, ssl=context, server_hostname=name)
        except BaseException:
            with suppress(OSError, RuntimeError):  # the loop may have it, or have closed it
                connected.close()
            raise
        return connection

    def _connection(self) -> Connection:
        return Connection(self._transport.read_timeout, self._lost)


class _Name:
    """The addresses of an origin. Who asks while they are looked up waits for that; each is told another one first."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._looking = asyncio.Lock()
        self._found: list[Sdk] = []
        self._found_at = 0.0

    async def addresses(self) -> list[Sdk]:
        """As getaddrinfo has them. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        async with self._looking:
            if not self._found or loop.time() > self._found_at + RESOLVED_FOR:
                self._found = await loop.getaddrinfo(self._origin.host, self._origin.port, type=socket.SOCK_STREAM)
                self._found_at = loop.time()
        self._found = [*self._found[1:], *self._found[:1]]
        return self._found


@lru_cache(maxsize=8)
def trusting(verify: bool | str) -> ssl.SSLContext:  # noqa: FBT001  botocore's
    """The TLS of all who trust alike: reading authorities takes some milliseconds, and memory. Raises `OSError`."""
    context = ssl.create_default_context(cafile=get_cert_path(verify))
    context.set_alpn_protocols(["http/1.1"])
    return context


def watchful_socket(address: Sequence[Sdk]) -> socket.socket:
    """A socket that notices a dead peer."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    return made
