"""The executor keeps the promises of every executor, but for those that a command cannot, and some of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from poller_executor_command import CommandExecutor, check

from poller.clock import SystemClock
from poller.plugins import PluginFunction
from poller.testing import handlers
from poller.testing.doubles import RecordedEvents
from poller.testing.executors import (
    CONCURRENCY,
    FUNCTION_ARN,
    FUNCTION_NAME,
    REQUEST_ID,
    ExecutorContract,
    MakeExecutor,
    errored,
    invocation,
    returned,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent


def executor(*command: str, events: RecordedEvents | None = None, **environment: str) -> CommandExecutor:
    function = PluginFunction(
        name=FUNCTION_NAME,
        arn=FUNCTION_ARN,
        timeout=30.0,
        maximum_concurrency=CONCURRENCY,
        folder=HERE,
        options={"command": list(command), "environment": environment},
        events=events or RecordedEvents(),
        clock=SystemClock(),
    )
    return CommandExecutor(function)


class TestCommand(ExecutorContract):
    declined: ClassVar[Mapping[str, str]] = {
        "context": "a command has no context object; what it may know is in its environment",
        "frames": "what an error object has beside type and message is the command's to say",
        "marshal": "a command writes its answer itself",
    }

    @pytest.fixture
    def make(self) -> MakeExecutor:
        return lambda handler: executor(sys.executable, "run_handler.py", str(handlers.__file__), handler)


@pytest.mark.asyncio
async def test_what_a_command_prints_to_stderr_is_logged_line_by_line_with_the_request_id() -> None:
    events = RecordedEvents()
    async with executor("sh", "-c", "echo one >&2; printf 'two\\r\\nthree' >&2", events=events) as command:
        assert returned(await command.invoke(invocation({}))) is None
    assert events.printed(REQUEST_ID) == ["one", "two", "three"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("script", "text"), [("exit 3", "exit status 3"), ("kill -9 $$", "signal: killed")])
async def test_a_command_that_fails_without_an_error_object_is_a_crash(script: str, text: str) -> None:
    async with executor("sh", "-c", script) as command:
        error = errored(await command.invoke(invocation({})), "crash")
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(text)


@pytest.mark.asyncio
async def test_a_command_that_is_not_there_is_a_crash_that_names_it() -> None:
    async with executor("./missing") as command:
        error = errored(await command.invoke(invocation({})), "crash")
    assert error["errorMessage"].endswith("No such file or directory: ./missing")


@pytest.mark.asyncio
async def test_the_environment_is_the_functions_own() -> None:
    script = 'echo "\\"$AWS_LAMBDA_FUNCTION_NAME $LAMBDA_RUNTIME_AWS_REQUEST_ID $TABLE $HOME\\""'
    async with executor("sh", "-c", script, TABLE="orders") as command:
        assert returned(await command.invoke(invocation({}))) == f"{FUNCTION_NAME} {REQUEST_ID} orders "


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"command": ["a"], "environment": {"A": "1"}}, []),
        ({}, [(("command",), 'missing key "command", for example command: [./handle.sh]')]),
        ({"command": "a"}, [(("command",), '"command" must be a list of words: [./handle.sh, --fast]')]),
        ({"command": ["a", 1]}, [(("command", 1), 'an item of "command" must be text, put it in quotes: "..."')]),
        ({"command": ["a"], "timeuot": 1}, [(("timeuot",), 'unknown key "timeuot", did you mean "timeout"?')]),
        ({"command": ["a"], "environment": []}, [(("environment",), '"environment" must be a mapping (NAME: value)')]),
    ],
)
def test_the_check_says_what_is_wrong(options: dict[str, object], found: list[object]) -> None:
    assert list(check(options, HERE)) == found
