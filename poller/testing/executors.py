"""What every executor does, whatever it is made of. Derive a class, and say how an executor is made.

    from poller.testing.executors import ExecutorContract, MakeExecutor

    class TestMine(ExecutorContract):
        declined = {"frames": "its language has no stack frames of Python's form"}

        @pytest.fixture
        def make(self) -> MakeExecutor:
            return lambda handler: MyExecutor(...)

`make` gets the name of one of the functions in `handlers.py`; an executor for another language brings its own of the same names.
What an executor cannot promise it declines by the promise's name, with the reason, and the test is skipped with that reason.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

try:
    import pytest
    import pytest_asyncio  # noqa: F401 - it runs the suite's coroutines
except ImportError as missing:
    name = (missing.name or "").replace("_", "-")
    raise ImportError(f"poller.testing.executors needs pytest and pytest-asyncio: pip install {name}") from missing

from poller.clock import SystemClock
from poller.core.model import Errored, Invocation, Returned, TooLarge

__all__ = [
    "CONCURRENCY",
    "FUNCTION_ARN",
    "FUNCTION_NAME",
    "MEBIBYTE",
    "MEMORY_SIZE",
    "REQUEST_ID",
    "SOON",
    "ExecutorContract",
    "MakeExecutor",
    "SystemClock",
    "errored",
    "exists",
    "invocation",
    "promises",
    "returned",
]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from poller.core.model import Answer
    from poller.ports import Executor

FUNCTION_NAME: Final = "conforming"
FUNCTION_ARN: Final = "arn:aws:lambda:eu-west-1:123456789012:function:conforming"
MEMORY_SIZE: Final = 256
CONCURRENCY: Final = 2
MEBIBYTE: Final = 1024 * 1024
REQUEST_ID: Final = "8f5c4d0e-5d0f-4f0e-8a55-0c4ab1c0ffee"
SOON: Final = 10.0
"""Seconds that a test waits for what must come, however slow the machine."""

Test = TypeVar("Test", bound="Callable[..., object]")


class MakeExecutor(Protocol):
    """Makes an executor of the named handler: function and memory size as above, at most `CONCURRENCY` invocations at a time."""

    def __call__(self, handler: str) -> AbstractAsyncContextManager[Executor]: ...


def invocation(event: Any, *, seconds: float = 30.0, request_id: str = REQUEST_ID) -> Invocation:
    """An invocation with so much time from now on. `event` is JSON already if it is bytes."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Invocation(request_id=request_id, event=body, deadline=SystemClock().time() + seconds, arn=FUNCTION_ARN)


def returned(answer: Answer) -> Any:
    """The Python value of an answer that must be one."""
    assert isinstance(answer, Returned), answer
    return json.loads(answer.payload)


def errored(answer: Answer, kind: str) -> dict[str, Any]:
    """Lambda's error object of an answer that must be an error of this kind."""
    assert isinstance(answer, Errored), answer
    assert answer.kind == kind, answer
    error = json.loads(answer.payload)
    assert isinstance(error, dict)
    return error


async def exists(path: Path, within: float = SOON) -> None:
    """Waits for a file that a function makes."""
    async with asyncio.timeout(within):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.002)


def promise(name: str) -> Callable[[Test], Test]:
    """Names what a test shows, so that an executor can decline it."""

    def named(test: Test) -> Test:
        test.promise = name  # type: ignore[attr-defined]  # read below
        return test

    return named


def rule(reference: str) -> Callable[[Test], Test]:  # noqa: ARG001 - docs/parity.md is made by reading the text of this file
    """Names the rule of Lambda's documented behaviour that a test shows. A mark of pytest's would have to be registered."""
    return lambda test: test


class ExecutorContract:
    """The port's promises (`poller.ports.Executor`). Override `make`.

    Attributes:
        declined: promises that this executor does not make, each with the reason.
        own_files: parts of the names of the files that the frames of an exception may be in: nobody else's are shown.
    """

    pytestmark = pytest.mark.asyncio
    declined: ClassVar[Mapping[str, str]] = {}
    own_files: ClassVar[tuple[str, ...]] = ("/handlers.",)

    def __init_subclass__(cls) -> None:
        if unknown := set(cls.declined) - set(promises()):
            raise TypeError(f"{cls.__name__} declines {sorted(unknown)}: the promises are {', '.join(promises())}")
        if mute := [name for name, reason in cls.declined.items() if not reason.strip()]:
            raise TypeError(f"{cls.__name__} declines {mute} without a reason")

    @pytest.fixture
    def make(self) -> MakeExecutor:
        """How an executor is made."""
        raise NotImplementedError("override the fixture `make`: it returns a function from a handler's name to an executor")

    @pytest.fixture(autouse=True)
    def _is_promised(self, request: pytest.FixtureRequest) -> None:
        name = getattr(request.function, "promise", "")
        if name in self.declined:
            pytest.skip(f"{name}: {self.declined[name]}")

    @promise("event")
    async def test_the_handler_gets_the_event_and_its_answer_comes_back(self, make: MakeExecutor) -> None:
        event = {"Records": [{"eventSource": "aws:kinesis", "n": [1, 2.5, None, True, -0.0, 2**53]}]}
        async with make("echo") as executor:
            assert returned(await executor.invoke(invocation(event))) == event

    @promise("null")
    @rule("function.answer.none-is-null")
    async def test_a_handler_that_returns_nothing_answers_null(self, make: MakeExecutor) -> None:
        async with make("nothing") as executor:
            answer = await executor.invoke(invocation({}))
        assert isinstance(answer, Returned), answer
        assert answer.payload == b"null"

    @promise("text")
    async def test_text_of_any_script_survives_in_both_directions(self, make: MakeExecutor) -> None:
        async with make("unicode") as executor:
            answer = returned(await executor.invoke(invocation({"s": "Ünïcödé 😀 \x00"})))
        assert answer == {"text": "Grüße, 世界 😀 \u2028", "event": {"s": "Ünïcödé 😀 \x00"}}

    @promise("partial")
    async def test_a_partial_answer_comes_back_as_it_is(self, make: MakeExecutor) -> None:
        records = [{"id": "1", "bad": False}, {"id": "2", "bad": True}]
        async with make("partial") as executor:
            answer = returned(await executor.invoke(invocation({"Records": records})))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}

    @promise("exception")
    async def test_an_exception_is_a_function_error_with_type_and_message(self, make: MakeExecutor) -> None:
        async with make("raising") as executor:
            error = errored(await executor.invoke(invocation({"message": "no"})), "function_error")
        assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no")

    @promise("frames")
    @rule("function.error.exception")
    async def test_an_exception_is_a_function_error_with_type_message_request_id_and_the_functions_own_frames(
        self, make: MakeExecutor
    ) -> None:
        async with make("raising") as executor:
            error = errored(await executor.invoke(invocation({"message": "no"})), "function_error")
        assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (error["errorMessage"], error["errorType"], error["requestId"]) == ("no", "ValueError", REQUEST_ID)
        assert error["stackTrace"][-1].endswith(", in innermost\n    raise ValueError(message)\n")
        assert [frame for frame in error["stackTrace"] if not any(name in frame for name in self.own_files)] == []

    @promise("after_exception")
    async def test_the_next_invocation_after_an_exception_is_none_the_worse(self, make: MakeExecutor) -> None:
        async with make("fails_if_told") as executor:
            errored(await executor.invoke(invocation({"fail": True})), "function_error")
            assert returned(await executor.invoke(invocation({"fail": False}))) == "fine"

    @promise("timeout")
    @rule("function.error.timeout")
    async def test_a_handler_that_outstays_its_deadline_is_a_timeout(self, make: MakeExecutor) -> None:
        async with make("sleeping") as executor:
            error = errored(await executor.invoke(invocation({"seconds": 0.6}, seconds=0.25)), "timeout")
            assert error == {
                "errorType": "Sandbox.Timedout",
                "errorMessage": f"RequestId: {REQUEST_ID} Error: Task timed out after 0.25 seconds",
            }
            assert returned(await executor.invoke(invocation({"seconds": 0}))) == "awake"

    @promise("marshal")
    @rule("function.error.marshal")
    async def test_an_answer_that_has_no_json_form_is_a_marshal_error(self, make: MakeExecutor) -> None:
        async with make("unserialisable") as executor:
            error = errored(await executor.invoke(invocation({})), "function_error")
        assert error["errorType"] == "Runtime.MarshalError"
        assert error["errorMessage"] == "Unable to marshal response: Object of type object is not JSON serializable"
        assert (error["requestId"], error["stackTrace"]) == (REQUEST_ID, [])

    @promise("unmarshal")
    async def test_an_event_that_is_no_json_is_an_unmarshal_error(self, make: MakeExecutor) -> None:
        async with make("echo") as executor:
            error = errored(await executor.invoke(invocation(b"{")), "function_error")
        assert error["errorType"] == "Runtime.UnmarshalError"
        assert error["errorMessage"].startswith("Unable to unmarshal input: ")

    @promise("large_answer")
    async def test_an_answer_at_the_limit_comes_back_whole(self, make: MakeExecutor) -> None:
        size = 6 * MEBIBYTE + 100
        async with make("large") as executor:
            answer = await executor.invoke(invocation({"size": size}))
        assert isinstance(answer, Returned), str(answer)[:1000]
        assert answer.payload == b'"' + b"x" * (size - 2) + b'"'

    @promise("too_large_answer")
    @rule("function.answer.too-large")
    async def test_an_answer_above_the_limit_is_a_function_error(self, make: MakeExecutor) -> None:
        async with make("large") as executor:
            error = errored(await executor.invoke(invocation({"size": 6 * MEBIBYTE + 101})), "function_error")
            assert error["errorType"] == "Function.ResponseSizeTooLarge"
            assert returned(await executor.invoke(invocation({"size": 10}))) == "x" * 8

    @promise("large_event")
    async def test_an_event_at_the_limit_is_delivered_and_one_above_is_too_large(self, make: MakeExecutor) -> None:
        event = b'{"a":"' + b"x" * (6 * MEBIBYTE - 8) + b'"}'
        async with make("nothing") as executor:
            assert returned(await executor.invoke(invocation(event))) is None
            assert await executor.invoke(invocation(event + b" ")) == TooLarge(6 * MEBIBYTE + 1)

    @promise("context")
    @rule("function.context.attributes")
    @rule("function.context.memory-is-a-string")
    @rule("function.context.identity")
    @rule("function.context.remaining-time")
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

    @promise("concurrency")
    async def test_invocations_run_at_the_same_time(self, make: MakeExecutor, tmp_path: Path) -> None:
        one, two = str(tmp_path / "one"), str(tmp_path / "two")
        async with make("meeting") as executor, asyncio.TaskGroup() as group:
            first = group.create_task(executor.invoke(invocation({"mine": one, "other": two})))
            second = group.create_task(executor.invoke(invocation({"mine": two, "other": one})))
            assert [returned(await first), returned(await second)] == ["met", "met"]

    @promise("cancellation")
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


def promises() -> dict[str, str]:
    """What may be declined: the name of each promise, and its test."""
    tests = ((test, each) for test, each in vars(ExecutorContract).items() if test.startswith("test_"))
    return {str(each.promise): test for test, each in tests}
