"""Message move tasks of SQS in memory: a dead-letter queue's messages on their way back, so many a second."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from poller.apis.memory_message import Extras
from poller.errors import SourceGone, Unavailable
from poller.services import MoveTask, Receive

if TYPE_CHECKING:
    from poller.apis.memory_queue import MemoryQueue
    from poller.ports import Clock
    from poller.services import SqsMessage

MOST = 10


@dataclass(slots=True, kw_only=True)
class _Task:
    handle: str
    source: MemoryQueue
    destination: MemoryQueue
    rate: int | None
    began: float
    in_all: int
    moved: int = 0
    status: str = "RUNNING"

    def told(self) -> MoveTask:
        handle = self.handle if self.status == "RUNNING" else ""
        return MoveTask(handle=handle, status=self.status, moved=self.moved, in_all=self.in_all)


class MemoryMoves:
    """The tasks of all queues. What is due is done before each call: nothing runs between them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._tasks: list[_Task] = []

    def start(self, source: MemoryQueue, destination: MemoryQueue, rate: int | None) -> str:
        """StartMessageMoveTask, of a queue that is a dead-letter queue. One at a time."""
        self.catch_up()
        arn = source.settings.arn
        if any(task.source is source and task.status == "RUNNING" for task in self._tasks):
            raise Unavailable("StartMessageMoveTask", "other", f"{arn}: UnsupportedOperation: a task runs already")
        task = _Task(
            handle=f"{arn} {next(self._numbers)}",
            source=source,
            destination=destination,
            rate=rate,
            began=self._clock.monotonic(),
            in_all=len(source.messages()),
        )
        self._tasks.append(task)
        return task.handle

    def of(self, source: MemoryQueue) -> tuple[MoveTask, ...]:
        """ListMessageMoveTasks."""
        self.catch_up()
        return tuple([task.told() for task in reversed(self._tasks) if task.source is source][:MOST])

    def cancel(self, handle: str) -> None:
        """CancelMessageMoveTask."""
        self.catch_up()
        for task in self._tasks:
            if task.handle == handle and task.status == "RUNNING":
                task.status = "CANCELLED"
                return
        raise SourceGone(f"CancelMessageMoveTask: no task {handle} runs")

    def catch_up(self) -> None:
        """Moves what should have been moved by now."""
        for task in self._tasks:
            if task.status == "RUNNING":
                self._go_on(task)

    def _go_on(self, task: _Task) -> None:
        seconds = self._clock.monotonic() - task.began
        due = task.in_all if task.rate is None else min(task.in_all, int(seconds * task.rate))
        while task.moved < due:
            messages = task.source.receive(Receive(limit=min(MOST, due - task.moved), wait=0, visibility=30))
            if not messages:
                break
            for message in messages:
                _send_on(message, task.destination)
            task.source.delete([message["ReceiptHandle"] for message in messages])
            task.moved += len(messages)
        if task.moved >= task.in_all:
            task.status = "COMPLETED"


def _send_on(message: SqsMessage, to: MemoryQueue) -> None:
    """As a new message: with another id, another time, and no receives."""
    system = message.get("Attributes", {})
    extras = Extras(
        group=system.get("MessageGroupId"),
        deduplication=system.get("MessageDeduplicationId"),
        trace=system.get("AWSTraceHeader"),
    )
    to.send(message["Body"], message.get("MessageAttributes", {}), extras)
