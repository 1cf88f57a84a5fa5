from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from functions.room import FUNCTIONS, MakeRoom, rooms, until

from poller.core.model import Errored
from poller.testing.executors import SOON, exists, returned

if TYPE_CHECKING:
    from pathlib import Path

DAEMON = """
import asyncio, sys, threading, time
from pathlib import Path
from poller.testing.executors import SystemClock, invocation
from functions.room import Recorder
from poller.executors import launch
from poller.executors.process import ProcessExecutor, ProcessSpec

async def main(traces, functions, how):
    spec = ProcessSpec(name="f", handler="faults.handler", code=Path(functions), maximum_concurrency=3)
    async with ProcessExecutor(spec, Recorder(), SystemClock()) as executor, asyncio.TaskGroup() as group:
        for busy in (False, True) if how == "lifeline" else (False,):
            event = {"fault": "leaves_traces", "folder": traces, "busy": busy}
            group.create_task(executor.invoke(invocation(event, seconds=600)))

if sys.argv[3] == "death signal":
    launch._kill_when_broken = lambda pipe, group: None
for _ in range(4):  # a daemon has threads, and it is the kernel's choice which of them ends first
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


async def test_an_idle_worker_is_reused_the_latest_first(room: MakeRoom, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("meeting")
    one, two = str(folder / "one"), str(folder / "two")
    async with room(maximum_concurrency=2) as here:
        async with asyncio.TaskGroup() as group:
            both = [
                group.create_task(here.invoke("meets", mine=one, other=two)),
                group.create_task(here.invoke("meets", mine=two, other=one, leaves_last=True)),
            ]
        _, last = (returned(task.result()) for task in both)
        assert [returned(await here.invoke()) for _ in range(3)] == [last] * 3
        assert here.events.starts == 2
        assert len(here.processes()) == 2


async def test_a_cancelled_invocation_ends_the_workers_whole_group_first_however_often_it_is_cancelled(
    room: MakeRoom, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("traces")
    async with room() as here:
        task = asyncio.create_task(here.invoke("leaves_traces", folder=str(folder), busy=True))
        await exists(folder / "worker-True")
        await exists(folder / "fork-True")
        await until(lambda: len(here.processes()) == 3)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert here.processes() == []
        assert returned(await here.invoke())
        assert here.events.ends == []


async def test_leaving_ends_invocations_that_were_left_behind(room: MakeRoom, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("traces")
    async with room() as here:
        task = asyncio.create_task(here.invoke("leaves_traces", folder=str(folder), busy=False))
        await exists(folder / "worker-False")
    assert here.events.ends == ["reload"]
    async with asyncio.timeout(SOON):
        assert isinstance(await task, Errored)


@pytest.mark.parametrize("how", ["lifeline", "death signal"])
def test_nothing_outlives_a_daemon_that_is_killed(tmp_path: Path, how: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(FUNCTIONS.parent), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", DAEMON, str(tmp_path), str(FUNCTIONS), how]
    with ExitStack() as stack:
        daemon = subprocess.Popen(command, env=environment)
        stack.callback(daemon.wait)
        stack.callback(daemon.kill)
        modes = (False, True) if how == "lifeline" else (False,)
        pids = [pid_in(tmp_path / f"{who}-{busy}") for who in ("worker", "fork", "sleep") for busy in modes]
        processes = [os.pidfd_open(pid) for pid in pids]
        for each in processes:
            stack.callback(os.close, each)
        daemon.kill()
        assert all_ended(processes)


def pid_in(file: Path) -> int:
    until = time.monotonic() + SOON
    while not file.exists():
        assert time.monotonic() < until, file
        time.sleep(0.01)
    return int(file.read_text())


def all_ended(processes: list[int]) -> bool:
    poll = select.poll()
    for process in processes:
        poll.register(process, select.POLLIN)
    until = time.monotonic() + SOON
    left = len(processes)
    while left and time.monotonic() < until:
        for process, _ in poll.poll(int(SOON * 1000)):
            poll.unregister(process)
            left -= 1
    return left == 0
