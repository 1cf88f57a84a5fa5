from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from poller.errors import ConfigError
from poller.executors.inline import InlineExecutor, InlineSpec, load
from poller.testing.executors import SystemClock, errored, invocation, returned

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import Answer

SPEC = InlineSpec(name="f", maximum_concurrency=2)


async def run(handler: Any, *, seconds: float = 5.0, event: Any = None) -> Answer:
    async with InlineExecutor(handler, SPEC, SystemClock()) as executor:
        return await executor.invoke(invocation(event, seconds=seconds))


async def test_a_coroutine_is_cancelled_at_its_deadline() -> None:
    cancelled = asyncio.Event()

    async def handler(event: Any, context: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    errored(await run(handler, seconds=0.02), "timeout")
    assert cancelled.is_set()


@pytest.mark.parametrize("then", ["returns", "raises"])
async def test_a_coroutine_that_swallows_the_end_of_its_time_has_timed_out_all_the_same(then: str) -> None:
    async def handler(event: Any, context: Any) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if then == "raises":
                raise ValueError from None
        return "late"

    errored(await run(handler, seconds=0.02), "timeout")


async def test_a_coroutine_that_swallows_its_cancellation_does_not_swallow_ours() -> None:
    begun = asyncio.Event()

    async def handler(event: Any, context: Any) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "unimpressed"
        return "never"

    task = asyncio.create_task(run(handler))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def raises_cancelled(event: Any, context: Any) -> None:
    raise asyncio.CancelledError


def raises_cancelled_in_a_thread(event: Any, context: Any) -> None:
    raise asyncio.CancelledError


async def raises_timeout(event: Any, context: Any) -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        (raises_cancelled, "CancelledError"),
        (raises_cancelled_in_a_thread, "CancelledError"),
        (raises_timeout, "TimeoutError"),
    ],
)
async def test_what_looks_like_an_end_of_ours_but_is_the_functions_is_its_error(handler: Any, error_type: str) -> None:
    error = errored(await run(handler), "function_error")
    assert error["errorType"] == error_type


async def exits(event: Any, context: Any) -> None:
    sys.exit(event)


def exits_in_a_thread(event: Any, context: Any) -> None:
    sys.exit(event)


@pytest.mark.parametrize("handler", [exits, exits_in_a_thread])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "without providing a reason"),
        (0, "without providing a reason"),
        (4, "with error: exit status 4"),
        ("x", "with error: exit status 1"),
    ],
)
async def test_a_handler_that_exits_is_a_crash_and_the_daemon_lives(handler: Any, status: Any, reason: str) -> None:
    error = errored(await run(handler, event=status), "crash")
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(f"Error: Runtime exited {reason}")


async def test_an_object_with_a_coroutine_as_its_call_runs_on_the_loop() -> None:
    class Handler:
        async def __call__(self, event: Any, context: Any) -> bool:
            return threading.current_thread() is threading.main_thread()

    assert returned(await run(Handler())) is True


async def test_a_plain_handler_runs_in_a_thread_that_ends_with_the_executor() -> None:
    def handler(event: Any, context: Any) -> str:
        return threading.current_thread().name

    assert returned(await run(handler)).startswith("inline-f")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("inline-f")]


async def test_a_plain_handler_has_timed_out_even_if_it_returns_late() -> None:
    def handler(event: Any, context: Any) -> str:
        threading.Event().wait(0.05)
        return "late"

    errored(await run(handler, seconds=0.02), "timeout")


async def test_an_invocation_that_is_cancelled_twice_still_waits_for_its_thread() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def handler(event: Any, context: Any) -> None:
        begun.set()
        go_on.wait(5)
        done.set()

    async with InlineExecutor(handler, SPEC, SystemClock()) as executor:
        task = asyncio.create_task(executor.invoke(invocation(None)))
        await asyncio.to_thread(begun.wait, 5)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done.is_set()


@pytest.mark.rule("function.context.remaining-time")
async def test_the_context_counts_by_the_daemons_clock() -> None:
    class Stopped:
        def time(self) -> float:
            return 1000.0

        def monotonic(self) -> float:
            return 0.0

    async def handler(event: Any, context: Any) -> int:
        return int(context.get_remaining_time_in_millis())

    async with InlineExecutor(handler, SPEC, Stopped()) as executor:
        answer = await executor.invoke(replace(invocation(None), deadline=1007.5))
    assert returned(answer) == 7500


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("nodot", "Runtime.MalformedHandlerName: Bad handler 'nodot'"),
        ("missing_module_x.f", "Runtime.ImportModuleError: Unable to import module 'missing_module_x'"),
        ("inline_ok.missing", "Runtime.HandlerNotFound: Handler 'missing' missing on module 'inline_ok'"),
        ("inline_ok.number", "Runtime.HandlerNotFound: it is not a function"),
        ("inline_bad_syntax.f", "Runtime.UserCodeSyntaxError: Syntax error in module 'inline_bad_syntax'"),
        ("inline_raises.f", "importing it raises ZeroDivisionError: division by zero"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_an_error_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: str, said: str
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "inline_ok.py").write_text("number = 1\ndef f(event, context): ...\n")
    (tmp_path / "inline_bad_syntax.py").write_text("def f(:\n")
    (tmp_path / "inline_raises.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError) as caught:
        load(handler, tmp_path)
    assert f"handler {handler} in {tmp_path}" in str(caught.value)
    assert said in str(caught.value)


def test_two_modules_of_one_name_are_refused_because_inline_functions_share_one_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "inline_namesake.py").write_text(f"def f(event, context): return {folder!r}\n")
    first = load("inline_namesake.f", tmp_path / "one")
    assert first(None, None) == "one"  # type: ignore[arg-type]
    assert load("inline_namesake.f", tmp_path / "one") is first
    with pytest.raises(ConfigError, match="another module inline_namesake is in use already"):
        load("inline_namesake.f", tmp_path / "two")


class OfItsOwn(BaseException):
    """Not an Exception."""


async def test_whatever_a_coroutine_raises_is_its_answer_and_no_trouble_of_the_daemon() -> None:
    async def handler(event: Any, context: Any) -> None:
        raise OfItsOwn

    errored(await run(handler), "crash")


def test_a_module_that_exits_when_it_is_imported_is_told_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "exits_at_import.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ConfigError, match="importing it raises SystemExit"):
        load("exits_at_import.handler", tmp_path)
