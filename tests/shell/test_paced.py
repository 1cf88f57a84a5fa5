"""A flood of lines leaves the loop to others; nothing of it is lost, and an invocation ends when its lines are out."""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import TYPE_CHECKING

from functions.room import MakeRoom, rooms

from poller.executors.paced import TURN_SECONDS, Paced
from poller.testing.executors import returned

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    import pytest

LINE_SECONDS = TURN_SECONDS / 10


class SlowLog:
    """Takes its time for each line, and notes in which turn of the loop it came."""

    def __init__(self) -> None:
        self.turn = 0
        self.lines: list[tuple[str, int]] = []

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        end = time.perf_counter() + LINE_SECONDS
        while time.perf_counter() < end:
            pass
        self.lines.append((line, self.turn))

    @property
    def texts(self) -> list[str]:
        return [line for line, _ in self.lines]


def say(paced: Paced, *lines: str) -> None:
    for line in lines:
        paced.output(line, stream="stdout", request_id="r")


def names(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


async def test_a_few_lines_are_reported_at_once() -> None:
    log = SlowLog()
    paced = Paced(log)
    say(paced, "one", "two")
    assert (log.texts, paced.behind) == (["one", "two"], False)
    await paced.caught_up()
    paced.close()
    assert log.texts == ["one", "two"]


async def test_a_flood_is_reported_in_order_and_no_turn_of_the_loop_takes_many() -> None:
    log = SlowLog()
    paced = Paced(log)
    say(paced, *names(100))
    waiting = asyncio.ensure_future(paced.caught_up())
    while not waiting.done():
        log.turn += 1
        await asyncio.sleep(0)
    say(paced, "after")
    await paced.caught_up()
    assert log.texts == [*names(100), "after"]
    by_turn = [sum(turn == each for _, turn in log.lines) for each in {turn for _, turn in log.lines}]
    assert max(by_turn) <= TURN_SECONDS / LINE_SECONDS + 1
    assert len(by_turn) >= 100 / (TURN_SECONDS / LINE_SECONDS + 1)


async def test_who_waits_is_told_when_his_lines_are_out_and_not_later() -> None:
    log = SlowLog()
    paced = Paced(log)
    say(paced, *names(30, "early "))
    early = asyncio.ensure_future(paced.caught_up())
    gone = asyncio.ensure_future(paced.caught_up())
    await asyncio.sleep(0)
    gone.cancel()
    say(paced, *names(60, "late "))
    await early
    assert paced.behind
    assert log.texts[:30] == names(30, "early ")
    await paced.caught_up()
    assert not paced.behind
    assert log.texts[30:] == names(60, "late ")


async def test_what_is_left_at_the_end_is_reported() -> None:
    log = SlowLog()
    paced = Paced(log)
    say(paced, *names(50))
    waiting = asyncio.ensure_future(paced.caught_up())
    await asyncio.sleep(0)
    paced.close()
    await waiting
    assert log.texts == names(50)


async def test_an_invocation_ends_when_all_that_it_printed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    room: MakeRoom = rooms(tmp_path)
    async with room("printing.handler") as here:
        for request_id in ("first", "second"):
            assert returned(await here.invoke(request_id=request_id, lines=4000)) == 4000
            printed = [line for stream, line, of in here.events.lines if (stream, of) == ("stdout", request_id)]
            assert printed == names(4000)
        assert {of for *_, of in here.events.lines} == {"first", "second"}
