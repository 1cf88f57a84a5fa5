"""The SQS Api in memory: the suite, on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from contract.sqs_contract import SqsContract
from contract.sqs_dead_letters import SqsMoves
from contract.sqs_service import Sqs, bodies, receipts, redriving
from support.stage import virtually
from support.virtual import VirtualClock

from poller.apis.memory_queues import Extras, MemoryQueues
from poller.apis.memory_sqs import MemorySqs
from poller.errors import SourceGone, Unavailable
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


class TestMemory(SqsContract, SqsMoves):
    pass


for _name in [name for name in dir(TestMemory) if name.startswith("test_")]:
    setattr(TestMemory, _name, virtually(getattr(TestMemory, _name)))


@virtually
async def test_a_task_moves_so_many_a_second_one_task_at_a_time() -> None:
    queues, clock = MemoryQueues(VirtualClock()), VirtualClock()
    api = MemorySqs(clock, queues=queues)
    dead = queues.create_queue("dead")
    source = queues.create_queue("source", redriving(dead, after=1))
    for number in range(100):
        queues.send(dead, f"{number}")
    handle = await api.start_move(dead, source, 10)
    with pytest.raises(Unavailable, match="a task runs already"):
        await api.start_move(dead, source, None)
    await asyncio.sleep(4.05)
    assert [(task.status, task.moved, task.in_all, task.handle) for task in await api.move_tasks(dead)] == [
        ("RUNNING", 40, 100, handle)
    ]
    assert queues.depth(source) == 40
    await api.cancel_move(dead, handle)
    await asyncio.sleep(10)
    assert (queues.depth(source), queues.depth(dead)) == (40, 60)
    await api.start_move(dead, source, None)
    assert [task.status for task in await api.move_tasks(dead)] == ["COMPLETED", "CANCELLED"]
    assert {message.receives for message in queues.messages(source)} == {0}
    with pytest.raises(Unavailable, match="it is no dead-letter queue"):
        await api.start_move(source, dead, None)
    with pytest.raises(SourceGone):
        await api.cancel_move(dead, handle)
