"""Keeps what a function prints from keeping the event loop: a flood of lines goes to the log little by little."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

TURN_SECONDS = 0.001
"""For so long lines are reported without a pause. One takes some tens of microseconds; a pipe may hold thousands."""

PAUSE_SECONDS = 0.002
"""For so long others have the loop before lines are reported again."""

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle

    Stream = Literal["stdout", "stderr"]


class Printed(Protocol):
    """Who is told what functions print; `poller.ports.WorkerEvents` is one."""

    def output(self, line: str, *, stream: Stream, request_id: str | None) -> None:
        """A line; `request_id` None outside of any invocation."""


class _Line(NamedTuple):
    text: str
    stream: Stream
    request_id: str | None


class Paced:
    """Between all workers of one function and `events`. Lines come out in the order in which they went in.

    They pile up only as far as one invocation may have reported, for each that is under way: none ends before its lines are out.
    """

    def __init__(self, events: Printed) -> None:
        self._events = events
        self._lines: deque[_Line] = deque()
        self._reported = 0
        self._spent = 0.0
        self._next_turn: TimerHandle | None = None
        self._waiting: deque[tuple[int, Future[None]]] = deque()

    @property
    def behind(self) -> bool:
        """Whether there are lines that are not reported yet."""
        return bool(self._lines)

    def output(self, line: str, *, stream: Stream, request_id: str | None) -> None:
        """See `Printed`."""
        if self._lines or self._spent >= TURN_SECONDS:
            self._lines.append(_Line(line, stream, request_id))
        else:
            self._report(_Line(line, stream, request_id))
        if self._next_turn is None:
            self._next_turn = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._turn)

    async def caught_up(self) -> None:
        """Returns when all lines are reported that are here now."""
        if self._lines:
            reported = asyncio.get_running_loop().create_future()
            self._waiting.append((self._reported + len(self._lines), reported))
            await reported

    def close(self) -> None:
        """Reports what is left, without a pause."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._report_for(float("inf"))

    def _turn(self) -> None:
        self._next_turn, self._spent = None, 0.0
        if self._lines:
            self._report_for(TURN_SECONDS)
            self._next_turn = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._turn)

    def _report_for(self, seconds: float) -> None:
        while self._lines and self._spent < seconds:
            self._report(self._lines.popleft())
        while self._waiting and self._waiting[0][0] <= self._reported:
            _, reported = self._waiting.popleft()
            if not reported.done():  # who waits may have been cancelled
                reported.set_result(None)

    def _report(self, line: _Line) -> None:
        began = perf_counter()
        self._events.output(line.text, stream=line.stream, request_id=line.request_id)
        self._reported += 1
        self._spent += perf_counter() - began
