"""What every executor does, whatever it is made of. Derive a class from `ExecutorContract` and say how an executor is made.

The handlers are those of `tests/functions/conforming.py`; an executor for another language brings its own of the same names.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from poller.core.model import Errored, Invocation, Returned, TooLarge

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from poller.core.model import Answer
    from poller.ports import Executor

FUNCTION_NAME = "conforming"
FUNCTION_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:conforming"
MEMORY_SIZE = 256
CONCURRENCY = 2
MEBIBYTE = 1024 * 1024
REQUEST_ID = "8f5c4d0e-5d0f-4f0e-8a55-0c4ab1c0ffee"
SOON = 10.0


class MakeExecutor(Protocol):
    """Makes an executor of the named handler: function and memory size as above, at most `CONCURRENCY` invocations at a time."""

    def __call__(self, handler: str) -> AbstractAsyncContextManager[Executor]: ...


class SystemClock:
    """The real time."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def invocation(event: Any, *, seconds: float = 30.0, request_id: str = REQUEST_ID) -> Invocation:
    """An invocation with so much time from now on. `event` is JSON already if it is bytes."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Invocation(request_id=request_id, event=body, deadline=time.time() + seconds, arn=FUNCTION_ARN)


def returned(answer: Answer) -> Any:
    """The Python value of an answer that must be one."""
    assert isinstance(answer, Returned), answer
    return json.loads(answer.payload)


def errored(answer: Answer, kind: str) -> dict[str, Any]:
    """Lambda's error object of an answer that must be an error of this kind."""
    assert isinstance(answer, Errored), answer
    assert answer.kind == kind
    error = json.loads(answer.payload)
    assert isinstance(error, dict)
    return error


async def exists(path: Path, within: float = SOON) -> None:
    """Waits for a file that a function makes."""
    async with asyncio.timeout(within):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.002)


class ExecutorContract:
    """The port's promises. Override `make`."""

    @pytest.fixture
    def make(self) -> MakeExecutor:
        raise NotImplementedError

    async def test_the_handler_gets_the_event_and_its_answer_comes_back(self, make: MakeExecutor) -> None:
        event = {"Records": [{"eventSource": "aws:kinesis", "n": [1, 2.5, None, True, -0.0, 2**53]}]}
        async with make("echo") as executor:
            assert returned(await executor.invoke(invocation(event))) == event

    @pytest.mark.rule("function.answer.none-is-null")
    async def test_a_handler_that_returns_nothing_answers_null(self, make: MakeExecutor) -> None:
        async with make("nothing") as executor:
            answer = await executor.invoke(invocation({}))
        assert isinstance(answer, Returned)
        assert answer.payload == b"null"

    async def test_text_of_any_script_survives_in_both_directions(self, make: MakeExecutor) -> None:
        async with make("unicode") as executor:
            answer = returned(await executor.invoke(invocation({"s": "Ünïcödé 😀 \x00"})))
        assert answer == {"text": "Grüße, 世界 😀 \u2028", "event": {"s": "Ünïcödé 😀 \x00"}}

    async def test_a_partial_answer_comes_back_as_it_is(self, make: MakeExecutor) -> None:
        records = [{"id": "1", "bad": False}, {"id": "2", "bad": True}]
        async with make("partial") as executor:
            answer = returned(await executor.invoke(invocation({"Records": records})))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}

    @pytest.mark.rule("function.error.exception")
    async def test_an_exception_is_a_function_error_with_type_message_request_id_and_the_functions_own_frames(
        self, make: MakeExecutor
    ) -> None:
        async with make("raising") as executor:
            error = errored(await executor.invoke(invocation({"message": "no"})), "function_error")
        assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (error["errorMessage"], error["errorType"], error["requestId"]) == ("no", "ValueError", REQUEST_ID)
        assert error["stackTrace"][-1].endswith(", in innermost\n    raise ValueError(message)\n")
        assert all("/functions/conforming" in frame for frame in error["stackTrace"])

    async def test_the_next_invocation_after_an_exception_is_none_the_worse(self, make: MakeExecutor) -> None:
        async with make("fails_if_told") as executor:
            errored(await executor.invoke(invocation({"fail": True})), "function_error")
            assert returned(await executor.invoke(invocation({"fail": False}))) == "fine"

    @pytest.mark.rule("function.error.timeout")
    async def test_a_handler_that_outstays_its_deadline_is_a_timeout(self, make: MakeExecutor) -> None:
        async with make("sleeping") as executor:
            error = errored(await executor.invoke(invocation({"seconds": 0.6}, seconds=0.25)), "timeout")
            assert error == {
                "errorType": "Sandbox.Timedout",
                "errorMessage": f"RequestId: {REQUEST_ID} Error: Task timed out after 0.25 seconds",
            }
            assert returned(await executor.invoke(invocation({"seconds": 0}))) == "awake"

    @pytest.mark.rule("function.error.marshal")
    async def test_an_answer_that_has_no_json_form_is_a_marshal_error(self, make: MakeExecutor) -> None:
        async with make("unserialisable") as executor:
            error = errored(await executor.invoke(invocation({})), "function_error")
        assert error["errorType"] == "Runtime.MarshalError"
        assert error["errorMessage"] == "Unable to marshal response: Object of type object is not JSON serializable"
        assert (error["requestId"], error["stackTrace"]) == (REQUEST_ID, [])

    async def test_an_event_that_is_no_json_is_an_unmarshal_error(self, make: MakeExecutor) -> None:
        async with make("echo") as executor:
            error = errored(await executor.invoke(invocation(b"{")), "function_error")
        assert error["errorType"] == "Runtime.UnmarshalError"
        assert error["errorMessage"].startswith("Unable to unmarshal input: ")

    async def test_an_answer_at_the_limit_comes_back_whole(self, make: MakeExecutor) -> None:
        size = 6 * MEBIBYTE + 100
        async with make("large") as executor:
            answer = await executor.invoke(invocation({"size": size}))
        assert isinstance(answer, Returned)
        assert answer.payload == b'"' + b"x" * (size - 2) + b'"'

    @pytest.mark.rule("function.answer.too-large")
    async def test_an_answer_above_the_limit_is_a_function_error(self, make: MakeExecutor) -> None:
        async with make("large") as executor:
            error = errored(await executor.invoke(invocation({"size": 6 * MEBIBYTE + 101})), "function_error")
            assert error["errorType"] == "Function.ResponseSizeTooLarge"
            assert returned(await executor.invoke(invocation({"size": 10}))) == "x" * 8

    async def test_an_event_at_the_limit_is_delivered_and_one_above_is_too_large(self, make: MakeExecutor) -> None:
        event = b'{"a":"' + b"x" * (6 * MEBIBYTE - 8) + b'"}'
        async with make("nothing") as executor:
            assert returned(await executor.invoke(invocation(event))) is None
            assert await executor.invoke(invocation(event + b" ")) == TooLarge(6 * MEBIBYTE + 1)

    @pytest.mark.rule("function.context.attributes")
    @pytest.mark.rule("function.context.memory-is-a-string")
    @pytest.mark.rule("function.context.identity")
    @pytest.mark.rule("function.context.remaining-time")
    async def test_the_context_is_lambdas(self, make: MakeExecutor) -> None:
        async with make("describing") as executor:
            seen = returned(await executor.invoke(invocation({}, seconds=20.0)))
        assert 0 < seen.pop("remaining") <= 20_000 + SOON * 1000  # initialisation moves the deadline
        assert seen == {
            "aws_request_id": REQUEST_ID,
            "function_name": FUNCTION_NAME,
            "function_version": "$LATEST",
            "invoked_function_arn": FUNCTION_ARN,
            "memory_limit_in_mb": str(MEMORY_SIZE),
            "log_group_name": f"/aws/lambda/{FUNCTION_NAME}",
            "log_stream_is_text": True,
            "client_context": None,
            "tenant_id": None,
            "identity": [None, None],
        }

    async def test_invocations_run_at_the_same_time(self, make: MakeExecutor, tmp_path: Path) -> None:
        one, two = str(tmp_path / "one"), str(tmp_path / "two")
        async with make("meeting") as executor, asyncio.TaskGroup() as group:
            first = group.create_task(executor.invoke(invocation({"mine": one, "other": two})))
            second = group.create_task(executor.invoke(invocation({"mine": two, "other": one})))
            assert [returned(await first), returned(await second)] == ["met", "met"]

    async def test_a_cancelled_invocation_ends_when_the_function_can_do_no_more_harm(
        self, make: MakeExecutor, tmp_path: Path
    ) -> None:
        file = tmp_path / "harm"
        async with make("ticking") as executor:
            task = asyncio.ensure_future(executor.invoke(invocation({"file": str(file), "ticks": 50})))
            await exists(file)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            harm = file.stat().st_size
            other = {"file": str(tmp_path / "other"), "ticks": 10}
            assert returned(await executor.invoke(invocation(other))) == "harm done"
            assert file.stat().st_size == harm
