"""What tests of the lean HTTP client share: a server that misbehaves, and a client of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import uvloop

from poller.apis.client import Transport
from poller.apis.connection import WireError
from poller.apis.wire import Origin, Wire
from support.hostile import Hostile, hostile, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

    Scene = Callable[[Coroutine[object, object, None]], None]
REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GOOD = reply(200, b"good")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_both_loops(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Runs a scene on each of the event loops."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@asynccontextmanager
async def asking(transport: Transport | None = None) -> AsyncIterator[tuple[Hostile, Wire, Origin]]:
    """A server, and a client of it."""
    wire = Wire(transport or Transport(read_timeout=5.0), verify=True)
    async with hostile() as server:
        try:
            yield server, wire, origin_of(server)
        finally:
            await wire.aclose()
            assert wire.connections == 0
            assert not any(wire._idle.values())  # what is lost is forgotten


def origin_of(server: Hostile) -> Origin:
    return Origin(tls=False, host="127.0.0.1", port=int(server.url.rpartition(":")[2]))


async def failure_of(call: Awaitable[object]) -> WireError:
    with pytest.raises(WireError) as caught:
        await call
    return caught.value


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.001)
