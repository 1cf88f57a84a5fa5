from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from functions.room import MakeRoom, rooms, until

from poller.testing.executors import SOON, errored, returned

if TYPE_CHECKING:
    from poller.core.model import Answer


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


def crashed(answer: Answer, reason: str) -> None:
    assert errored(answer, "crash") == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: r Error: {reason}"}


@pytest.mark.rule("function.error.exit")
@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("exits", 3, "Runtime exited with error: exit status 3"),
        ("exits", 0, "Runtime exited without providing a reason"),
        ("ends_at_once", 0, "Runtime exited without providing a reason"),
        ("ends_at_once", 7, "Runtime exited with error: exit status 7"),
        ("interrupts_itself", None, "Runtime exited with error: signal: interrupt"),
        ("kills_itself", None, "Runtime exited with error: signal: killed"),
        ("segfaults", None, "Runtime exited with error: signal: segmentation fault"),
        ("forks_and_ends", None, "Runtime exited with error: exit status 1"),
        ("closes_everything", None, "Runtime exited with error: it closed its connection"),
        ("closes_everything_and_returns", None, "Runtime exited with error: exit status 1"),
        ("sends_junk", None, "Runtime exited with error: it sent what is no answer"),
    ],
)
async def test_a_worker_that_dies_or_talks_nonsense_is_a_crash_and_the_next_invocation_gets_a_new_one(
    room: MakeRoom, fault: str, status: int | None, reason: str
) -> None:
    async with room() as here:
        before = returned(await here.invoke())
        crashed(await here.invoke(fault, status=status), reason)
        assert here.processes() == []
        assert returned(await here.invoke()) != before
        assert here.events.starts == 2
        assert here.events.ends == ["crash"]


@pytest.mark.parametrize("fault", ["hangs", "ignores_sigterm", "forks_and_hangs"])
async def test_a_worker_past_its_deadline_is_killed_with_its_children_before_the_timeout_is_reported(
    room: MakeRoom, fault: str
) -> None:
    async with room() as here:
        assert returned(await here.invoke())
        error = errored(await here.invoke(fault, seconds=0.3), "timeout")
        assert here.processes() == []
        assert error["errorMessage"] == "RequestId: r Error: Task timed out after 0.30 seconds"
        assert returned(await here.invoke())
        assert here.events.ends == ["timeout"]


async def test_children_that_outlive_their_invocation_live_as_long_as_their_worker(room: MakeRoom) -> None:
    async with room() as here:
        assert returned(await here.invoke("forks_and_returns")) == "parent"
        await until(lambda: len(here.processes()) == 3)
        assert returned(await here.invoke()) in here.processes()
    assert here.events.ends == ["reload"]


async def test_a_fork_that_returns_from_the_handler_does_not_answer(room: MakeRoom) -> None:
    async with room() as here:
        assert returned(await here.invoke("returns_twice")) == "parent"
        new = returned(await here.invoke())
        assert here.processes() == [new]


async def test_a_second_answer_ends_the_worker_and_harms_no_other_invocation(room: MakeRoom) -> None:
    async with room() as here:
        assert returned(await here.invoke("answers_twice", sequence=1)) == "first"
        await until(lambda: here.events.ends == ["crash"])
        assert isinstance(returned(await here.invoke()), int)


async def test_a_worker_that_dies_between_invocations_is_replaced(room: MakeRoom) -> None:
    async with room() as here:
        assert returned(await here.invoke("dies_later")) is None
        await until(lambda: here.events.ends == ["crash"])
        new = returned(await here.invoke())
        assert here.processes() == [new]


async def test_an_error_too_large_to_answer_is_a_function_error(room: MakeRoom) -> None:
    async with room() as here:
        error = errored(await here.invoke("raises_seven_megabytes"), "function_error")
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        error = errored(await here.invoke("answers_seven_megabytes"), "function_error")
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        assert here.events.starts == 1


async def test_litter_in_the_temporary_folder_goes_with_the_worker(room: MakeRoom, tmp_path: Path) -> None:
    async with room() as here:
        folder = Path(returned(await here.invoke("litters")))
        assert tmp_path in folder.parents
        crashed(await here.invoke("kills_itself"), "Runtime exited with error: signal: killed")
        await until(lambda: not folder.exists())


async def test_standard_input_is_empty(room: MakeRoom) -> None:
    async with room() as here:
        assert returned(await here.invoke("reads_stdin")) == ""


class NoThreads(ThreadPoolExecutor):
    """What asyncio's default is once the machine has no more threads."""

    def submit(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("can't start new thread")


async def test_a_worker_that_dies_while_there_are_no_threads_is_told_and_its_folder_is_removed(room: MakeRoom) -> None:
    async with room() as here:
        asyncio.get_running_loop().set_default_executor(NoThreads())
        assert returned(await here.invoke("litters"))
        async with asyncio.timeout(SOON):
            crashed(await here.invoke("kills_itself"), "Runtime exited with error: signal: killed")
