from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from functions.room import FUNCTIONS, MakeRoom, open_descriptors, rooms

from poller.core.model import Refused, Returned
from poller.executors import process
from poller.testing.executors import errored, exists, invocation, returned

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTS = FUNCTIONS / "starts"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


@pytest.mark.rule("function.error.import")
async def test_a_module_that_raises_is_a_function_error_with_an_empty_request_id_every_time(room: MakeRoom) -> None:
    async with room("raises.handler", STARTS) as here:
        for failures in (1, 2):
            error = errored(await here.invoke(), "function_error")
            assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
            assert (error["errorMessage"], error["errorType"], error["requestId"]) == ("no table", "LookupError", "")
            assert error["stackTrace"][-1].endswith('raises.py", line 7, in <module>\n    raise LookupError("no table")\n')
            assert here.processes() == []
            assert here.events.ends == ["crash"] * failures
        assert here.events.starts == 0


@pytest.mark.rule("function.error.handler")
@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        ("nomodule", "Runtime.MalformedHandlerName", "Bad handler 'nomodule': not enough values to unpack (expected 2, got 1)"),
        ("missing.handler", "Runtime.ImportModuleError", "Unable to import module 'missing': No module named 'missing'"),
        (
            "imports_what_is_not_there.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'imports_what_is_not_there': No module named 'a_package_that_nobody_has'",
        ),
        ("slow.missing", "Runtime.HandlerNotFound", "Handler 'missing' missing on module 'slow'"),
        ("sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
    ],
)
async def test_a_bad_handler_is_named_as_lambda_names_it(room: MakeRoom, handler: str, error_type: str, message: str) -> None:
    async with room(handler, STARTS) as here:
        error = errored(await here.invoke(), "function_error")
    assert error == {"errorMessage": message, "errorType": error_type, "requestId": "", "stackTrace": []}


async def test_a_syntax_error_is_shown_with_its_line(room: MakeRoom, tmp_path_factory: pytest.TempPathFactory) -> None:
    code = tmp_path_factory.mktemp("code")
    (code / "broken.py").write_text("def handler(event, context):\n    return (\n")
    async with room("broken.handler", code) as here:
        error = errored(await here.invoke(), "function_error")
    assert error["errorType"] == "Runtime.UserCodeSyntaxError"
    assert error["errorMessage"] == "Syntax error in module 'broken': '(' was never closed (broken.py, line 2)"
    assert error["stackTrace"] == [f'  File "{code}/broken.py" Line 2\n        return (\n']


async def test_a_module_that_exits_is_a_crash(room: MakeRoom) -> None:
    async with room("exits.handler", STARTS) as here:
        error = errored(await here.invoke(), "crash")
        assert error["errorMessage"] == "RequestId: r Error: Runtime exited with error: exit status 9"
        assert here.events.ends == ["crash"]


async def test_an_initialisation_without_end_is_a_timeout(room: MakeRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "INIT_SECONDS", 0.3)
    async with room("never_ends.handler", STARTS, timeout=0.1) as here:
        error = errored(await here.invoke(seconds=0.1), "timeout")
        assert error["errorMessage"] == "RequestId: r Error: Task timed out after 0.30 seconds"
        assert here.processes() == []
        assert here.events.ends == ["timeout"]


async def test_initialisation_does_not_count_and_is_measured(room: MakeRoom) -> None:
    async with room("slow.handler", STARTS, timeout=0.3) as here:
        cold, warm = await here.invoke(seconds=0.3), await here.invoke(seconds=0.3)
        assert 0 < returned(cold) <= 300
        assert ("stdout", "initialising", None) in here.events.lines
    assert isinstance(cold, Returned)
    assert isinstance(warm, Returned)
    assert cold.figures.init_duration is not None
    assert cold.figures.init_duration > 0.4
    assert cold.figures.duration < 0.3
    assert warm.figures.init_duration is None
    assert 1_000_000 < (warm.figures.max_memory or 0) < 100_000_000


@pytest.mark.rule("function.handler-name")
@pytest.mark.parametrize("handler", ["package/module.handler", "package.module.handler"])
async def test_slashes_in_a_handler_name_are_dots(room: MakeRoom, handler: str) -> None:
    async with room(handler, STARTS) as here:
        assert returned(await here.invoke()) == "from a folder"


async def test_an_interpreter_or_a_folder_that_is_not_there_is_a_crash_that_says_so(room: MakeRoom) -> None:
    async with room(python="/no/such/python") as here:
        error = errored(await here.invoke(), "crash")
    assert error == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": "RequestId: r Error: No such file or directory: /no/such/python",
    }
    async with room(code=Path("/no/such/folder")) as here:
        error = errored(await here.invoke(), "crash")
    assert error["errorMessage"] == "RequestId: r Error: No such file or directory: /no/such/folder"
    async with room(environment={"TEXT": "a\0b"}) as here:
        error = errored(await here.invoke(), "crash")
    assert error["errorMessage"] == "RequestId: r Error: embedded null byte"


async def test_want_of_descriptors_is_a_refusal_that_leaves_nothing_behind(room: MakeRoom, tmp_path: Path) -> None:
    refusals = 0
    async with room() as here:
        before = open_descriptors()
        for spare in range(30):
            with only_so_many_descriptors(spare):
                answer = await here.invoke()
            if not isinstance(answer, Refused):
                break
            refusals += 1
            assert answer.reason == "unavailable"
            assert "Too many open files" in answer.detail
            assert (open_descriptors(), here.processes(), [*tmp_path.iterdir()]) == (before, [], [])  # noqa: ASYNC240
        assert returned(await here.invoke())
    assert refusals >= 8


@contextmanager
def only_so_many_descriptors(count: int) -> Iterator[None]:
    """No more than so many files can be opened meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors()[-1] + 40, hard))
    hoard: list[int] = []
    try:
        with suppress(OSError):
            while True:
                hoard.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(count):
            os.close(hoard.pop())
        yield
    finally:
        for each in hoard:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_cancelled_initialisation_ends_the_process(room: MakeRoom, tmp_path_factory: pytest.TempPathFactory) -> None:
    begun = tmp_path_factory.mktemp("traces") / "begun"
    async with room("never_ends.handler", STARTS, environment={"BEGUN": str(begun)}) as here:
        task = asyncio.create_task(here.invoke())
        await exists(begun)
        assert len(here.processes()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert here.processes() == []
        assert here.events.ends == []


@pytest.mark.rule("function.environment")
async def test_a_function_sees_lambdas_environment_and_nothing_of_the_daemons(
    room: MakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the daemon's")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@host")
    async with room(environment={"TABLE": "orders"}, arn="arn:aws:lambda:eu-west-1:123456789012:function:faulty") as here:
        seen = returned(await here.invoke("environment"))
    environ = seen["environ"]
    assert environ["TABLE"] == "orders"
    assert environ["_HANDLER"] == "faults.handler"
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "faulty"
    assert environ["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}"
    assert (environ["AWS_REGION"], environ["TZ"]) == ("eu-west-1", "UTC")
    assert "secret" not in json.dumps(seen)
    assert "the daemon's" not in json.dumps(seen)
    assert seen["folder"] == seen["path"] == environ["LAMBDA_TASK_ROOT"] == str(FUNCTIONS)


async def test_the_trace_of_an_invocation_is_in_the_environment_for_as_long_as_it_runs(room: MakeRoom) -> None:
    seen = []
    async with room() as here:
        for trace in (None, "Root=1-5759e988", None):
            answer = await here.executor.invoke(replace(invocation({"fault": "environment"}), trace=trace))
            seen.append(returned(answer)["environ"].get("_X_AMZN_TRACE_ID"))
    assert seen == [None, "Root=1-5759e988", None]


async def test_a_function_inherits_no_descriptor_of_the_daemon(room: MakeRoom, tmp_path: Path) -> None:
    with socket.socket() as ours:
        os.set_inheritable(ours.fileno(), True)  # noqa: FBT003 - takes no keyword
        async with room() as here:
            await here.invoke()
            links = returned(await here.invoke("environment"))["descriptors"]
    assert [link.partition(":")[0] for link in links] == ["/dev/null", "pipe", "pipe", "socket", "pipe"]


async def test_a_worker_that_is_ready_and_dead_in_one_turn_of_the_loop_is_a_crash_and_hangs_nobody(room: MakeRoom) -> None:
    async with room("dies_when_ready.handler", STARTS) as here:
        invoking = asyncio.create_task(here.invoke())
        while not (workers := here.processes()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        os.waitid(os.P_PID, workers[0], os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop is busy until it is over
        async with asyncio.timeout(10):
            errored(await invoking, "crash")
