"""Workers that speak the Runtime API, from their start to their end: the same care is taken of them as of the light ones."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import uvloop
from functions.programs import LAST_BREATH, LEAVES_TRACES, bootstrap, serving
from functions.room import FUNCTIONS, MakeRoom, rooms, until
from shell.test_process_life import all_ended, pid_in

from poller.executors import process
from poller.testing.executors import SOON, errored, returned

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import Answer

DAEMON = """
import asyncio, sys
from pathlib import Path
from functions.room import Recorder
from poller.executors.process import ProcessExecutor, ProcessSpec
from poller.testing.executors import SystemClock, invocation

async def main(code):
    spec = ProcessSpec(name="f", runtime="provided", handler="h", code=Path(code))
    async with ProcessExecutor(spec, Recorder(), SystemClock()) as executor:
        await executor.invoke(invocation({}, seconds=600))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return rooms(folder)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


def crashed(answer: Answer, reason: str) -> None:
    assert errored(answer, "crash") == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: r Error: {reason}"}


@pytest.mark.rule("function.error.exit")
@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("exits", 3, "Runtime exited with error: exit status 3"),
        ("ends_at_once", 0, "Runtime exited without providing a reason"),
        ("kills_itself", None, "Runtime exited with error: signal: killed"),
        ("segfaults", None, "Runtime exited with error: signal: segmentation fault"),
        ("forks_and_ends", None, "Runtime exited with error: exit status 1"),
    ],
)
async def test_under_awslambdaric_a_death_is_a_crash_and_the_next_invocation_gets_a_new_worker(
    room: MakeRoom, fault: str, status: int | None, reason: str
) -> None:
    async with room(runtime_client="awslambdaric") as here:
        before = returned(await here.invoke())
        crashed(await here.invoke(fault, status=status), reason)
        assert here.processes() == []
        assert returned(await here.invoke()) != before
        assert here.events.ends == ["crash"]


@pytest.mark.parametrize("fault", ["hangs", "forks_and_hangs"])
async def test_under_awslambdaric_a_worker_past_its_deadline_is_killed_with_its_children(room: MakeRoom, fault: str) -> None:
    async with room(runtime_client="awslambdaric") as here:
        assert returned(await here.invoke())
        errored(await here.invoke(fault, seconds=0.3), "timeout")
        assert here.processes() == []
        assert here.events.ends == ["timeout"]


async def test_output_under_awslambdaric_has_its_request_id(room: MakeRoom) -> None:
    async with room(runtime_client="awslambdaric") as here:
        for number in range(5):
            await here.invoke("speaks", request_id=str(number))
    assert [of for _, line, of in here.events.lines if line == "printed"] == [str(number) for number in range(5)]


async def test_a_worker_that_answers_and_ends_has_answered_and_another_takes_its_place(room: MakeRoom, code: Path) -> None:
    bootstrap(code, "request_id, event = following()\nreply(request_id, os.getpid())\n")
    async with room(code=code, runtime="provided") as here:
        first, second = returned(await here.invoke()), returned(await here.invoke())
        assert first != second
        await until(lambda: here.events.ends == ["crash"] * 2)
        assert here.processes() == []


async def test_a_worker_that_never_asks_again_is_killed_at_its_own_deadline_however_many_invocations_come(
    room: MakeRoom, code: Path
) -> None:
    bootstrap(code, "request_id, event = following()\nreply(request_id, os.getpid())\ntime.sleep(600)\n")
    async with room(code=code, runtime="provided") as here:
        first = returned(await here.invoke(seconds=2.0))
        async with asyncio.timeout(SOON):
            assert returned(await here.invoke(seconds=600)) != first
        assert here.events.ends == ["timeout"]


async def test_a_worker_that_takes_its_time_between_two_invocations_holds_up_none(room: MakeRoom, code: Path) -> None:
    bootstrap(code, "while True:\n    request_id, event = following()\n    reply(request_id, os.getpid())\n    time.sleep(0.4)\n")
    async with room(code=code, runtime="provided", maximum_concurrency=2) as here:
        first, second = returned(await here.invoke()), returned(await here.invoke())
        assert first != second
        assert returned(await here.invoke()) in {first, second}
        assert here.events.ends == []


async def test_an_answer_in_the_last_breath_counts_however_much_of_it_has_not_been_read(room: MakeRoom, code: Path) -> None:
    bootstrap(code, LAST_BREATH)
    async with room(code=code, runtime="provided") as here:
        invoking = asyncio.create_task(here.invoke())
        await until((code / "leader").exists)
        os.waitid(os.P_PID, pid_in(code / "leader"), os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - the loop is busy until it is over
        assert returned(await invoking) == "x" * 150_000


async def test_a_worker_that_answers_and_does_not_ask_again_is_killed_at_the_deadline(room: MakeRoom, code: Path) -> None:
    bootstrap(code, "request_id, event = following()\nreply(request_id, os.getpid())\ntime.sleep(600)\n")
    async with room(code=code, runtime="provided") as here:
        assert returned(await here.invoke(seconds=0.3))
        await until(lambda: here.events.ends == ["timeout"])
        assert here.processes() == []
        assert returned(await here.invoke())


async def test_a_program_that_ends_before_it_asks_is_a_crash_with_its_status(room: MakeRoom, code: Path) -> None:
    bootstrap(code, "print('no table', file=sys.stderr)\nsys.exit(4)\n")
    async with room(code=code, runtime="provided") as here:
        crashed(await here.invoke(), "Runtime exited with error: exit status 4")
        assert ("stderr", "no table", None) in here.events.lines
        assert here.processes() == []


async def test_a_program_that_never_asks_is_killed_after_its_time(
    room: MakeRoom, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "INIT_SECONDS", 0.3)
    bootstrap(code, "time.sleep(600)\n")
    async with room(code=code, runtime="provided", timeout=0.1) as here:
        errored(await here.invoke(), "timeout")
        assert here.processes() == []


@pytest.mark.rule("runtime-api.init-error")
async def test_an_error_of_initialisation_is_the_functions(room: MakeRoom, code: Path) -> None:
    bootstrap(code, 'call("POST", "init/error", \'{"errorType": "NoTable", "errorMessage": "no"}\')\ntime.sleep(600)\n')
    async with room(code=code, runtime="provided") as here:
        assert errored(await here.invoke(), "function_error") == {"errorType": "NoTable", "errorMessage": "no"}
        assert here.processes() == []


@pytest.mark.rule("function.error.import")
async def test_under_awslambdaric_a_module_that_raises_is_a_function_error(room: MakeRoom) -> None:
    async with room("raises.handler", FUNCTIONS / "starts", runtime_client="awslambdaric") as here:
        error = errored(await here.invoke(), "function_error")
    assert (error["errorMessage"], error["errorType"], error["requestId"]) == ("no table", "LookupError", "")


@pytest.mark.rule("function.environment")
@pytest.mark.rule("runtime-api.environment")
async def test_a_program_finds_what_a_light_worker_finds(room: MakeRoom, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the daemon's")
    links = "[os.readlink(f'/proc/self/fd/{each}').partition(':')[0] for each in range(3)]"
    limits = "[resource.getrlimit(resource.RLIMIT_NOFILE)[0], resource.getrlimit(resource.RLIMIT_CORE)[0]]"
    group = "[os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()]"
    bootstrap(code, serving(f"[dict(os.environ), os.getcwd(), {links}, {limits}, {group}]"))
    async with room("a.b", code, runtime="provided", environment={"TABLE": "orders"}) as here:
        environ, folder, opened, limited, leads = returned(await here.invoke())
    assert {"_HANDLER": "a.b", "TABLE": "orders", "LAMBDA_TASK_ROOT": str(code)}.items() <= environ.items()
    assert environ["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert environ["TMPDIR"] != tempfile.gettempdir()
    assert "AWS_EXECUTION_ENV" not in environ
    assert "the daemon's" not in environ.values()
    assert (folder, opened, limited, leads) == (str(code), ["/dev/null", "pipe", "pipe"], [1024, 0], [True, True])


async def test_awslambdaric_has_its_execution_environment_and_the_folder_of_code_first(room: MakeRoom) -> None:
    async with room(runtime_client="awslambdaric") as here:
        seen = returned(await here.invoke("environment"))
    assert seen["environ"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}"
    assert seen["folder"] == seen["path"] == str(FUNCTIONS)


async def test_an_interpreter_without_awslambdaric_is_told_so(room: MakeRoom, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    async with room(runtime_client="awslambdaric", python=python) as here:
        error = errored(await here.invoke(), "function_error")
    assert error["errorMessage"] == f"awslambdaric is not installed for {python}: pip install awslambdaric"
    assert error["errorType"] == "Runtime.ImportModuleError"


async def test_a_program_that_is_not_there_or_no_program_is_a_crash_that_says_so(room: MakeRoom, code: Path) -> None:
    async with room(code=code, runtime="provided") as here:
        error = errored(await here.invoke(), "crash")
    assert error["errorMessage"] == f"RequestId: r Error: There is no program of that name: {code}/bootstrap"
    bootstrap(code, "").joinpath("bootstrap").chmod(0o644)
    async with room(code=code, runtime="provided") as here:
        error = errored(await here.invoke(), "crash")
    assert error["errorMessage"] == f"RequestId: r Error: This is not executable (chmod +x): {code}/bootstrap"
    async with room("index.handler", code, runtime="nodejs", runtime_client="aws-lambda-ric") as here:
        error = errored(await here.invoke(), "crash")
    assert "The package is not installed (npm install aws-lambda-ric)" in error["errorMessage"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_the_bootstrap_of_the_documentation_works(room: MakeRoom, code: Path) -> None:
    page = (FUNCTIONS.parent.parent / "docs" / "runtimes.md").read_text()
    program = code / "bootstrap"
    program.write_text(page.partition("```sh\n")[2].partition("```")[0])
    program.chmod(0o755)
    (code / "handler.sh").write_text("grep -q good && echo '{}'\n")
    async with room("handler.sh", code, runtime="provided") as here:
        assert returned(await here.invoke("good")) == {}
        assert errored(await here.invoke("bad"), "function_error")["errorType"] == "Failed"
        assert returned(await here.invoke("good")) == {}
        assert (here.events.starts, here.events.lines) == (1, [])


def test_nothing_outlives_a_daemon_that_is_killed(code: Path, tmp_path: Path) -> None:
    bootstrap(code, LEAVES_TRACES)
    environment = {**os.environ, "PYTHONPATH": str(FUNCTIONS.parent), "TMPDIR": str(tmp_path)}
    with ExitStack() as stack:
        daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(code)], env=environment)
        stack.callback(daemon.wait)
        stack.callback(daemon.kill)
        processes = [os.pidfd_open(pid_in(code / who)) for who in ("leader", "fork", "sleep")]
        for each in processes:
            stack.callback(os.close, each)
        daemon.kill()
        assert all_ended(processes)


def test_it_is_the_same_on_uvloop(room: MakeRoom) -> None:
    async def scene() -> None:
        async with room(runtime_client="awslambdaric") as here:
            assert returned(await here.invoke())
            errored(await here.invoke("forks_and_hangs", seconds=0.3), "timeout")
            errored(await here.invoke("forks_and_ends"), "crash")
            assert here.processes() == []
            assert returned(await here.invoke())
        assert here.events.ends == ["timeout", "crash", "reload"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
