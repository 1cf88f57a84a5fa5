"""SQS in memory, the service's side: queues that hide, repeat, order and give up messages as SQS does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.apis.memory_admission import QueueSettings
from poller.apis.memory_message import PLAIN, Extras, MemoryMessage
from poller.apis.memory_moves import MemoryMoves
from poller.apis.memory_queue import LENIENT, MOST, MemoryQueue, QueueBehaviour
from poller.errors import SourceGone, Unavailable
from poller.ports import EntryFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.ports import Clock, QueueDescription
    from poller.services import MoveTask, Outgoing, Receive, SqsAttribute, SqsMessage

ARN_PREFIX: Final = "arn:aws:sqs:us-east-1:000000000000:"

__all__ = ["ARN_PREFIX", "LENIENT", "PLAIN", "Extras", "MemoryMessage", "MemoryQueues", "QueueBehaviour"]


class MemoryQueues:
    """All queues of an account: the contents that connections share. A queue is named by its ARN.

    Timestamps are by the clock's wall time, everything that takes time by its steady time, which is the event loop's.
    """

    def __init__(self, clock: Clock, behaviour: QueueBehaviour = LENIENT) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._queues: dict[str, MemoryQueue] = {}
        self._moves = MemoryMoves(clock)

    # ---- producers and operators

    def create_queue(self, name: str, attributes: Mapping[str, str] | None = None) -> str:
        """Makes an empty queue, where there is none of this name, and returns its ARN. A FIFO queue's name ends with `.fifo`.

        `attributes` are those of CreateQueue: VisibilityTimeout, MessageRetentionPeriod, DelaySeconds, MaximumMessageSize,
        RedrivePolicy (JSON), FifoQueue, ContentBasedDeduplication. Raises ValueError for others.
        """
        arn = ARN_PREFIX + name
        if arn not in self._queues:
            settings = QueueSettings.of(arn, attributes or {})
            self._queues[arn] = MemoryQueue(settings, self._clock, self._behaviour, self._queues.get)
        return arn

    def delete_queue(self, arn: str) -> None:
        """Takes the queue and its messages away."""
        self._queues.pop(arn).close()

    def purge(self, arn: str) -> None:
        """Takes all messages of the queue away, also those in flight."""
        self._queue("PurgeQueue", arn).purge()

    def send(self, arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None, extras: Extras = PLAIN) -> str:
        """SendMessage. Returns the message's id. Raises `SourceGone`; `Unavailable` for what SQS refuses."""
        return self._queue("SendMessage", arn).send(body, attributes or {}, extras)

    def messages(self, arn: str) -> tuple[MemoryMessage, ...]:
        """What is in the queue, whoever has it, in the order in which it came."""
        return tuple([stored.seen() for stored in self._queue("ReceiveMessage", arn).messages()])

    def depth(self, arn: str) -> int:
        """How many messages are in the queue, whoever has them."""
        return len(self._queue("GetQueueAttributes", arn).messages())

    # ---- consumers: the effects of the calls of `SqsApi`

    def describe(self, arn: str) -> QueueDescription:
        """GetQueueAttributes."""
        return self._queue("GetQueueAttributes", arn).describe()

    async def wait(self, arn: str, receive: Receive) -> None:
        """A long poll's wait: until this receive would bring something, be refused, or has waited long enough. Takes nothing."""
        if arn in self._queues:
            await self._queues[arn].wait(receive)

    def receive(self, arn: str, receive: Receive) -> list[SqsMessage]:
        """ReceiveMessage, at this instant."""
        return self._queue("ReceiveMessage", arn).receive(receive)

    def delete(self, arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """DeleteMessageBatch."""
        return self._queue("DeleteMessageBatch", arn).delete(receipts)

    def change_visibility(self, arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """ChangeMessageVisibilityBatch, all to the same time from now."""
        return self._queue("ChangeMessageVisibilityBatch", arn).change_visibility(receipts, seconds)

    # ---- operators: the effects of the calls of `DeadLetterApi`

    def send_batch(self, arn: str, messages: Sequence[Outgoing]) -> tuple[str | EntryFailure, ...]:
        """SendMessageBatch: each for itself."""
        queue = self._queue("SendMessageBatch", arn)
        if not 1 <= len(messages) <= MOST:
            raise Unavailable("SendMessageBatch", "other", f"{arn}: InvalidParameterValue")
        return tuple([_sent(queue, index, message) for index, message in enumerate(messages)])

    def sources_of(self, arn: str) -> tuple[str, ...]:
        """ListDeadLetterSourceQueues."""
        self._queue("ListDeadLetterSourceQueues", arn)
        redriven = [(queue.settings.arn, queue.settings.redrive) for queue in self._queues.values()]
        return tuple([source for source, redrive in redriven if redrive is not None and redrive[0] == arn])

    def start_move(self, arn: str, destination: str, rate: int | None) -> str:
        """StartMessageMoveTask, of a dead-letter queue. Returns the task's handle."""
        queue, to = self._queue("StartMessageMoveTask", arn), self._queue("StartMessageMoveTask", destination)
        if not self.sources_of(arn):
            raise Unavailable("StartMessageMoveTask", "other", f"{arn}: InvalidParameterValue: it is no dead-letter queue")
        return self._moves.start(queue, to, rate)

    def move_tasks(self, arn: str) -> tuple[MoveTask, ...]:
        """ListMessageMoveTasks."""
        return self._moves.of(self._queue("ListMessageMoveTasks", arn))

    def cancel_move(self, handle: str) -> None:
        """CancelMessageMoveTask."""
        self._moves.cancel(handle)

    def _queue(self, operation: str, arn: str) -> MemoryQueue:
        self._moves.catch_up()
        queue = self._queues.get(arn)
        if queue is None:
            raise SourceGone(f"{operation}: there is no queue {arn}")
        return queue


def _sent(queue: MemoryQueue, index: int, message: Outgoing) -> str | EntryFailure:
    extras = Extras(group=message.group, deduplication=message.deduplication, trace=message.trace)
    try:
        return queue.send(message.body, message.attributes, extras)
    except Unavailable as error:  # what SQS refuses is the sender's fault
        return EntryFailure(index, gone=True, detail=str(error).rpartition(": ")[2])
