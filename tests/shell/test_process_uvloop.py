"""Processes, pipes and signals are where event loops differ: the same on uvloop."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING

import pytest
import uvloop
from contract.executor_contract import errored, exists, returned
from functions.room import MakeRoom, rooms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
