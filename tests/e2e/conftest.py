"""Scenes: a test's corner of real servers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from e2e.proxy import proxy
from e2e.queue_server import serving
from e2e.scene import Scene
from support.aws import queues, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from e2e.proxy import Proxy
    from e2e.queue_server import QueueServer
    from support.servers import Server


@pytest.fixture
async def scene(ministack: Server, tmp_path: Path) -> AsyncIterator[Scene]:
    """All services on ministack."""
    async with _scene(ministack.url, ministack.url, ministack.url, tmp_path) as made:
        yield made


@pytest.fixture(params=["ministack", "kinesis-local"])
async def either_scene(request: pytest.FixtureRequest, ministack: Server, tmp_path: Path) -> AsyncIterator[Scene]:
    """Once with streams on ministack, once on kinesis-local; queues are ministack's."""
    if request.param == "ministack":
        async with _scene(ministack.url, ministack.url, ministack.url, tmp_path) as made:
            yield made
        return
    local: Server = request.getfixturevalue("kinesis_local")
    async with (
        proxy({"Kinesis": local.url, "AmazonSQS": ministack.url}) as both,
        _scene(both.url, local.url, ministack.url, tmp_path) as made,
    ):
        yield made


@pytest.fixture
async def local_scene(kinesis_local: Server, ministack: Server, tmp_path: Path) -> AsyncIterator[Scene]:
    """Streams on kinesis-local, no queues."""
    async with _scene(kinesis_local.url, kinesis_local.url, ministack.url, tmp_path) as made:
        yield made


@pytest.fixture
async def queue_server() -> AsyncIterator[QueueServer]:
    """Queues that do not keep a daemon waiting."""
    async with serving() as made:
        yield made


@pytest.fixture
async def fast_scene(queue_server: QueueServer, tmp_path: Path) -> AsyncIterator[Scene]:
    """Queues on `queue_server`, no streams."""
    async with _scene(queue_server.url, queue_server.url, queue_server.url, tmp_path) as made:
        yield made


@pytest.fixture
async def between(ministack: Server) -> AsyncIterator[Proxy]:
    """A proxy before ministack."""
    async with proxy({"": ministack.url}) as made:
        yield made


@pytest.fixture
async def troubled_scene(between: Proxy, ministack: Server, tmp_path: Path) -> AsyncIterator[Scene]:
    """All services on ministack; the daemon has to go through `between`, the test does not."""
    async with _scene(between.url, ministack.url, ministack.url, tmp_path) as made:
        yield made


@asynccontextmanager
async def _scene(url: str, kinesis: str, sqs: str, folder: Path) -> AsyncIterator[Scene]:
    async with streams(kinesis) as some_streams, queues(sqs) as some_queues:
        made = Scene(url=url, folder=folder, streams=some_streams, queues=some_queues)
        try:
            yield made
        finally:
            await made.close()
