"""How real workers are ended, and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
from functions.room import FUNCTIONS, MakeRoom, rooms, until

from poller.core.model import Refused
from poller.ports import WorkerCount
from poller.testing.executors import errored, returned

if TYPE_CHECKING:
    from pathlib import Path

STARTS = FUNCTIONS / "starts"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


async def test_an_idle_worker_is_asked_to_end_and_leaves_nothing_behind(
    room: MakeRoom, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("traces") / "asked"
    async with room(idle_timeout=0.1) as here:
        assert returned(await here.invoke("ends_in_peace", file=str(file))) in here.processes()
        await until(lambda: here.processes() == [])
        await until(lambda: list(tmp_path.iterdir()) == [])
        assert file.read_text() == "asked"
        assert here.events.ends == ["idle"]
        assert returned(await here.invoke())


async def test_workers_that_do_not_listen_are_killed_with_their_children_all_at_once(room: MakeRoom) -> None:
    async with room(maximum_concurrency=4) as here:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(here.invoke("ignores_sigterm_and_returns"))
        assert len(here.processes()) == 2 * here.events.starts
        began = time.monotonic()
    assert 0.5 <= time.monotonic() - began < 0.5 * here.events.starts
    assert here.events.ends == ["reload"] * here.events.starts


async def test_a_worker_is_replaced_when_it_has_served_often_enough(room: MakeRoom) -> None:
    async with room(maximum_invocations=2) as here:
        served = [returned(await here.invoke()) for _ in range(5)]
        assert [served.index(each) for each in served] == [0, 0, 2, 2, 4]
        assert here.events.ends == ["recycled"] * 2
        await until(lambda: here.processes() == served[4:])


@pytest.mark.rule("function.provisioned-concurrency")
async def test_provisioned_workers_are_there_first_know_it_and_are_replaced(room: MakeRoom) -> None:
    async with room(maximum_concurrency=2, provisioned_concurrency=2) as here:
        assert await here.executor.warm() is None
        assert here.events.count is not None
        assert here.events.count() == WorkerCount(starting=0, idle=2, busy=0)
        first = here.processes()
        answer = await here.invoke("environment")
        assert returned(answer)["environ"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
        assert answer.figures.init_duration is None  # type: ignore[union-attr]  # it returned
        os.kill(first[0], signal.SIGKILL)
        await until(lambda: here.events.starts == 3)
        assert len(here.processes()) == 2
        assert here.events.ends == ["crash"]


async def test_provisioned_workers_that_cannot_be_initialised_are_tried_again_and_their_error_is_told(room: MakeRoom) -> None:
    async with room("raises.handler", STARTS, provisioned_concurrency=1) as here:
        warm = await here.executor.warm()
        assert warm is not None
        assert errored(warm, "function_error")["errorType"] == "LookupError"
        await until(lambda: here.events.waits == [(3, 0.5)])
        refused = await here.invoke()
        assert isinstance(refused, Refused)
        assert "3 workers in a row" in refused.detail
        assert "LookupError: no table" in refused.detail
        await until(lambda: here.events.waits == [(3, 0.5), (4, 1.0)])
