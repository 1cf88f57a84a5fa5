"""A worker's Runtime API at the end of a real socket, and clients that say to it whatever they like."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from poller.executors.runtime_api import RuntimeApi
from poller.executors.runtime_listener import listen
from poller.executors.worker import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from poller.executors.channel import Reply

ROOT = "/2018-06-01/runtime/"
NEXT = f"GET {ROOT}invocation/next HTTP/1.1\r\nHost: it\r\n\r\n".encode()
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"
SOON = 10.0


class Worker:
    """Notes what the Runtime API tells of the worker."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[Reply] = asyncio.Queue()
        self.again = asyncio.Event()
        self.breaks: asyncio.Queue[str] = asyncio.Queue()

    def received(self, reply: Reply) -> None:
        self.replies.put_nowait(reply)

    def asked_again(self) -> None:
        self.again.set()

    def broken(self, reason: str) -> None:
        self.breaks.put_nowait(reason)

    async def reply(self) -> Reply:
        async with asyncio.timeout(SOON):
            return await self.replies.get()

    async def asks_again(self) -> None:
        async with asyncio.timeout(SOON):
            await self.again.wait()

    async def break_up(self) -> str:
        async with asyncio.timeout(SOON):
            return await self.breaks.get()


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> Self:
        self.writer.write(data)
        return self

    def post(self, path: str, body: bytes = b"null", *fields: str) -> Self:
        head = "".join(f"{each}\r\n" for each in (f"Content-Length: {len(body)}", *fields))
        return self.send(f"POST {ROOT}{path} HTTP/1.1\r\nHost: it\r\n{head}\r\n".encode() + body)

    async def answer(self) -> Answer:
        async with asyncio.timeout(SOON):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.rstrip("\r\n").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return Answer(int(first.split(" ")[1]), fields, body)

    async def closed(self) -> bytes:
        """What comes before the other side closes."""
        async with asyncio.timeout(SOON):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def close(self) -> None:
        self.writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what the other end of a socket brings about."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@dataclass
class Place:
    """A Runtime API with its worker, who has asked for nothing yet."""

    api: RuntimeApi
    worker: Worker
    port: int
    clients: list[Client] = field(default_factory=list)
    sequence: int = 0

    async def client(self) -> Client:
        connection = socket.create_connection(("127.0.0.1", self.port))  # it is queued until the loop has time for it
        return await self.client_of(connection)

    async def client_of(self, connection: socket.socket) -> Client:
        client = Client(*await asyncio.open_connection(sock=connection))
        self.clients.append(client)
        return client

    async def ready(self) -> Client:
        """A client that waits for an invocation, the first one."""
        client = (await self.client()).send(NEXT)
        await self.worker.reply()
        return client

    def invoke(self, request_id: str = "r", event: bytes = b"{}", trace: str | None = None) -> None:
        self.sequence += 1
        self.api.send(Call(request_id, 1767225600.25, ARN, trace), event, self.sequence)

    async def running(self) -> Client:
        """A client that has the invocation `r` to answer."""
        client = await self.ready()
        self.invoke()
        assert (await client.answer()).status == 200
        return client


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    listener = listen()
    worker = Worker()
    here = Place(RuntimeApi(listener, worker), worker, listener.getsockname()[1])
    try:
        yield here
    finally:
        here.api.close()
        for client in here.clients:
            client.close()
