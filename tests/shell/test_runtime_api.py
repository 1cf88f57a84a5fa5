"""What the Runtime API answers, and in which states."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import pytest
import uvloop
from support.runtime_api import ARN, NEXT, ROOT, place, until

from poller.executors.worker import MAX_ANSWER_BYTES, RAISED, READY, RETURNED

if TYPE_CHECKING:
    from support.runtime_api import Answer

TOO_LARGE = MAX_ANSWER_BYTES + 1
ERROR = b'{"errorType": "E", "errorMessage": "no"}'


def said(answer: Answer) -> tuple[int, object]:
    content = json.loads(answer.body)
    return answer.status, content.get("errorType", content)


@pytest.mark.rule("runtime-api.next")
async def test_the_first_next_says_that_the_worker_is_ready_and_waits_for_an_invocation() -> None:
    async with place() as here:
        client = (await here.client()).send(NEXT)
        assert (await here.worker.reply())[:3] == (READY, b"", 0)
        assert here.api.ready
        here.invoke("8f5c4d0e", b'{"a": 1}', trace="Root=1-5759e988")
        assert not here.api.ready
        status, fields, body = await client.answer()
        assert (status, body) == (200, b'{"a": 1}')
        assert fields == {
            "content-type": "application/json",
            "content-length": "8",
            "lambda-runtime-aws-request-id": "8f5c4d0e",
            "lambda-runtime-deadline-ms": "1767225600250",
            "lambda-runtime-invoked-function-arn": ARN,
            "lambda-runtime-trace-id": "root=1-5759e988",
        }


async def test_without_a_trace_there_is_no_header_of_it() -> None:
    async with place() as here:
        client = await here.ready()
        here.invoke()
        assert "lambda-runtime-trace-id" not in (await client.answer()).fields


@pytest.mark.rule("runtime-api.response")
async def test_an_answer_is_accepted_and_handed_on_and_the_next_next_is_told() -> None:
    async with place() as here:
        client = await here.running()
        assert said(await client.post("invocation/r/response", b'{"b": 2}').answer()) == (202, {"status": "OK"})
        assert (await here.worker.reply())[:3] == (RETURNED, b'{"b": 2}', 1)
        assert not here.api.ready
        client.send(NEXT)
        await here.worker.asks_again()
        assert here.api.ready


@pytest.mark.rule("runtime-api.response")
async def test_the_seconds_of_an_answer_are_those_since_the_invocation_was_sent() -> None:
    async with place() as here:
        client = await here.ready()
        before = asyncio.get_running_loop().time()
        here.invoke()
        await client.answer()
        await asyncio.sleep(0.02)
        client.post("invocation/r/response")
        seconds = (await here.worker.reply()).seconds
        assert 0.02 <= seconds <= asyncio.get_running_loop().time() - before


@pytest.mark.rule("runtime-api.error")
@pytest.mark.parametrize(
    ("body", "fields", "payload"),
    [
        (ERROR, (), json.loads(ERROR)),
        (b"no", ("Lambda-Runtime-Function-Error-Type: App.No",), {"errorType": "App.No", "errorMessage": "no"}),
        (b"", (), {"errorType": "Runtime.Unknown", "errorMessage": ""}),
        (b"[1]", (), {"errorType": "Runtime.Unknown", "errorMessage": "[1]"}),
        (
            b'{"errorMessage": "no", "errorType": "E", "errorCause": {"paths": []}}',
            ("Content-Type: application/vnd.aws.lambda.error.cause+json",),
            json.loads(ERROR),
        ),
    ],
)
async def test_an_error_is_handed_on_as_lambdas_error_object(body: bytes, fields: tuple[str, ...], payload: object) -> None:
    async with place() as here:
        client = await here.running()
        assert said(await client.post("invocation/r/error", body, *fields).answer()) == (202, {"status": "OK"})
        reply = await here.worker.reply()
        assert (reply.kind, json.loads(reply.payload)) == (RAISED, payload)


@pytest.mark.rule("runtime-api.init-error")
async def test_an_error_of_initialisation_is_the_first_reply_and_nothing_may_follow() -> None:
    async with place() as here:
        client = await here.client()
        assert said(await client.post("init/error", ERROR).answer()) == (202, {"status": "OK"})
        assert (await here.worker.reply())[:3] == (RAISED, ERROR, 0)
        assert said(await client.send(NEXT).answer()) == (403, "InvalidStateTransition")
        assert said(await client.post("init/error", ERROR).answer()) == (403, "InvalidStateTransition")


@pytest.mark.rule("runtime-api.states")
async def test_what_has_not_its_time_is_refused_in_the_emulators_words() -> None:
    async with place() as here:
        client = await here.client()
        early = await client.post("invocation/r/response").answer()
        assert json.loads(early.body) == {
            "errorMessage": "State transition from Started to InvocationResponse failed for runtime."
            " Error: State transition is not allowed",
            "errorType": "InvalidStateTransition",
        }
        other = await here.running()
        assert said(await client.post("init/error", ERROR).answer()) == (403, "InvalidStateTransition")
        assert said(await client.post("invocation/other/response").answer()) == (400, "InvalidRequestID")
        assert said(await client.post("invocation/r/response").answer())[0] == 202
        assert said(await other.post("invocation/r/error", ERROR).answer()) == (403, "InvalidStateTransition")
        assert (await here.worker.reply()).kind == RETURNED
        assert here.worker.replies.empty()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /2018-06-01/runtime/restore/next", 403),
        ("POST /2018-06-01/runtime/restore/error", 403),
        ("POST /2018-06-01/runtime/invocation/next", 405),
        ("GET /2018-06-01/runtime/init/error", 405),
        ("PUT /2018-06-01/runtime/invocation/r/response", 405),
        ("GET /2018-06-01/runtime/invocation/r/response", 405),
        ("POST /2018-06-01/runtime/invocation/r/log", 404),
        ("POST /2018-06-01/runtime/invocation/r/x/response", 404),
        ("POST /2018-06-01/runtime/invocation/response", 404),
        ("GET /", 404),
        ("GET /2015-03-31/functions/function/invocations", 404),
        ("OPTIONS *", 404),
    ],
)
async def test_what_there_is_not_is_refused_and_the_connection_goes_on(request_line: str, status: int) -> None:
    async with place() as here:
        client = await here.running()
        assert (await client.send(f"{request_line} HTTP/1.1\r\n\r\n".encode()).answer()).status == status
        assert (await client.post("invocation/r/response").answer()).status == 202


@pytest.mark.rule("runtime-api.too-large")
async def test_an_answer_at_the_limit_is_taken_and_one_above_is_a_413_and_an_error_of_the_function() -> None:
    async with place() as here:
        client = await here.running()
        client.post("invocation/r/response", b"x" * MAX_ANSWER_BYTES)
        assert (await client.answer()).status == 202
        assert len((await here.worker.reply()).payload) == MAX_ANSWER_BYTES
        client.send(NEXT)
        here.invoke("s")
        await client.answer()
        assert said(await client.post("invocation/s/response", b"x" * TOO_LARGE).answer()) == (413, "RequestEntityTooLarge")
        reply = await here.worker.reply()
        assert (reply.kind, json.loads(reply.payload)["errorType"]) == (RAISED, "Function.ResponseSizeTooLarge")
        assert str(TOO_LARGE) in json.loads(reply.payload)["errorMessage"]
        client.send(NEXT)
        await here.worker.asks_again()


def chunked(*pieces: bytes, trailers: str = "") -> bytes:
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(each), each) for each in (*pieces,)) + b"0\r\n" + trailers.encode() + b"\r\n"


def streamed(body: bytes, mode: str = "streaming") -> bytes:
    head = f"Transfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: {mode}\r\n"
    return f"POST {ROOT}invocation/r/response HTTP/1.1\r\n{head}\r\n".encode() + body


@pytest.mark.rule("runtime-api.streaming")
async def test_a_streamed_answer_is_put_together() -> None:
    async with place() as here:
        client = (await here.running()).send(streamed(chunked(b'{"a":', b"1" * 70_000, b"}")))
        assert (await client.answer()).status == 202
        assert (await here.worker.reply())[:2] == (RETURNED, b'{"a":' + b"1" * 70_000 + b"}")


@pytest.mark.rule("runtime-api.streaming")
@pytest.mark.parametrize("body", [base64.b64encode(ERROR).decode(), ERROR.decode()])
async def test_a_streamed_answer_that_ends_with_an_error_is_that_error(body: str) -> None:
    trailers = f"Lambda-Runtime-Function-Error-Type: E\r\nLambda-Runtime-Function-Error-Body: {body}\r\n"
    async with place() as here:
        client = (await here.running()).send(streamed(chunked(b"{", trailers=trailers)))
        assert (await client.answer()).status == 202
        assert (await here.worker.reply())[:2] == (RAISED, ERROR)


async def test_a_streamed_answer_above_the_limit_is_too_large() -> None:
    piece = b"x" * 1024 * 1024
    async with place() as here:
        client = (await here.running()).send(streamed(chunked(*[piece] * 7)))
        assert (await client.answer()).status == 413
        reply = await here.worker.reply()
        assert (reply.kind, json.loads(reply.payload)["errorType"]) == (RAISED, "Function.ResponseSizeTooLarge")


async def test_an_unknown_mode_of_answer_is_an_error_of_the_function() -> None:
    async with place() as here:
        client = (await here.running()).send(streamed(chunked(b"1"), mode="buffered"))
        assert said(await client.answer()) == (400, "InvalidFunctionResponseMode")
        assert json.loads((await here.worker.reply()).payload)["errorType"] == "Runtime.InvalidResponseModeHeader"


def test_it_is_the_same_on_uvloop() -> None:
    async def scene() -> None:
        async with place() as here:
            client = await here.running()
            client.post("invocation/r/response", b"x" * TOO_LARGE).send(NEXT)
            assert (await client.answer()).status == 413
            await here.worker.asks_again()
            here.invoke("s", b"y" * 3_000_000)
            assert len((await client.answer()).body) == 3_000_000
            client.close()
            await until(lambda: not here.api._listener.connections)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
