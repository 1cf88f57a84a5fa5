"""Functions over HTTP, whatever the other side answers, or does instead."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from support.hostile import Behaviour, Hostile, cut_short, hang_up, hostile, nonsense, raw, reply, reset, silence, trickle

from poller.clock import SystemClock
from poller.core.model import Answer, Errored, Refused, Returned, TooLarge
from poller.executors.http import HttpExecutor, HttpSpec
from poller.testing.executors import REQUEST_ID, invocation

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from poller.executors.http_request import Protocol

SOON = 0.3
FLOOD = 7 * 1024 * 1024
ERROR = {"errorType": "ValueError", "errorMessage": "no", "stackTrace": []}


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


async def asked(server: Hostile, answer: Behaviour, *, protocol: Protocol = "raw", seconds: float = 10.0) -> Answer:
    """What the executor makes of one answer. It is asked for once, whatever it is."""
    server.then(answer)
    async with HttpExecutor(HttpSpec(url=f"{server.url}/f", protocol=protocol), SystemClock()) as executor:
        made = await executor.invoke(invocation({}, seconds=seconds))
    assert len(server.requests) == 1
    return made


def error_of(answer: Answer) -> tuple[str, str, str]:
    """Kind, type and message of an error."""
    assert isinstance(answer, Errored), answer
    error = json.loads(answer.payload)
    return answer.kind, error["errorType"], error["errorMessage"].removeprefix(f"RequestId: {REQUEST_ID} Error: ")


# ------------------------------------------------------------------------------------------------------------------- any service


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.rule("function.remote.success")
async def test_whatever_a_2xx_holds_is_the_answer_and_nothing_is_one(server: Hostile, status: int) -> None:
    body = b"" if status == 204 else b'{"batchItemFailures": []}'
    answer = await asked(server, reply(status, body))
    assert isinstance(answer, Returned)
    assert answer.payload == body
    assert isinstance(await asked(server, reply(status)), Returned)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b"", ("function_error", "Function.HttpError", "HTTP 400 Whatever")),
        (404, b"<h1>not\n here</h1>", ("function_error", "Function.HttpError", "HTTP 404 Whatever: <h1>not here</h1>")),
        (401, b"\x00\x1b[31m\xff", ("function_error", "Function.HttpError", "HTTP 401 Whatever: ??[31m\ufffd")),
        (500, b"x" * 5000, ("function_error", "Function.HttpError", "HTTP 500 Whatever: " + "x" * 300)),
        (303, b"", ("function_error", "Function.HttpError", "HTTP 303 Whatever")),
        (500, json.dumps(ERROR).encode(), ("function_error", "ValueError", "no")),
        (500, b'{"errorType": "Runtime.ExitError", "errorMessage": "m"}', ("crash", "Runtime.ExitError", "m")),
        (500, b'{"errorType": "Runtime.OutOfMemory", "errorMessage": "m"}', ("oom", "Runtime.OutOfMemory", "m")),
        (500, b'{"errorType": "Sandbox.Timedout", "errorMessage": "m"}', ("timeout", "Sandbox.Timedout", "m")),
        (500, b'{"errorMessage', ("function_error", "Function.HttpError", 'HTTP 500 Whatever: {"errorMessage')),
    ],
)
@pytest.mark.rule("function.remote.http-error")
async def test_4xx_and_5xx_are_errors_of_the_function_in_lambdas_shape(
    server: Hostile, status: int, body: bytes, expected: tuple[str, str, str]
) -> None:
    assert error_of(await asked(server, reply(status, body))) == expected


@pytest.mark.parametrize("name", ["x_amz_function_error", "lambda_runtime_function_error_type"])
async def test_a_2xx_that_is_flagged_as_an_error_is_one(server: Hostile, name: str) -> None:
    headers = {name: "My.Error"}
    assert error_of(await asked(server, reply(200, ERROR, **headers))) == ("function_error", "ValueError", "no")
    assert error_of(await asked(server, reply(200, b"oh no", **headers))) == ("function_error", "My.Error", "oh no")


async def test_an_error_object_in_a_plain_2xx_is_an_answer_like_any_other(server: Hostile) -> None:
    assert isinstance(await asked(server, reply(200, ERROR)), Returned)


LATER = "Fri, 31 Dec 2100 23:59:59 GMT"
EARLIER = "Thu, 01 Jan 1970 00:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "pause"),
    [("7", 7.0), ("0", 0.0), ("86400", 300.0), (LATER, 300.0), (EARLIER, 0.0), ("soon", None), ("-1", None), ("1e9", None)],
)
@pytest.mark.rule("function.remote.throttled")
async def test_retry_after_is_seconds_or_a_date_and_at_most_five_minutes(
    server: Hostile, header: str, pause: float | None
) -> None:
    answer = await asked(server, reply(429, b"slow down", retry_after=header))
    assert answer == Refused("throttled", pause, "HTTP 429 Whatever: slow down")


@pytest.mark.rule("function.remote.unavailable")
async def test_a_gateway_without_the_function_behind_it_is_a_refusal(server: Hostile) -> None:
    assert await asked(server, reply(503, retry_after="2")) == Refused("unavailable", 2.0, "HTTP 503 Whatever")
    assert await asked(server, reply(503)) == Refused("unavailable", None, "HTTP 503 Whatever")


@pytest.mark.parametrize(("status", "kind"), [(502, "crash"), (504, "timeout")])
@pytest.mark.rule("function.remote.lost")
async def test_a_gateway_whose_function_hung_up_or_was_too_slow_spends_a_retry_because_it_may_have_run(
    server: Hostile, status: int, kind: str
) -> None:
    for headers in ({}, {"retry_after": "2"}):
        answer = await asked(server, reply(status, b"<h1>Bad\n Gateway</h1>", **headers))
        assert error_of(answer) == (kind, "Function.HttpError", f"HTTP {status} Whatever: <h1>Bad Gateway</h1>")


async def test_an_event_that_is_too_large_for_the_service_is_too_large(server: Hostile) -> None:
    assert await asked(server, reply(413, b"no")) == TooLarge(2)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.rule("function.remote.only-its-url")
async def test_redirects_are_not_followed_and_the_refusal_says_where_to(server: Hostile, status: int) -> None:
    answer = await asked(server, reply(status, location=f"{server.url}/elsewhere"))
    assert isinstance(answer, Refused)
    assert answer.detail.endswith(f"redirects are not followed; it says that the function is at {server.url}/elsewhere")


@pytest.mark.parametrize(
    "head", [b"500 F\xe9hler", b"503 F\xe9hler", b"200 OK\r\nx-amz-function-error: \xe9", b"200 OK\r\ncontent-encoding: \xe9"]
)
async def test_what_is_no_text_in_an_answer_can_still_be_told(server: Hostile, head: bytes) -> None:
    answer = await asked(server, raw(b"HTTP/1.1 " + head + b"\r\ncontent-length: 0\r\n\r\n"))
    assert isinstance(answer, Errored | Refused)
    assert "?" in (answer.detail if isinstance(answer, Refused) else answer.payload.decode())


async def test_an_encoding_that_nobody_asked_for_is_an_error(server: Hostile) -> None:
    for body in (gzip.compress(b"{}"), b"nobody tries to decode it"):
        kind, _, message = error_of(await asked(server, reply(200, body, content_encoding="gzip")))
        assert (kind, message) == ("function_error", "the answer is encoded (gzip), unasked")


# --------------------------------------------------------------------------------------------------------------------- emulators


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, json.dumps(ERROR).encode(), ("function_error", "ValueError", "no")),
        (200, b'{"errorType": "Runtime.ExitError", "errorMessage": "m"}', ("crash", "Runtime.ExitError", "m")),
        (200, b"Task timed out after 3.00 seconds", ("timeout", "Sandbox.Timedout", "Task timed out after 3.00 seconds")),
        (200, b"", ("crash", "Runtime.ExitError", "Runtime exited without providing a reason")),
        (502, b"", ("crash", "Runtime.ExitError", "Runtime exited without providing a reason")),
        (504, b"", ("crash", "Runtime.ExitError", "Runtime exited without providing a reason")),
        (502, b'{"errorType": "Runtime.ExitError", "errorMessage": "m"}', ("crash", "Runtime.ExitError", "m")),
        (502, b'{"errorType": "Runtime.Unknown", "errorMessage": "m"}', ("function_error", "Runtime.Unknown", "m")),
    ],
)
@pytest.mark.rule("function.remote.emulator")
async def test_what_the_emulator_says_of_a_failure_is_understood(
    server: Hostile, status: int, body: bytes, expected: tuple[str, str, str]
) -> None:
    assert error_of(await asked(server, reply(status, body), protocol="rie")) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b'"Task timed out after 3.00 seconds"',
        b'{"batchItemFailures": [{"itemIdentifier": "1"}]}',
        b'{"statusCode": 500, "errorType": "a", "errorMessage": "b"}',
        b'{"batchItemFailures": [], "errorType": "a", "errorMessage": "b"}',
        b'{"errorMessage": "only that"}',
        b'[{"errorType": "a", "errorMessage": "b"}]',
    ],
)
async def test_what_only_looks_like_a_failure_is_the_functions_answer(server: Hostile, body: bytes) -> None:
    answer = await asked(server, reply(200, body), protocol="rie")
    assert isinstance(answer, Returned)
    assert answer.payload == body


async def test_an_emulator_that_is_busy_refuses(server: Hostile) -> None:
    answer = await asked(server, reply(400), protocol="rie")
    assert isinstance(answer, Refused)
    assert (answer.reason, "one at a time" in answer.detail) == ("throttled", True)


async def test_a_gateway_before_an_emulator_is_a_gateway(server: Hostile) -> None:
    answer = await asked(server, reply(503, b"<h1>Unavailable</h1>"), protocol="rie")
    assert answer == Refused("unavailable", None, "HTTP 503 Whatever: <h1>Unavailable</h1>")
    answer = await asked(server, reply(502, b"<h1>Bad Gateway</h1>"), protocol="rie")
    assert error_of(answer) == ("crash", "Function.HttpError", "HTTP 502 Whatever: <h1>Bad Gateway</h1>")


# -------------------------------------------------------------------------------------------------------------------- no answers


@pytest.mark.parametrize("behaviour", [hang_up, reset, nonsense, cut_short(b'{"a": 1}')], ids=lambda each: each.__name__)
@pytest.mark.rule("function.remote.lost")
async def test_a_connection_that_breaks_after_the_request_is_a_crash_and_nothing_is_sent_twice(
    server: Hostile, behaviour: Behaviour
) -> None:
    kind, error_type, message = error_of(await asked(server, behaviour))
    assert (kind, error_type) == ("crash", "Runtime.ExitError")
    assert "the connection broke before the answer was there" in message


@pytest.mark.parametrize("behaviour", [silence, trickle], ids=lambda each: each.__name__)
@pytest.mark.rule("function.error.timeout")
async def test_the_deadline_holds_for_the_whole_answer(server: Hostile, behaviour: Behaviour) -> None:
    assert error_of(await asked(server, behaviour, seconds=SOON)) == (
        "timeout",
        "Sandbox.Timedout",
        "Task timed out after 0.30 seconds",
    )


def promising(size: int) -> Behaviour:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\nx".encode())

    return answer


async def flood(writer: asyncio.StreamWriter) -> None:
    """Never comes to an end."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("behaviour", "size"), [(promising(FLOOD), f"({FLOOD} bytes)"), (flood, "(629")], ids=["promised", "flood"]
)
@pytest.mark.rule("function.answer.too-large")
async def test_an_answer_above_the_limit_is_not_read_to_its_end(server: Hostile, behaviour: Behaviour, size: str) -> None:
    kind, error_type, message = error_of(await asked(server, behaviour))
    assert (kind, error_type) == ("function_error", "Function.ResponseSizeTooLarge")
    assert size in message
