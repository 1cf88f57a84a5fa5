"""The executor contract over HTTP: behind the emulator's path, and behind plain services."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from aiohttp import web
from support.rie import emulated, served

from poller.clock import SystemClock
from poller.core.model import Errored, Invocation, Returned
from poller.executors.http import HttpExecutor, HttpSpec
from poller.executors.inline import InlineExecutor, InlineSpec, load
from poller.testing import handlers
from poller.testing.executors import CONCURRENCY, FUNCTION_ARN, FUNCTION_NAME, MEMORY_SIZE, ExecutorContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from poller.executors.http_request import Protocol
    from poller.testing.executors import MakeExecutor

CODE = Path(str(handlers.__file__)).parent
ELSEWHERE = {"cancellation": "what runs elsewhere cannot be stopped: it is only not waited for"}


def running(handler: str) -> InlineExecutor:
    """What runs the handlers on the other side."""
    spec = InlineSpec(name=FUNCTION_NAME, arn=FUNCTION_ARN, memory_size=MEMORY_SIZE, maximum_concurrency=CONCURRENCY)
    return InlineExecutor(load(f"handlers.{handler}", CODE), spec, SystemClock())


@asynccontextmanager
async def through_an_emulator(handler: str) -> AsyncIterator[HttpExecutor]:
    async with (
        emulated(running(handler), concurrency=CONCURRENCY) as emulator,
        HttpExecutor(HttpSpec(url=emulator.url, arn=FUNCTION_ARN, protocol="rie"), SystemClock()) as executor,
    ):
        yield executor


@asynccontextmanager
async def through_a_service(handler: str, protocol: Protocol) -> AsyncIterator[HttpExecutor]:
    """A service that answers 500 with an error object where the function failed."""
    name = {"raw": "Lambda-Runtime-Aws-Request-Id", "cloudevents": "ce-id"}[protocol]

    async def invoke(request: web.Request) -> web.Response:
        deadline = int(request.headers["Lambda-Runtime-Deadline-Ms"]) / 1000 + 5.0
        asked = Invocation(request_id=request.headers[name], event=await request.read(), deadline=deadline, arn=FUNCTION_ARN)
        answer = await inner.invoke(asked)
        assert isinstance(answer, (Returned, Errored)), answer
        return web.Response(body=answer.payload, status=200 if isinstance(answer, Returned) else 500)

    async with (
        running(handler) as inner,
        served(invoke) as url,
        HttpExecutor(HttpSpec(url=f"{url}/orders", protocol=protocol), SystemClock()) as executor,
    ):
        yield executor


class TestEmulator(ExecutorContract):
    declined: ClassVar[Mapping[str, str]] = ELSEWHERE

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return through_an_emulator


@pytest.mark.slow
class TestPlainService(ExecutorContract):
    declined: ClassVar[Mapping[str, str]] = ELSEWHERE

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return lambda handler: through_a_service(handler, "raw")


@pytest.mark.slow
class TestCloudEvents(ExecutorContract):
    declined: ClassVar[Mapping[str, str]] = ELSEWHERE

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return lambda handler: through_a_service(handler, "cloudevents")
