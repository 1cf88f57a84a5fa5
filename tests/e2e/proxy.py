"""What stands between a daemon and its servers: sends each request on to the service it is for, or does something worse."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

Trouble = Literal["throttle", "fail", "reset", "cut", "late", "lose"]
"""Refused as too much; refused with a 500; the connection is reset instead of an answer; the answer breaks off in the middle; the
answer comes late; the request is carried out and its answer lost."""

LATE = 0.4

HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})

REFUSALS = {"throttle": (400, "ProvisionedThroughputExceededException"), "fail": (500, "InternalFailure")}


class Proxy:
    """Routes by the first part of `X-Amz-Target`.

    Attributes:
        url: where it listens.
        trouble: what to do to a request, by its operation; None: send it on.
        seen: the operations of all requests, in order, each with what was done to it.
    """

    def __init__(self, routes: Mapping[str, str], session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.trouble: Callable[[str], Trouble | None] = lambda _: None
        self.seen: list[tuple[str, Trouble | None]] = []
        self._routes = routes
        self._session = session

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        service, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        trouble = self.trouble(operation)
        self.seen.append((operation, trouble))
        match trouble:
            case "throttle" | "fail":
                status, code = REFUSALS[trouble]
                return web.Response(status=status, body=json.dumps({"__type": code, "message": "made up"}))
            case "reset":
                return _reset(request)
            case "late":
                await asyncio.sleep(LATE)
        response = await self._forward(request, next(url for prefix, url in self._routes.items() if service.startswith(prefix)))
        if trouble == "lose":
            return _reset(request)
        if trouble == "cut":
            assert isinstance(response.body, bytes)
            response.headers["Content-Length"] = str(len(response.body) + 1)
            response.force_close()
        return response

    async def _forward(self, request: web.BaseRequest, url: str) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        body = await request.read()
        async with self._session.request(request.method, url + request.path_qs, headers=headers, data=body) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


@asynccontextmanager
async def proxy(routes: Mapping[str, str]) -> AsyncIterator[Proxy]:
    """Runs one on a free port."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        made = Proxy(routes, session)
        runner = web.ServerRunner(web.Server(made.answer, access_log=None), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = "http://{}:{}".format(*runner.addresses[0])
        try:
            yield made
        finally:
            await runner.cleanup()


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=500)  # which nobody receives
