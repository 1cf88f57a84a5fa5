"""A small server that answers what a test tells it to, however bad."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes an answer, or something worse. The connection stays open, unless it closes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What arrived: the request line, the headers with lower-case names, the body, and the client's port."""

    line: str
    headers: dict[str, str]
    body: bytes
    port: int

    @property
    def operation(self) -> str:
        return self.headers.get("x-amz-target", "").rsplit(".", 1)[-1]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class Hostile:
    """The server: set `answers` (by operation) or `answer` (to all others); look at `requests`."""

    url: str
    answer: Behaviour
    answers: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def then(self, answer: Behaviour) -> None:
        """Forgets what was, and answers so from now on."""
        self.answer = answer
        self.answers.clear()
        self.requests.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                request = await _request(reader, writer)
                self.requests.append(request)
                await self.answers.get(request.operation, self.answer)(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def hostile(tls: ssl.SSLContext | None = None) -> AsyncIterator[Hostile]:
    """Runs the server on a free port; it ends with all its connections."""
    state = Hostile(url="", answer=reply(500))
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await state.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the test; asyncio's streams would report a cancelled connection as an error
        finally:
            connections.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    state.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections)


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(line=head[0], headers=headers, body=body, port=writer.get_extra_info("peername")[1])


# ------------------------------------------------------------------------------------------------------------------ behaviours


def reply(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Behaviour:
    """An answer; a dict is sent as JSON. `retry_after="3"` is the header `retry-after`."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, len(_encoded(body)), headers) + _encoded(body))

    return answer


def raw(*pieces: bytes, end: bool = False) -> Behaviour:
    """These bytes, sent piece by piece; `end`: and then hangs up."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)  # so that most arrive apart; nothing depends on it
        if end:
            writer.close()

    return answer


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One behaviour after the other, each once."""
    remaining = iter(behaviours)

    async def answer(writer: asyncio.StreamWriter) -> None:
        await next(remaining)(writer)

    return answer


def cut_short(body: bytes | dict[str, Any]) -> Behaviour:
    """A success that promises one byte more than it sends before it hangs up."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(_head(200, len(_encoded(body)) + 1, {}) + _encoded(body))
        await writer.drain()
        writer.close()

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    """Never answers; holds the connection."""
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Closes the connection instead of an answer."""
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    """Resets the connection instead of an answer."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Answers a byte now and then, and never comes to an end."""
    writer.write(_head(200, 1_000_000, {}))
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def nonsense(writer: asyncio.StreamWriter) -> None:
    """Speaks something that is not HTTP, and hangs up."""
    writer.write(b"\x16\x03\x01 HELLO?\r\n\r\n")
    await writer.drain()
    writer.close()


def _encoded(body: bytes | dict[str, Any]) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {length}", "content-type: application/x-amz-json-1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
