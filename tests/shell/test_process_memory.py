"""Memory of real processes: who has too much is killed, with all that it has started, and who has not is left alone."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest
from functions.room import FUNCTIONS, MakeRoom, rooms

from poller.core.model import Errored, Returned
from poller.executors.memory import proportional
from poller.testing.executors import errored, returned

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import Answer

MEGABYTE = 1024 * 1024
OUT_OF_MEMORY = {
    "errorType": "Runtime.OutOfMemory",
    "errorMessage": "RequestId: r Error: Runtime exited with error: signal: killed",
}


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


def most(answer: Answer) -> int:
    """MB that the worker is said to have had at the most."""
    assert isinstance(answer, Returned | Errored)
    return (answer.figures.max_memory or 0) // MEGABYTE


@pytest.mark.rule("function.error.out-of-memory")
@pytest.mark.parametrize("fault", ["allocates", "allocates_in_a_child"])
async def test_a_worker_with_too_much_memory_is_killed_with_its_children_before_that_is_reported(
    room: MakeRoom, fault: str
) -> None:
    async with room(memory_size=80) as here:
        answer = await here.invoke(fault, megabytes=120, sleep=60)
        assert here.processes() == []
        assert errored(answer, "oom") == OUT_OF_MEMORY
        assert 80 <= most(answer) < 200
        assert returned(await here.invoke())
        assert here.events.ends == ["oom"]


async def test_memory_below_the_limit_is_nobodys_business_and_is_measured(room: MakeRoom) -> None:
    async with room(memory_size=120) as here:
        answer = await here.invoke("allocates", megabytes=60, sleep=0.7)
        assert returned(answer) == 60 * MEGABYTE
        assert 60 <= most(answer) < 120
        assert here.events.ends == []


async def test_pages_that_processes_share_count_once(room: MakeRoom) -> None:
    async with room(memory_size=120) as here:
        answer = await here.invoke("forks_with_shared_pages", megabytes=60, sleep=1.0)
        assert returned(answer) == 60 * MEGABYTE
        assert here.events.ends == []


async def test_memory_of_children_counts_for_the_figures(room: MakeRoom) -> None:
    async with room(memory_size=200) as here:
        answer = await here.invoke("allocates_in_a_child", megabytes=80, sleep=0.7)
        assert returned(answer) == "parent"
        assert 80 <= most(answer) < 200


async def test_initialisation_may_have_no_more_than_invocations(room: MakeRoom) -> None:
    async with room("allocates.handler", FUNCTIONS / "starts", memory_size=80) as here:
        assert errored(await here.invoke(), "oom") == OUT_OF_MEMORY
        assert here.processes() == []
        assert here.events.failed_starts == ["failed"]


async def test_who_is_killed_near_its_limit_by_somebody_else_was_killed_for_its_memory(room: MakeRoom) -> None:
    async with room(memory_size=120) as here:
        answer = await here.invoke("allocates", megabytes=100, sleep=0.7, kill=True)
        assert errored(answer, "oom") == OUT_OF_MEMORY
        assert here.events.ends == ["oom"]


async def test_what_earlier_invocations_have_left_behind_counts(room: MakeRoom) -> None:
    async with room(memory_size=80) as here:
        assert returned(await here.invoke("keeps", megabytes=25)) == 1
        assert returned(await here.invoke("keeps", megabytes=25)) == 2
        errored(await here.invoke("allocates", megabytes=35, sleep=60), "oom")
        assert here.processes() == []
        assert here.events.starts == 1


def test_a_process_that_has_ended_since_it_was_found_has_no_memory() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert proportional(process.pid) > 0
        process.kill()
        process.wait()
        assert proportional(process.pid) == 0
