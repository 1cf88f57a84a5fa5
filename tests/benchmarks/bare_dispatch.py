"""The least that each way to a function can be made to do: no time-outs, no errors, no deaths, one worker that never fails."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, cast

import aiohttp
import orjson

from benchmarks import bare_worker
from benchmarks.functions.nothing import async_handler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Ask = Callable[[bytes], Awaitable[bytes]]
"""One invocation with this event: the answer."""

FUNCTIONS = Path(__file__).with_name("functions")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:nothing"
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
TIMEOUT = 30.0


@asynccontextmanager
async def light(_url: str) -> AsyncIterator[Ask]:
    """A pair of sockets, and at its other end a program that could not be shorter."""
    near, far = socket.socketpair()
    command = [sys.executable, "-m", bare_worker.__name__, str(far.fileno())]
    with process(command, {}, far.fileno()):
        far.close()
        _, frames = await asyncio.get_running_loop().create_connection(Frames, sock=near)
        yield frames.ask
        frames.close()


class Frames(asyncio.Protocol):
    """One request at a time, in the frames of `bare_worker`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived = b""
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def ask(self, event: bytes) -> asyncio.Future[bytes]:
        """Sends a request. The answer."""
        call = orjson.dumps((REQUEST_ID, time.time() + TIMEOUT, ARN))
        self._transport.writelines((bare_worker.REQUEST.pack(len(call), len(event)), call, event))
        self._answer = self._loop.create_future()
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        (size,) = bare_worker.REPLY.unpack_from(self._arrived)
        if len(self._arrived) == bare_worker.REPLY.size + size:
            answer, self._arrived = self._arrived[bare_worker.REPLY.size :], b""
            self._answer.set_result(answer)

    def close(self) -> None:
        """The program at the other end ends."""
        self._transport.close()


@asynccontextmanager
async def awslambdaric(_url: str) -> AsyncIterator[Ask]:
    """Lambda's Runtime API with as much of HTTP as awslambdaric needs."""
    api = RuntimeApi()
    server = await asyncio.get_running_loop().create_server(lambda: RuntimeConnection(api), "127.0.0.1", 0)
    address = "{}:{}".format(*server.sockets[0].getsockname())
    command = [sys.executable, "-m", "awslambdaric", "nothing.handler"]
    with process(command, {"AWS_LAMBDA_RUNTIME_API": address, "PYTHONPATH": str(FUNCTIONS)}):
        yield api.ask
        server.close()


class RuntimeApi:
    """Of any number of runtimes: invocations that wait for one, runtimes that wait for one, answers that are waited for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._numbers = count()
        self._pending: deque[tuple[str, bytes]] = deque()
        self._idle: deque[RuntimeConnection] = deque()
        self._answers: dict[str, asyncio.Future[bytes]] = {}

    def ask(self, event: bytes) -> asyncio.Future[bytes]:
        """Gives an event to a runtime that waits, or to the next that asks. The answer."""
        request_id = f"8476a536-e9f4-11e8-9739-{next(self._numbers):012d}"
        answer = self._answers[request_id] = self._loop.create_future()
        if self._idle:
            self._idle.popleft().give(request_id, event)
        else:
            self._pending.append((request_id, event))
        return answer

    def next(self, runtime: RuntimeConnection) -> None:
        """A runtime asks."""
        if self._pending:
            runtime.give(*self._pending.popleft())
        else:
            self._idle.append(runtime)

    def answered(self, request_id: str, body: bytes) -> None:
        """A runtime answers."""
        self._answers.pop(request_id).set_result(body)


class RuntimeConnection(asyncio.Protocol):
    """One connection of a runtime: GET next, POST response, and again."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._arrived = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        arrived = self._arrived
        arrived += data
        while (end := arrived.find(b"\r\n\r\n")) >= 0:
            head = bytes(arrived[:end])
            _, length, rest = head.lower().partition(b"content-length:")
            stop = end + 4 + (int(rest.partition(b"\r\n")[0]) if length else 0)
            if len(arrived) < stop:
                return
            body = bytes(arrived[end + 4 : stop])
            del arrived[:stop]
            self._request(head.split(b" ", 2)[1].decode(), body)

    def _request(self, path: str, body: bytes) -> None:
        if path.endswith("/next"):
            self._api.next(self)
        else:
            assert path.endswith("/response"), body
            self._api.answered(path.split("/")[4], body)
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def give(self, request_id: str, event: bytes) -> None:
        """Answers the GET that waits."""
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int((time.time() + TIMEOUT) * 1000)}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {ARN}\r\nContent-Length: {len(event)}\r\n\r\n"
        )
        self._transport.write(head.encode() + event)


@asynccontextmanager
async def http(url: str) -> AsyncIterator[Ask]:
    """aiohttp, by its default settings."""
    async with aiohttp.ClientSession() as session:

        async def ask(event: bytes) -> bytes:
            async with session.post(url, data=event) as response:
                return await response.read()

        yield ask


@asynccontextmanager
async def inline(_url: str) -> AsyncIterator[Ask]:
    """The handler, awaited."""

    async def ask(event: bytes) -> bytes:
        return orjson.dumps(await async_handler(orjson.loads(event), None))

    yield ask


@contextmanager
def process(command: list[str], variables: dict[str, str], *descriptors: int) -> Iterator[None]:
    """A worker, killed at the end."""
    with subprocess.Popen(command, env={**os.environ, **variables}, pass_fds=descriptors, start_new_session=True) as worker:
        try:
            yield
        finally:
            worker.kill()
