"""A queue, its dead-letter queue, and commands that work on it, in memory under virtual time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from poller.apis.memory_queues import LENIENT, Extras, MemoryQueues, QueueBehaviour
from poller.apis.memory_sqs import MemorySqs
from poller.dlq.desk import Desk, Tally
from poller.dlq.wish import Route, Wish
from poller.errors import Unavailable
from poller.services import Receive
from support.doubles import Trouble
from support.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.services import SqsAttribute

NO_TASKS = Unavailable("StartMessageMoveTask", "other", "InvalidAction")


@dataclass(kw_only=True)
class Morgue:
    """The queue `orders`, which gives up a message after one receive, and `dead`, where they go.

    Attributes:
        fifo: both are FIFO queues.
        tasks: this SQS has message move tasks.
        own_policy: after so many receives messages leave `dead` for `deader`.
    """

    fifo: bool = False
    tasks: bool = False
    own_policy: int | None = None
    behaviour: QueueBehaviour = LENIENT
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.queues = MemoryQueues(self.clock, self.behaviour)
        suffix = ".fifo" if self.fifo else ""
        deader = self.queues.create_queue(f"deader{suffix}")
        own = {} if self.own_policy is None else _redriving(deader, self.own_policy)
        self.dead = self.queues.create_queue(f"dead{suffix}", own)
        self.source = self.queues.create_queue(f"orders{suffix}", _redriving(self.dead, 1))
        self.trouble = Trouble()
        self.api = MemorySqs(self.clock, self.trouble, queues=self.queues)
        self.route = Route(queue_arn=self.dead, source=self.source)
        self.heal()

    def heal(self) -> None:
        self.trouble.heal()
        if not self.tasks:
            self.trouble.refuse(NO_TASKS, "StartMessageMoveTask", "ListMessageMoveTasks")

    @property
    def desk(self) -> Desk:
        """Of a command that begins now."""
        return Desk(api=self.api, queue_arn=self.dead, clock=self.clock, rng=Random(1), say=self.said.append)

    def send(self, *bodies: str, group: str = "", attributes: Mapping[str, SqsAttribute] | None = None) -> list[str]:
        """Messages straight into the dead-letter queue; returns their ids. Of a FIFO queue with the first letter as group."""
        sent = []
        for number, body in enumerate(bodies):
            deduplication = f"{body}-{number}" if self.fifo else None
            extras = Extras(group=group or (body[0] if self.fifo else None), deduplication=deduplication)
            sent.append(self.queues.send(self.dead, body, attributes, extras))
        return sent

    def fail(self, *bodies: str) -> None:
        """Messages that the queue itself gave up."""
        for number, body in enumerate(bodies):
            deduplication = f"{body}-{number}" if self.fifo else None
            self.queues.send(self.source, body, None, Extras(group=body[0] if self.fifo else None, deduplication=deduplication))
        while received := self.queues.receive(self.source, Receive(limit=10, wait=0, visibility=0)):
            assert received

    def bodies(self, queue: str) -> list[str]:
        """What is in a queue, in hand or not."""
        return [message.body for message in self.queues.messages(queue)]

    def states(self) -> set[str]:
        """Of the messages of the dead-letter queue."""
        return {message.state for message in self.queues.messages(self.dead)}


def _redriving(arn: str, after: int) -> dict[str, str]:
    return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": after})}


def orders(count: int, statuses: Sequence[str] = ("paid", "open")) -> list[str]:
    """Bodies, each with a number of its own and one of these statuses in turn."""
    return [json.dumps({"id": number, "status": statuses[number % len(statuses)]}) for number in range(count)]


PAID = Wish(pattern='{"body": {"status": ["paid"]}}')


__all__ = ["PAID", "Morgue", "Tally", "orders"]
