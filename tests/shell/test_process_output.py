from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING

import pytest
from contract.executor_contract import returned
from functions.room import MakeRoom, longest_pause, rooms

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


@pytest.mark.parametrize("fault", ["floods_stdout", "floods_stdout_without_a_newline"])
async def test_a_flood_of_output_is_capped_and_blocks_neither_the_function_nor_the_loop(room: MakeRoom, fault: str) -> None:
    async with room() as here, asyncio.TaskGroup() as group:
        flood = group.create_task(here.invoke(fault, bytes=100 * 1024 * 1024))
        lag = await longest_pause(flood)
        assert returned(flood.result()) == "flooded"
    kept = sum(len(line) for _, line, _ in here.events.lines)
    assert kept <= 1024 * 1024 + 100
    assert max(len(line) for _, line, _ in here.events.lines) <= 256 * 1024
    dropped = [line for _, line, _ in here.events.lines if "dropped" in line]
    assert len(dropped) == 1
    newlines = len(here.events.lines) - 1 if fault == "floods_stdout" else 0
    assert int(dropped[0].split()[0].strip("(")) == 100 * 1024 * 1024 - (kept - len(dropped[0])) - newlines
    assert lag < 0.5


async def test_what_a_function_prints_is_reported_with_its_request_id(room: MakeRoom) -> None:
    async with room() as here:
        for request_id in ("first", "second"):
            await here.invoke("speaks", request_id=request_id)
    for request_id in ("first", "second"):
        lines = [(stream, line) for stream, line, of in here.events.lines if of == request_id]
        assert ("stderr", "to stderr") in lines
        printed = [line for stream, line in lines if stream == "stdout"]
        assert [printed[0], *printed[2:]] == ["printed", "from a child", "without an end"]
        level, time, logged_id, message = printed[1].split("\t")
        assert (level, logged_id, message) == ("[ERROR]", request_id, "logged 1")
        assert time[10] == "T"
        assert time[-5] == "."
        assert time[-1] == "Z"
    assert len(here.events.lines) == 10
