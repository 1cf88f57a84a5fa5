"""SQS in memory: for the simulation, for trying things out, and for tests of what sends messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from poller.apis.memory import NO_FAULTS, Faults, Link
from poller.errors import SourceGone

if TYPE_CHECKING:
    from poller.ports import Clock

ARN_PREFIX: Final = "arn:aws:sqs:us-east-1:000000000000:"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMessage:
    """A message in a queue; `sent_at` is in Unix seconds."""

    body: str
    sent_at: float


class MemoryQueues:
    """All queues of an account: the contents that connections share."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, list[MemoryMessage]] = {}

    def create_queue(self, name: str) -> str:
        """Makes an empty queue, where there is none of this name, and returns its ARN."""
        arn = ARN_PREFIX + name
        self._queues.setdefault(arn, [])
        return arn

    def delete_queue(self, arn: str) -> None:
        """Takes the queue and its messages away."""
        del self._queues[arn]

    def messages(self, arn: str) -> tuple[MemoryMessage, ...]:
        """What is in the queue, in the order it was sent."""
        return tuple(self._queues[arn])

    def send(self, arn: str, body: str) -> None:
        """Adds a message. Raises `SourceGone`."""
        if arn not in self._queues:
            raise SourceGone(f"SendMessage: there is no queue {arn}")
        self._queues[arn].append(MemoryMessage(body=body, sent_at=self._clock.time()))


class MemorySqs:
    """`SqsApi` over contents in memory; `connect` makes another connection to the same `queues`."""

    def __init__(self, clock: Clock, faults: Faults = NO_FAULTS, *, queues: MemoryQueues | None = None) -> None:
        self._clock = clock
        self._link = Link(faults)
        self.queues = MemoryQueues(clock) if queues is None else queues

    def connect(self, faults: Faults = NO_FAULTS) -> MemorySqs:
        """Another connection to the same queues, with its own faults."""
        return MemorySqs(self._clock, faults, queues=self.queues)

    def cut(self) -> None:
        """Cuts this connection off for ever; see `Link.cut`."""
        self._link.cut()

    async def send_message(self, queue_arn: str, body: str) -> None:
        """See `SqsApi.send_message`."""
        await self._link.carry("SendMessage", lambda: self.queues.send(queue_arn, body))
