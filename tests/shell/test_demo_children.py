"""Programs on a leash: started, waited for, ended, and dead with whoever started them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.daemon import exists, gone
from support.servers import free_port

from poller.demo.children import Child, DemoFailed, Program, own_folder, running

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""

OWNER = """
import sys
from pathlib import Path
from poller.demo.children import Program, own_folder, running

with own_folder(keep=False) as folder:
    script = "sleep 600 & echo $$ $! > pids.part; mv pids.part pids; while :; do echo x >> more; done"
    with running(Program(name="sleeper", command=["/bin/sh", "-c", script], environment={}, folder=folder), folder):
        while not (folder / "pids").exists():
            pass
        print(folder, (folder / "pids").read_text().strip(), flush=True)
        sys.stdin.read()
"""


def shell(script: str, *, port: int | None = None, **environment: str) -> Program:
    return Program(name="it", command=["/bin/sh", "-c", script], environment=environment, port=port)


async def ended(child: Child) -> int:
    code = await child.ended(PATIENCE)
    assert code is not None, "it still runs"
    return code


async def test_a_program_that_listens_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", LISTEN, str(port)]
    with running(Program(name="it", command=command, environment={}, port=port), tmp_path) as child:
        await child.listening(PATIENCE)
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        child.check()
        assert child.exit_code is None
    assert child.exit_code == 128 + signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


async def test_one_that_ends_before_it_listens_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        running(shell("seq 100; echo no such file >&2; exit 3", port=free_port()), tmp_path) as child,
        pytest.raises(DemoFailed, match=r"^it ended with exit code 3. Its log ends:\n  94\n(.|\n)*\n  no such file$"),
    ):
        await child.listening(PATIENCE)


async def test_one_that_never_listens_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with (
        running(shell("sleep 600", port=free_port()), tmp_path) as child,
        pytest.raises(DemoFailed, match=r"^it does not listen on port \d+ after 0.1 s. It said nothing.$"),
    ):
        await child.listening(0.1)


async def test_a_programs_exit_code_is_its_own_and_a_signals_is_128_more(tmp_path: Path) -> None:
    with running(shell("exit 78"), tmp_path) as child:
        assert await ended(child) == 78
    with running(shell("kill -TERM $$"), tmp_path) as child:
        assert await ended(child) == 128 + signal.SIGTERM
    assert child.exit_code == 128 + signal.SIGTERM, "what ended by itself is not killed again"


async def test_a_program_sees_its_environment_its_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with running(shell("env; cat; pwd", COLOUR="red"), tmp_path) as child:
        assert await ended(child) == 0
    said = child.log.read_text().splitlines()
    assert {"COLOUR=red", f"HOME={tmp_path}", f"TMPDIR={tmp_path}", f"PATH={os.environ['PATH']}"} <= set(said)
    assert not any("AWS" in each for each in said)
    assert said[-1] == str(Path.cwd())


async def test_sigterm_reaches_the_program_itself(tmp_path: Path) -> None:
    script = "trap 'echo drained; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    with running(shell(script), tmp_path) as child:
        while "ready" not in child.log.read_text():
            assert child.exit_code is None
        child.terminate()
        assert await ended(child) == 5
    assert child.log.read_text() == "ready\ndrained\n"


async def test_who_still_runs_has_no_exit_code(tmp_path: Path) -> None:
    with running(shell("sleep 600"), tmp_path) as child:
        assert await child.ended(0.0) is None


def test_a_folder_goes_unless_it_is_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with own_folder(keep=False) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "file").touch()
        assert folder.parent == tmp_path
    assert not folder.exists()
    with own_folder(keep=True) as folder:
        (folder / "file").touch()
    assert (folder / "file").exists()


def owner() -> subprocess.Popen[str]:
    """Another process, with a program and a folder of its own; it says where they are."""
    command = [sys.executable, "-c", OWNER]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)


async def removed(folder: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(os.path.exists, folder):  # noqa: ASYNC110  a shell removes it
            await asyncio.sleep(0.01)


async def test_after_kill_9_neither_programs_nor_folder_are_left() -> None:
    with owner() as it:
        assert it.stdout is not None
        folder, *pids = it.stdout.readline().split()
        assert len(pids) == 2
        assert all(exists(int(pid)) for pid in pids)
        it.kill()
        await gone({int(pid) for pid in pids})
        await removed(folder)
