"""A process's connection to the dead-letter queue, whose messages are read as they arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from poller.apis.memory_sqs import MemorySqs
from poller.errors import Unavailable
from support.sim.documents import read_document
from support.sim.journal import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.apis.memory_sqs import MemoryQueues
    from poller.core.model import ShardId
    from poller.services import InGroup, SqsAttribute
    from support.sim.documents import Document
    from support.sim.hold import Hold
    from support.sim.process import Process
    from support.sim.scenario import MappingPlan
    from support.sim.weather import Trouble
    from support.virtual import VirtualClock


class SimSqs(MemorySqs):
    """`SqsApi` of one process for one mapping."""

    def __init__(self, process: Process, plan: MappingPlan, service: tuple[VirtualClock, MemoryQueues], faults: Trouble) -> None:
        super().__init__(service[0], faults, queues=service[1])
        self._process = process
        self._plan = plan
        self._told: set[Document] = set()

    async def send_message(
        self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None, place: InGroup | None = None
    ) -> None:
        """See `SqsApi.send_message`. A message that was sent may arrive although its sender was cancelled."""
        if not self._process.alive:
            raise Unavailable("SendMessage", "connection", "the process is dead")
        document = read_document(body)
        with self._process.ledger.checking():
            hold = self._hold(document)
            await asyncio.shield(self._process.linger(self._send(queue_arn, body, document, hold)))
            self._told.add(document)
            hold.confirmed(document)
            self._process.tally(self._plan).sent += document.size

    async def _send(self, queue_arn: str, body: str, document: Document, hold: Hold) -> None:
        def arrive() -> None:
            self.queues.send(queue_arn, body)
            with self._process.ledger.checking():
                self._arrived(document, hold)

        await self._link.carry("SendMessage", arrive)

    def _hold(self, document: Document) -> Hold:
        """Whose records these are, and whether they may be reported (again)."""
        expected = self._plan.function.arn, self._plan.stream.arn
        if (document.function_arn, document.stream_arn) != expected:
            raise Broken(f"a document of {self._plan.name} names {document.function_arn} and {document.stream_arn}")
        if document in self._told:
            raise Broken(f"a document is sent again, though the queue has confirmed it: {document}")
        hold = self._process.holds.get((self._plan.name, self._shard(document)))
        if hold is None:
            raise Broken(f"{self._process.name} gives up records of {document.shard} and never had its lease")
        return hold

    def _arrived(self, document: Document, hold: Hold) -> None:
        line = self._process.ledger.line(self._plan, self._shard(document))
        first, numbers = hold.documented(document, self._process.now), line.covered(document)
        told = f"{document.condition} {document.count}{'' if first else ' again'}"
        which = f"[{numbers[0]},{numbers[-1] + 1})" if numbers else "[]"
        self._process.ledger.trace.note(f"{self._process.name} {line} document {which} {told}")
        line.documented.update(numbers)

    def _shard(self, document: Document) -> ShardId:
        return next(shard for arn, shard in self._process.ledger.books if (arn, shard) == (self._plan.stream.arn, document.shard))
