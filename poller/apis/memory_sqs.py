"""SQS in memory: for the simulation, for trying things out, and for tests of what sends and receives messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.apis.memory import NO_FAULTS, Faults, Link
from poller.apis.memory_queues import PLAIN, Extras, MemoryQueues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.ports import Clock, EntryFailure, QueueDescription
    from poller.services import InGroup, MoveTask, Outgoing, Receive, SqsAttribute, SqsMessage

__all__ = ["MemoryQueues", "MemorySqs"]


class MemorySqs:
    """`SqsApi` and `DeadLetterApi` over contents in memory; `connect` makes another connection to the same `queues`.

    A long poll that is cancelled, or whose connection is cut, while it waits has taken nothing; once it has taken messages, what
    loses its answer leaves them hidden.
    """

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

    async def send_message(
        self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None, place: InGroup | None = None
    ) -> None:
        """See `SqsApi.send_message`."""
        extras = PLAIN if place is None else Extras(group=place.group, deduplication=place.deduplication)
        await self._link.carry("SendMessage", lambda: self.queues.send(queue_arn, body, attributes, extras))

    async def describe_queue(self, queue_arn: str) -> QueueDescription:
        """See `SqsApi.describe_queue`."""
        return await self._link.carry("GetQueueAttributes", lambda: self.queues.describe(queue_arn))

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """See `SqsApi.receive_messages`."""
        return await self._link.carry(
            "ReceiveMessage",
            lambda: self.queues.receive(queue_arn, receive),
            ready=lambda: self.queues.wait(queue_arn, receive),
        )

    async def delete_messages(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """See `SqsApi.delete_messages`."""
        return await self._link.carry("DeleteMessageBatch", lambda: self.queues.delete(queue_arn, receipts))

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """See `SqsApi.change_visibility`."""
        return await self._link.carry(
            "ChangeMessageVisibilityBatch", lambda: self.queues.change_visibility(queue_arn, receipts, seconds)
        )

    # ---- `DeadLetterApi`

    async def send_messages(self, queue_arn: str, messages: Sequence[Outgoing]) -> tuple[str | EntryFailure, ...]:
        """See `DeadLetterApi.send_messages`."""
        return await self._link.carry("SendMessageBatch", lambda: self.queues.send_batch(queue_arn, messages))

    async def dead_letter_sources(self, queue_arn: str) -> tuple[str, ...]:
        """See `DeadLetterApi.dead_letter_sources`."""
        return await self._link.carry("ListDeadLetterSourceQueues", lambda: self.queues.sources_of(queue_arn))

    async def purge_queue(self, queue_arn: str) -> None:
        """See `DeadLetterApi.purge_queue`."""
        await self._link.carry("PurgeQueue", lambda: self.queues.purge(queue_arn))

    async def start_move(self, queue_arn: str, destination_arn: str, rate: int | None) -> str:
        """See `DeadLetterApi.start_move`."""
        return await self._link.carry("StartMessageMoveTask", lambda: self.queues.start_move(queue_arn, destination_arn, rate))

    async def move_tasks(self, queue_arn: str) -> tuple[MoveTask, ...]:
        """See `DeadLetterApi.move_tasks`."""
        return await self._link.carry("ListMessageMoveTasks", lambda: self.queues.move_tasks(queue_arn))

    async def cancel_move(self, queue_arn: str, handle: str) -> None:
        """See `DeadLetterApi.cancel_move`."""
        del queue_arn
        await self._link.carry("CancelMessageMoveTask", lambda: self.queues.cancel_move(handle))
