"""The SQS Api in memory: the suite, on a virtual clock."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from contract.sqs_contract import SqsContract
from contract.sqs_service import Sqs, bodies, receipts
from support.stage import virtually
from support.virtual import VirtualClock

from poller.apis.memory_queues import Extras, MemoryQueues
from poller.apis.memory_sqs import MemorySqs
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.services import SqsAttribute


class Other:
    """The other side of the memory."""

    def __init__(self, queues: MemoryQueues) -> None:
        self._queues = queues
        self._numbers = itertools.count()

    async def create(self, name: str, attributes: Mapping[str, str] | None = None) -> str:
        return self._queues.create_queue(name, attributes)

    async def delete(self, arn: str) -> None:
        self._queues.delete_queue(arn)

    async def send(
        self,
        arn: str,
        body: str,
        attributes: Mapping[str, SqsAttribute] | None = None,
        *,
        group: str | None = None,
        deduplication: str | None = None,
    ) -> str:
        identity = f"number {next(self._numbers)}" if deduplication is None and group is not None else deduplication
        return self._queues.send(arn, body, attributes, Extras(group=group, deduplication=identity))

    async def take(self, arn: str, count: int) -> list[str]:
        messages = self._queues.receive(arn, Receive(limit=10, wait=0, visibility=30))
        self._queues.delete(arn, receipts(messages))
        assert len(messages) == count
        return bodies(messages)

    async def depth(self, arn: str) -> int:
        return self._queues.depth(arn)


@pytest.fixture
def sqs() -> Sqs:
    api = MemorySqs(VirtualClock())
    return Sqs(api=api, other=Other(api.queues))


class TestMemory(SqsContract):
    pass


for _name in [name for name in dir(TestMemory) if name.startswith("test_")]:
    setattr(TestMemory, _name, virtually(getattr(TestMemory, _name)))
