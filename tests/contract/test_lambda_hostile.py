"""Functions through Invoke, whatever the other side answers, or does instead."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import pytest_asyncio
from support.aws import REGION
from support.hostile import Behaviour, Hostile, cut_short, hang_up, hostile, reply, reset, silence, trickle

from poller.apis.client import AwsSettings, Transport
from poller.clock import SystemClock
from poller.core.model import Answer, Errored, Figures, Refused, Returned, TooLarge
from poller.errors import ConfigError
from poller.executors.invoke_api import LambdaExecutor, LambdaSpec
from poller.testing.doubles import Line, RecordedEvents
from poller.testing.executors import REQUEST_ID, invocation
from poller.wiring import lambda_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from poller.services import LambdaApi

MEGABYTE = 1024 * 1024
FLOOD = 7 * MEGABYTE
ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders:live"
LOG = """\
START RequestId: aws-1 Version: $LATEST
one
\ttwo\r
END RequestId: aws-1
REPORT RequestId: aws-1\tDuration: 12.50 ms\tBilled Duration: 513 ms\tMemory Size: 128 MB\t\
Max Memory Used: 40 MB\tInit Duration: 500.25 ms\t
"""
OTHER_ORDER = """\
REPORT RequestId: aws-1\tInit Duration: 500.25 ms\tBilled Duration: 513 ms\tDuration: 12.50 ms\tMax Memory Used: 40 MB
one
\ttwo
"""
FIGURES = Figures(duration=0.0125, init_duration=0.50025, max_memory=40 * MEGABYTE)
JSON_LOG = """\
{"time":"2023-11-14T22:13:20Z","type":"platform.start","record":{"requestId":"aws-1"}}
{"level":"INFO","message":"one"}
{"time":"2023-11-14T22:13:20Z","type":"platform.report","record":{"requestId":"aws-1","metrics":{"durationMs":12.5,"initDurationMs":500.25,\
"maxMemoryUsedMB":40}}}
"""


@pytest_asyncio.fixture
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


async def invoked(url: str, event: object, spec: LambdaSpec, events: RecordedEvents, seconds: float = 10.0) -> Answer:
    settings = AwsSettings(region=REGION, endpoint_url=url)
    async with LambdaExecutor(spec, lambda: lambda_api(settings, Transport()), events, SystemClock()) as executor:
        return await executor.invoke(invocation(event, seconds=seconds))


async def asked(server: Hostile, answer: Behaviour, events: RecordedEvents | None = None, *, seconds: float = 10.0) -> Answer:
    """What the executor makes of one answer. It is asked for once, whatever it is."""
    server.then(answer)
    spec = LambdaSpec(function_name="orders", grace=0.0)
    made = await invoked(server.url, {}, spec, events or RecordedEvents(), seconds)
    assert len(server.requests) == 1
    return made


def error_of(answer: Answer) -> tuple[str, str]:
    """Kind and message of an error."""
    assert isinstance(answer, Errored), answer
    return answer.kind, json.loads(answer.payload)["errorMessage"]


def refusal(status: int, code: str, **members: str) -> Behaviour:
    """As Lambda refuses: the code is in a header."""
    return reply(status, {"Type": "User", "message": "because", **members}, x_amzn_errortype=code)


@pytest.mark.rule("function.remote.invoke-api")
@pytest.mark.parametrize(
    ("spec", "path", "log_type"),
    [
        (LambdaSpec(function_name="orders"), "/2015-03-31/functions/orders/invocations", "Tail"),
        (LambdaSpec(function_name="orders", tail=False), "/2015-03-31/functions/orders/invocations", "None"),
        (LambdaSpec(function_name="orders", qualifier="7"), "/2015-03-31/functions/orders/invocations?Qualifier=7", "Tail"),
        (LambdaSpec(function_name=ARN), f"/2015-03-31/functions/{ARN}/invocations", "Tail"),
    ],
    ids=["name", "without log", "qualifier", "arn"],
)
async def test_the_event_is_posted_for_a_synchronous_invocation(
    server: Hostile, spec: LambdaSpec, path: str, log_type: str
) -> None:
    server.then(reply(200, b'"done"'))
    answer = await invoked(server.url, {"a": 1}, spec, RecordedEvents())
    assert isinstance(answer, Returned)
    assert answer.payload == b'"done"'
    (request,) = server.requests
    assert (unquote(request.line), request.body) == (f"POST {path} HTTP/1.1", b'{"a": 1}')
    assert (request.headers["x-amz-invocation-type"], request.headers["x-amz-log-type"]) == ("RequestResponse", log_type)
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize(
    ("log", "lines"),
    [(LOG, ["one", "\ttwo"]), (OTHER_ORDER, ["one", "\ttwo"]), (JSON_LOG, ['{"level":"INFO","message":"one"}'])],
    ids=["text", "other order", "json"],
)
@pytest.mark.rule("function.remote.report")
async def test_the_functions_lines_are_told_and_the_figures_are_those_of_the_report(
    server: Hostile, log: str, lines: list[str]
) -> None:
    events = RecordedEvents()
    answer = await asked(server, reply(200, b"null", x_amz_log_result=b64encode(log.encode()).decode()), events)
    assert answer == Returned(b"null", FIGURES)
    assert events.lines == [Line(line, "stdout", REQUEST_ID) for line in lines]


async def test_a_tail_that_begins_within_a_line_says_so(server: Hostile) -> None:
    events, log = RecordedEvents(), b"x" * 4000 + b"\n" + b"y" * 95
    await asked(server, reply(200, b"null", x_amz_log_result=b64encode(log).decode()), events)
    assert [line.text for line in events.lines] == ["... " + "x" * 4000, "y" * 95]


async def test_a_log_that_is_no_base64_is_none(server: Hostile) -> None:
    events = RecordedEvents()
    assert isinstance(await asked(server, reply(200, b"null", x_amz_log_result="a"), events), Returned)
    assert events.lines == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.rule("function.remote.only-its-url")
async def test_redirects_are_not_followed_nor_taken_for_an_answer(server: Hostile, status: int) -> None:
    async with hostile() as elsewhere:
        elsewhere.then(reply(200, b"null"))
        answer = await asked(server, reply(status, location=f"{elsewhere.url}/elsewhere"))
        assert answer == Refused("unavailable", None, f"Invoke: orders: {status}")
        assert elsewhere.requests == []


@pytest.mark.parametrize("function_error", ["Handled", "Unhandled"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"errorType": "ValueError", "errorMessage": "m"}, "function_error"),
        ({"errorType": "Sandbox.Timedout", "errorMessage": "m"}, "timeout"),
        ({"errorMessage": "2023-11-14T22:13:20.500Z aws-1 Task timed out after 3.00 seconds"}, "timeout"),
        ({"errorType": "Runtime.ExitError", "errorMessage": "m"}, "crash"),
        ({"errorType": "Runtime.OutOfMemory", "errorMessage": "m"}, "oom"),
        ({"errorType": ["odd"], "errorMessage": "m"}, "function_error"),
        ({"no": "error object"}, "function_error"),
    ],
)
@pytest.mark.rule("function.remote.error-object")
async def test_a_function_error_is_of_the_kind_that_its_error_object_tells_of(
    server: Hostile, function_error: str, error: dict[str, str], kind: str
) -> None:
    answer = await asked(server, reply(200, error, x_amz_function_error=function_error))
    assert isinstance(answer, Errored)
    assert (answer.kind, json.loads(answer.payload)) == (kind, error)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal(404, "ResourceNotFoundException"), "unavailable"),
        (refusal(403, "AccessDeniedException"), "unavailable"),
        (refusal(400, "InvalidParameterValueException"), "unavailable"),
        (refusal(400, "InvalidRequestContentException"), "unavailable"),
        (refusal(409, "ResourceConflictException"), "unavailable"),
        (refusal(502, "EC2ThrottledException"), "unavailable"),
        (refusal(502, "ENILimitReachedException"), "unavailable"),
        (refusal(502, "ResourceNotReadyException"), "unavailable"),
        (refusal(502, "KMSAccessDeniedException"), "unavailable"),
        (refusal(500, "ServiceException"), "unavailable"),
        (reply(503), "unavailable"),
        (refusal(429, "TooManyRequestsException"), "throttled"),
        (reply(429), "throttled"),
    ],
)
@pytest.mark.rule("function.remote.unavailable")
async def test_what_the_service_refuses_did_not_run(server: Hostile, answer: Behaviour, reason: str) -> None:
    made = await asked(server, answer)
    assert isinstance(made, Refused)
    assert (made.reason, made.retry_after) == (reason, None)
    assert made.detail.startswith("Invoke: orders: ")


@pytest.mark.parametrize(("header", "pause"), [("3", 3.0), ("99999", 300.0), ("soon", None)])
@pytest.mark.rule("function.remote.throttled")
async def test_a_throttle_says_which_limit_it_was_and_how_long_to_wait(server: Hostile, header: str, pause: float | None) -> None:
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    answer = reply(
        429, {"message": "Rate Exceeded.", "Reason": reason}, x_amzn_errortype="TooManyRequestsException", retry_after=header
    )
    detail = f"Invoke: orders: TooManyRequestsException: {reason}: Rate Exceeded."
    assert await asked(server, answer) == Refused("throttled", pause, detail)


@pytest.mark.parametrize("code", ["RequestTooLargeException", "SerializedRequestEntityTooLargeException"])
async def test_an_event_that_is_too_large_for_the_service_is_too_large(server: Hostile, code: str) -> None:
    assert await asked(server, refusal(413, code)) == TooLarge(2)


def promising(size: int) -> Behaviour:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode() + b"x" * size)

    return answer


@pytest.mark.rule("function.answer.too-large")
async def test_an_answer_above_the_limit_is_a_function_error(server: Hostile) -> None:
    kind, message = error_of(await asked(server, promising(FLOOD)))
    assert (kind, message.partition("exceeded")[0].startswith("Response payload size (")) == ("function_error", True)


@pytest.mark.parametrize("behaviour", [hang_up, reset, cut_short(b'{"a": 1}')], ids=lambda each: each.__name__)
@pytest.mark.rule("function.remote.lost")
async def test_a_connection_that_breaks_after_the_request_is_a_crash_and_nothing_is_sent_twice(
    server: Hostile, behaviour: Behaviour
) -> None:
    kind, message = error_of(await asked(server, behaviour))
    assert kind == "crash"
    assert "no answer came: Invoke: orders: " in message


@pytest.mark.parametrize("behaviour", [silence, trickle], ids=lambda each: each.__name__)
@pytest.mark.rule("function.error.timeout")
async def test_no_answer_in_time_is_a_time_out(server: Hostile, behaviour: Behaviour) -> None:
    kind, message = error_of(await asked(server, behaviour, seconds=0.3))
    assert (kind, message) == ("timeout", f"RequestId: {REQUEST_ID} Error: Task timed out after 0.30 seconds")


async def test_lambdas_own_time_out_has_time_to_arrive(server: Hostile) -> None:
    error = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 0.10 seconds"}

    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await reply(200, error, x_amz_function_error="Unhandled")(writer)

    server.then(late)
    answer = await invoked(server.url, {}, LambdaSpec(function_name="orders", grace=5.0), RecordedEvents(), 0.1)
    assert error_of(answer) == ("timeout", "Task timed out after 0.10 seconds")


async def test_a_server_that_is_not_there_is_a_refusal(aws_environment: dict[str, str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        answer = await invoked(url, {}, LambdaSpec(function_name="orders"), RecordedEvents())
    assert isinstance(answer, Refused)
    assert answer.reason == "unavailable"


async def test_missing_credentials_are_waited_for(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    server.then(reply(200, b"null"))
    answer = await invoked(server.url, {}, LambdaSpec(function_name="orders"), RecordedEvents())
    assert isinstance(answer, Refused)
    assert "credentials" in answer.detail
    assert server.requests == []


async def test_a_profile_that_does_not_exist_is_an_error_of_the_configuration(aws_environment: dict[str, str]) -> None:
    def connect() -> AbstractAsyncContextManager[LambdaApi]:
        return lambda_api(AwsSettings(region=REGION, profile="nobody"), Transport())

    with pytest.raises(ConfigError, match="nobody"):
        await LambdaExecutor(LambdaSpec(function_name="orders"), connect, RecordedEvents(), SystemClock()).__aenter__()
