"""A process's connection to SQS for one mapping of a queue: the memory Api with the storm's manners, watched.

A call that was sent has its effect, whether or not its caller still waits, or lives: a receive that nobody waits for any more
takes its messages all the same, as it does on every real server.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from poller.apis.memory_sqs import MemorySqs
from poller.errors import SourceGone, Unavailable
from poller.ports import EntryFailure
from support.sim.queue_rules import QueueRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poller.apis.memory_sqs import MemoryQueues
    from poller.ports import QueueDescription
    from poller.services import InGroup, Receive, SqsAttribute, SqsMessage
    from support.sim.process import Process
    from support.sim.queue_scenario import QueueMappingPlan
    from support.sim.weather import Trouble
    from support.virtual import VirtualClock

T = TypeVar("T")


class SimQueue(MemorySqs):
    """`SqsApi` of one process for one mapping: its source, or its destination."""

    def __init__(
        self, process: Process, plan: QueueMappingPlan, service: tuple[VirtualClock, MemoryQueues], faults: Trouble
    ) -> None:
        super().__init__(service[0], faults, queues=service[1])
        self._process = process
        self._trouble = faults
        self._rules = QueueRules(process, plan)
        self._checking = process.ledger.checking
        self._receives = 0

    async def describe_queue(self, queue_arn: str) -> QueueDescription:
        """See `SqsApi.describe_queue`."""
        description = await super().describe_queue(queue_arn)
        self._rules.described()
        return description

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """See `SqsApi.receive_messages`."""
        self._must_live("ReceiveMessage")
        self._receives += 1
        number = self._receives
        with self._checking():
            self._rules.receive_asked(receive, number)
        try:
            answer = await asyncio.shield(self._process.linger(self._receive(queue_arn, receive, number)))
        except (Unavailable, SourceGone) as error:
            self._rules.receive_failed(number, gone=isinstance(error, SourceGone))
            raise
        except asyncio.CancelledError:
            with self._checking():
                self._rules.receive_cut(number)
            raise
        with self._checking():
            self._rules.told(answer, number)
        return answer

    async def _receive(self, queue_arn: str, receive: Receive, number: int) -> Sequence[SqsMessage]:
        def take() -> Sequence[SqsMessage]:
            answer = self.queues.receive(queue_arn, receive)
            with self._checking():
                self._rules.handed_out(answer, receive.visibility, number)
            return answer

        return await self._link.carry("ReceiveMessage", take, ready=partial(self.queues.wait, queue_arn, receive))

    async def delete_messages(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """See `SqsApi.delete_messages`."""
        self._must_live("DeleteMessageBatch")
        with self._checking():
            self._rules.delete_asked(receipts)
        failures = await self._send("DeleteMessageBatch", partial(self._delete, queue_arn, receipts))
        with self._checking():
            self._rules.delete_answered(receipts, failures)
        return failures

    def _delete(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        failures = self.queues.delete(queue_arn, receipts)
        self._rules.deleted(receipts, failures)
        return failures

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """See `SqsApi.change_visibility`."""
        self._must_live("ChangeMessageVisibilityBatch")
        with self._checking():
            self._rules.hide_asked(receipts, seconds)
        try:
            failures = await self._send("ChangeMessageVisibilityBatch", partial(self._hide, queue_arn, receipts, seconds))
            await asyncio.sleep(self._slowness())
        except BaseException:
            self._rules.hide_unanswered(receipts)
            raise
        self._rules.hide_answered(receipts, failures)
        return failures

    def _hide(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        unlucky = {index for index, receipt in enumerate(receipts) if seconds > 0 and self._is_unlucky(receipt)}
        chosen = [index for index in range(len(receipts)) if index not in unlucky]
        asked = [receipts[index] for index in chosen]
        failed = self.queues.change_visibility(queue_arn, asked, seconds) if asked else ()
        failures = (
            *(replace(failure, index=chosen[failure.index]) for failure in failed),
            *(EntryFailure(index, gone=False, detail="InternalError") for index in sorted(unlucky)),
        )
        self._rules.hidden(receipts, failures, seconds)
        return failures

    def _slowness(self) -> float:
        """Seconds by which an answer is slower than others."""
        storm = self._process.ledger.scenario.queue_storm
        return 0.0 if storm is None or self._trouble.weather.calm else storm.slow * self._trouble.chance.random()

    def _is_unlucky(self, receipt: str) -> bool:
        """Whether this message cannot be hidden for longer: from some call on, until the calm."""
        storm, message = self._process.ledger.scenario.queue_storm, self._process.ledger.queues.delivery(receipt).message
        if storm is None or not storm.unlucky or self._trouble.weather.calm or message.send.number % storm.unlucky:
            return False
        message.prolonged += 1
        return message.prolonged > storm.luck

    async def send_message(
        self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None, place: InGroup | None = None
    ) -> None:
        """See `SqsApi.send_message`."""
        self._must_live("SendMessage")
        with self._checking():
            message = self._rules.report_asked(body, attributes or {})

            def arrive() -> None:
                self.queues.send(queue_arn, body, attributes)
                self._rules.report_arrived(message)

            await self._send("SendMessage", arrive)
            self._rules.report_answered(message)

    def _must_live(self, operation: str) -> None:
        if not self._process.alive:
            raise Unavailable(operation, "connection", "the process is dead")

    async def _send(self, operation: str, effect: Callable[[], T]) -> T:
        """A call that may be late: then its caller gives it up, and it has its effect all the same."""
        late = self._trouble.late()
        if late is None:
            return await asyncio.shield(self._process.linger(self._link.carry(operation, effect)))
        patience, delay = late
        self._process.linger(self._later(delay, operation, effect))
        await asyncio.sleep(patience)
        raise Unavailable(operation, "timeout", "it may happen yet")

    async def _later(self, delay: float, operation: str, effect: Callable[[], T]) -> T:
        await asyncio.sleep(delay)
        return await self._link.carry(operation, effect)
