"""A process's executor of one function: it answers as the function's mood is, and watches what it is asked to run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import orjson

from support.sim.queue_watch import QueueWatch
from support.sim.stream_watch import StreamWatch

if TYPE_CHECKING:
    from random import Random

    from poller.core.model import Answer, Invocation
    from support.sim.moods import Moods
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan

KILL = 0.04
"""Seconds, at the most, until a function that is cut off can do no more harm."""

C = TypeVar("C")


class Watch(Protocol[C]):
    """Knows what may be invoked; `C` is an invocation under way."""

    @staticmethod
    def named(record: dict[str, Any]) -> tuple[int, str]: ...

    def began(self, invocation: Invocation, event: dict[str, Any]) -> C: ...

    def ended(self, call: C, answer: Answer, ids: list[str]) -> None: ...

    def cut_off(self, call: C) -> None: ...


class SimExecutor:
    """An `Executor`: one function in one process."""

    def __init__(self, process: Process, function: FunctionPlan, moods: Moods, chance: Random) -> None:
        self._process = process
        self._function = function
        self._moods = moods
        self._chance = chance
        self._ledger = process.ledger
        self._streams = StreamWatch(process, function)
        self._queues = QueueWatch(process, function)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        left = [str(call) for call in self._ledger.running if call.process is self._process]
        if left and self._process.alive:
            self._ledger.fail(f"{self._process.name} closes its executor over {left}")

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `Executor.invoke`."""
        event = orjson.loads(invocation.event)
        if any(record["eventSource"] == "aws:sqs" for record in event["Records"]):
            return await self._run(invocation, event, self._queues)
        return await self._run(invocation, event, self._streams)

    async def _run(self, invocation: Invocation, event: dict[str, Any], watch: Watch[C]) -> Answer:
        call = None
        if self._process.alive:
            with self._ledger.checking():
                call = watch.began(invocation, event)
        named = [watch.named(record) for record in event["Records"]]
        ids = [id_ for _, id_ in named]
        seconds, answer = self._moods.answer(self._function, [number for number, _ in named], ids)
        if "window" in event:
            answer = self._moods.with_state(answer, event["state"], ids)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await self._kill(call, watch)
            raise
        if call is not None:
            with self._ledger.checking():
                watch.ended(call, answer, ids)
        return answer

    async def _kill(self, call: C | None, watch: Watch[C]) -> None:
        """The function is stopped, which takes a moment where anybody is left to wait for it."""
        try:
            if self._process.alive:
                await asyncio.sleep(KILL * self._chance.random())
        finally:
            if call is not None:
                watch.cut_off(call)
