"""Lambda's Runtime Interface Emulator, as far as its answers go: executors of ours behind its path, on a real socket.

After the source of aws-lambda-runtime-interface-emulator (`cmd/aws-lambda-rie/handlers.go`, `rapidcore/server.go`): whatever the
runtime said is a 200 without a telling header, a time-out is a 200 with a line of text, the end of the process is a 502 with an
error object, and a second invocation at the same time is a 400 without a body unless it runs several.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from poller.core.model import Errored, Invocation, Refused, Returned, TooLarge

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from poller.core.model import Answer
    from poller.ports import Executor

    Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATH = "/2015-03-31/functions/function/invocations"


@dataclass(slots=True, kw_only=True)
class Emulator:
    """A running emulator, and what it was asked."""

    url: str = ""
    executor: Executor
    concurrency: int
    running: int = 0
    asked: list[web.Request] = field(default_factory=list)

    async def invoke(self, request: web.Request) -> web.Response:
        event = await request.read()
        self.asked.append(request)
        if self.running == self.concurrency:
            return web.Response(status=400)
        self.running += 1
        try:
            return _response(await self.executor.invoke(_invocation(request, event)))
        finally:
            self.running -= 1


def _invocation(request: web.Request, event: bytes) -> Invocation:
    """Newer emulators take the request id of the caller; the deadline is their own affair, here the caller's."""
    headers = request.headers
    return Invocation(
        request_id=headers["X-Amzn-RequestId"],
        event=event,
        deadline=int(headers["Lambda-Runtime-Deadline-Ms"]) / 1000 + 5.0,
        arn=headers["Lambda-Runtime-Invoked-Function-Arn"],
        trace=headers.get("X-Amzn-Trace-Id"),
    )


def _response(answer: Answer) -> web.Response:
    match answer:
        case Returned(payload):
            return web.Response(body=payload, content_type="application/json")
        case Errored("timeout", payload):
            text = orjson.loads(payload)["errorMessage"]
            return web.Response(text=text[text.index("Task timed out") :])
        case Errored("crash" | "oom", payload):
            return web.Response(status=502, body=payload)
        case Errored(_, payload):
            return web.Response(body=payload, content_type="application/json")
        case TooLarge():
            return web.Response(status=413)
        case Refused():
            return web.Response(status=500)


@asynccontextmanager
async def emulated(executor: Executor, *, concurrency: int = 1) -> AsyncIterator[Emulator]:
    """Runs one on a free port of the loopback interface, with an executor that it enters."""
    emulator = Emulator(executor=executor, concurrency=concurrency)
    async with executor, served(emulator.invoke) as url:
        emulator.url = url + PATH
        yield emulator


@asynccontextmanager
async def served(handler: Answering, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An HTTP server for every path; yields its address. A client that hangs up cancels its handler."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        async with asyncio.timeout(10):
            await runner.cleanup()
