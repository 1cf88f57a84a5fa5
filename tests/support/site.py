"""A real HTTP listener of the daemon, what it shows, and a client."""

from __future__ import annotations

import asyncio
import gzip

import aiohttp

from poller.admin.health import Health
from poller.admin.http import AdminServer
from poller.admin.status import Board
from poller.observe.metrics import Metrics
from support.observing import HandClock


class Site:
    """A server, what it shows, and a client."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.metrics = Metrics()
        self.health = Health(self.clock)
        self.board = Board()
        self.server = AdminServer("127.0.0.1:0", self.metrics, self.health, self.board)

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[aiohttp.ClientResponse, str]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with (
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding", "Accept"]) as session,
            session.request(method, url, headers={key.replace("_", "-"): value for key, value in headers.items()}) as response,
        ):
            body = await response.read()
            return response, (gzip.decompress(body) if "Content-Encoding" in response.headers else body).decode()

    async def raw(self, request: bytes) -> bytes:
        """What the server answers to these bytes before it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer
