"""Processes, pipes and signals are where event loops differ: the same on uvloop."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING

import pytest
import uvloop
from functions.room import FUNCTIONS, MakeRoom, Recorder, rooms, until
from support.pools import yard

from poller.executors.launch import ProcessSpec
from poller.executors.start import start
from poller.testing.executors import errored, exists, returned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from poller.executors.child import Child, Ended


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


def test_deaths_and_time_outs_leave_nothing_behind(room: MakeRoom, loop: asyncio.Runner) -> None:
    async def scene() -> None:
        async with room() as here:
            for fault in ("kills_itself", "forks_and_ends", "closes_everything", "sends_junk"):
                errored(await here.invoke(fault), "crash")
                assert here.processes() == []
                assert returned(await here.invoke())
            errored(await here.invoke("forks_and_hangs", seconds=0.3), "timeout")
            assert here.processes() == []
            assert returned(await here.invoke("forks_and_returns")) == "parent"
        assert here.events.ends == ["crash"] * 4 + ["timeout", "reload"]

    loop.run(scene())


def test_output_has_its_request_id(room: MakeRoom, loop: asyncio.Runner) -> None:
    async def scene() -> None:
        async with room() as here:
            for number in range(20):
                await here.invoke("speaks", request_id=str(number))
        assert [of for _, line, of in here.events.lines if line == "printed"] == [str(number) for number in range(20)]
        assert len(here.events.lines) == 100
        assert None not in {of for _, _, of in here.events.lines}

    loop.run(scene())


def test_a_cancelled_invocation_ends_the_group_first(
    room: MakeRoom, loop: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    traces = tmp_path_factory.mktemp("traces")

    async def scene() -> None:
        async with room() as here:
            task = asyncio.create_task(here.invoke("leaves_traces", folder=str(traces), busy=True))
            await exists(traces / "worker-True")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert here.processes() == []

    loop.run(scene())


def test_too_much_memory_ends_a_worker_and_an_idle_one_is_asked_to_end(room: MakeRoom, loop: asyncio.Runner) -> None:
    async def scene() -> None:
        async with room(memory_size=80, idle_timeout=0.1) as here:
            errored(await here.invoke("allocates", megabytes=120, sleep=60), "oom")
            assert here.processes() == []
            assert returned(await here.invoke())
            await until(lambda: here.processes() == [])
            assert here.events.ends == ["oom", "idle"]

    loop.run(scene())


def test_workers_that_are_idle_for_too_long_at_once_go(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=2, idle_timeout=0.0, maximum_age=60) as here:
            assert await here.together("returns 0", "returns 0") == ["1", "2"]
            await until(lambda: here.source.living == [])
            assert here.events.endings == ["idle", "idle"]

    loop.run(scene())


class Keeper:
    def ready(self, child: Child) -> None: ...

    def buried(self, child: Child, ended: Ended) -> None:
        child.folder.rmdir()


def test_a_deadline_may_be_over_before_another_is_set(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        child = start(ProcessSpec(name="f", handler="faults.handler", code=FUNCTIONS), "log", Recorder(), Keeper())
        replies = [child.reply(0.0), child.reply(60.0), child.reply(0.0)]
        ended = await replies[-1]
        assert (ended, ended.cause) == (await child.dead, "timeout")  # type: ignore[union-attr]  # so soon it says nothing

    loop.run(scene())
