"""Mappings with tumbling windows on a virtual loop: the function counts records in its state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from poller.core.model import Answer, Returned
from poller.core.windows import Tumbling
from support.doubles import ScriptedExecutor
from support.processes import Process, World, names
from support.stage import STREAM_ARN, now
from support.virtual import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.lane import Work
    from poller.mapping import StreamMapping
    from support.doubles import Call

LENGTH = 100
"""Seconds of a window; the first begins with the world, at `EPOCH`."""

assert EPOCH % LENGTH == 0


def counted(call: Call) -> Returned:
    """The state has the number of records and their names."""
    event = event_of(call)
    state = {"n": event["state"].get("n", 0) + len(event["Records"]), "names": event["state"].get("names", []) + names(call)}
    return Returned(orjson.dumps({"state": state}))


def event_of(call: Call) -> dict[str, Any]:
    """What the function saw."""
    event: dict[str, Any] = orjson.loads(call.invocation.event)
    return event


@dataclass(kw_only=True)
class Windowed(Process):
    """A process whose mapping has windows of so many seconds; 0: it has none any more.

    Attributes:
        script: what the function answers.
        calls: the event of each invocation that ran to its end.
        events: the same, in one line each: start of the window, state, records: `0 n=2 c d`, `0 n=4 final`, `0 n=9 final early`.
    """

    script: Callable[[Call], Answer] = counted
    seconds: int = LENGTH
    work_time: float = 0.0
    partial_answers: bool = False
    executor: ScriptedExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.executor = ScriptedExecutor(self._answer, seconds=self.work_time)
        super().__post_init__()
        self.work = replace(self.work, report_batch_item_failures=self.partial_answers)

    def mapping(self) -> StreamMapping:
        """The mapping, for `run_mapping`."""
        return replace(super().mapping(), work_for=self._work_for)

    def _work_for(self, shard: Any) -> Work:
        windows = Tumbling(seconds=self.seconds, shard=shard, stream_arn=STREAM_ARN) if self.seconds else None
        return replace(self.work, place=shard, tumbling=windows)

    def _answer(self, call: Call) -> Answer:
        event = event_of(call)
        self.calls.append(event)
        self.events.append(told(event, names(call)))
        return self.script(call)

    @property
    def finals(self) -> list[dict[str, Any]]:
        """The events that closed a window."""
        return [event for event in self.calls if event.get("isFinalInvokeForWindow")]


async def put(world: World, *timed: tuple[float, str]) -> None:
    """Records, each at its time of the loop: several names at once are written with blanks between them."""
    for at, words in timed:
        await asyncio.sleep(at - now())
        world.put(*words.split())


def told(event: dict[str, Any], records: list[str]) -> str:
    """An event in one line."""
    if "window" not in event:
        return " ".join(records)
    start = datetime.fromisoformat(event["window"]["start"]).timestamp() - EPOCH
    flags = [word for word, key in (("final", "isFinalInvokeForWindow"), ("early", "isWindowTerminatedEarly")) if event[key]]
    return " ".join([f"{start:.0f}", f"n={event['state'].get('n', 0)}", *records, *flags])


__all__ = ["LENGTH", "Windowed", "World", "counted", "event_of", "put", "told"]
