"""The executor contract through Invoke, on a server that runs functions as Lambda does.

There is one function, so that its workers are warm; the alias by which it is called says which of the suite's handlers it is.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from support.aws import REGION, client

from poller.apis.client import AwsSettings, Transport
from poller.clock import SystemClock
from poller.core.model import Refused, Returned
from poller.executors.invoke_api import LambdaExecutor, LambdaSpec
from poller.testing import handlers
from poller.testing.doubles import Line, RecordedEvents
from poller.testing.executors import MEMORY_SIZE, REQUEST_ID, ExecutorContract, errored, invocation, returned
from poller.wiring import lambda_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from support.servers import Server

    from poller.testing.executors import MakeExecutor

pytestmark = pytest.mark.slow

NAME = "conforming"
SOURCE = Path(str(handlers.__file__))
NAMES = [name for name in vars(handlers) if not name.startswith("_")]
DISPATCH = """
import handlers

def handler(event, context):
    name = context.invoked_function_arn.rpartition(":")[2]
    return talking(event, context) if name == "talking" else getattr(handlers, name)(event, context)

def talking(event, context):
    print(event["text"])
"""
STOPPED = "stopped"


def code() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(SOURCE, SOURCE.name)
        file.writestr("dispatch.py", DISPATCH)
    return archive.getvalue()


@pytest.fixture(scope="module")
def functions(ministack: Server) -> str:
    """Makes them; the URL of their server."""
    asyncio.run(make_functions(ministack.url))
    return ministack.url


async def make_functions(url: str) -> None:
    async with client("lambda", url) as aws:
        for name in (NAME, STOPPED):
            await aws.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role="arn:aws:iam::000000000000:role/lambda",
                Handler="dispatch.handler",
                Code={"ZipFile": code()},
                Timeout=30,
                MemorySize=MEMORY_SIZE,
            )
        for alias in [*NAMES, "talking"]:
            await aws.create_alias(FunctionName=NAME, Name=alias, FunctionVersion="$LATEST")
        await aws.put_function_concurrency(FunctionName=STOPPED, ReservedConcurrentExecutions=0)


@asynccontextmanager
async def through_invoke(url: str, spec: LambdaSpec, events: RecordedEvents) -> AsyncIterator[LambdaExecutor]:
    settings, transport = AwsSettings(region=REGION, endpoint_url=url), Transport(read_timeout=60.0)
    async with LambdaExecutor(spec, lambda: lambda_api(settings, transport), events, SystemClock()) as executor:
        yield executor


class TestInvoke(ExecutorContract):
    declined: ClassVar[Mapping[str, str]] = {
        "cancellation": "what runs elsewhere cannot be stopped: it is only not waited for",
        "context": "the request id, the name and the ARN are Lambda's own",
        "frames": "the request id is Lambda's own",
        "unmarshal": "Lambda refuses what is no JSON, and no event is",
        "exception": "the server that stands in for Lambda calls all exceptions Runtime.HandlerError",
        "marshal": "the server that stands in for Lambda calls all exceptions Runtime.HandlerError",
    }

    @pytest.fixture
    def make(self, functions: str) -> MakeExecutor:
        def make(handler: str) -> AbstractAsyncContextManager[LambdaExecutor]:
            return through_invoke(functions, LambdaSpec(function_name=NAME, qualifier=handler, grace=0.0), RecordedEvents())

        return make


async def test_what_the_function_logs_comes_back_under_the_id_of_its_invocation(functions: str) -> None:
    events = RecordedEvents()
    async with through_invoke(functions, LambdaSpec(function_name=f"{NAME}:talking"), events) as executor:
        assert returned(await executor.invoke(invocation({"text": "one\ntwo"}))) is None
    assert events.lines == [Line("one", "stdout", REQUEST_ID), Line("two", "stdout", REQUEST_ID)]


async def test_nothing_comes_back_that_was_not_asked_for(functions: str) -> None:
    events = RecordedEvents()
    async with through_invoke(functions, LambdaSpec(function_name=f"{NAME}:talking", tail=False), events) as executor:
        assert isinstance(await executor.invoke(invocation({"text": "one"})), Returned)
    assert events.lines == []


@pytest.mark.rule("function.remote.error-object")
async def test_an_exception_comes_back_as_the_error_object_that_the_server_made(functions: str) -> None:
    async with through_invoke(functions, LambdaSpec(function_name=NAME, qualifier="raising"), RecordedEvents()) as executor:
        error = errored(await executor.invoke(invocation({"message": "no"})), "function_error")
    assert error["errorMessage"] == "no"


@pytest.mark.rule("function.remote.throttled")
async def test_a_function_without_concurrency_is_a_refusal_that_says_which_limit_it_was(functions: str) -> None:
    async with through_invoke(functions, LambdaSpec(function_name=STOPPED), RecordedEvents()) as executor:
        answer = await executor.invoke(invocation({}))
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.retry_after) == ("throttled", 1.0)
    assert "TooManyRequestsException: ReservedFunctionConcurrentInvocationLimitExceeded: Rate Exceeded" in answer.detail


@pytest.mark.rule("function.remote.unavailable")
async def test_a_function_that_is_not_there_is_a_refusal_that_says_so(functions: str) -> None:
    async with through_invoke(functions, LambdaSpec(function_name="nobody"), RecordedEvents()) as executor:
        answer = await executor.invoke(invocation({}))
    assert isinstance(answer, Refused)
    assert answer.reason == "unavailable"
    assert "nobody: ResourceNotFoundException" in answer.detail
    assert "check that it exists in this account and region" in answer.detail
