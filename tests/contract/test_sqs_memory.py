"""The SQS Api in memory."""

from __future__ import annotations

import pytest
from contract.sqs_contract import Sqs, SqsContract
from support.virtual import EPOCH, VirtualClock, run_virtually

from poller.apis.memory_sqs import MemoryMessage, MemoryQueues, MemorySqs
from poller.errors import SourceGone, Unavailable


class Consumer:
    """The other side of the memory."""

    def __init__(self, queues: MemoryQueues) -> None:
        self._queues = queues
        self._taken: dict[str, int] = {}

    async def create(self, name: str) -> str:
        arn = self._queues.create_queue(name)
        self._taken.setdefault(arn, 0)
        return arn

    async def delete(self, arn: str) -> None:
        self._queues.delete_queue(arn)
        self._taken.pop(arn)

    async def take(self, arn: str, count: int) -> list[str]:
        first = self._taken[arn]
        self._taken[arn] += count
        return [message.body for message in self._queues.messages(arn)[first : first + count]]

    async def depth(self, arn: str) -> int:
        return len(self._queues.messages(arn)) - self._taken[arn]


@pytest.fixture
def sqs() -> Sqs:
    api = MemorySqs(VirtualClock())
    return Sqs(api=api, consumer=Consumer(api.queues))


class TestMemory(SqsContract):
    pass


class Broken:
    """Faults that raise before or after every call."""

    def __init__(self, *, before: bool) -> None:
        self._before = before

    async def before(self, operation: str) -> None:
        if self._before:
            raise Unavailable(operation, "timeout")

    async def after(self, operation: str) -> None:
        if not self._before:
            raise Unavailable(operation, "timeout")


def test_a_message_knows_when_it_was_sent() -> None:
    async def send() -> tuple[MemoryMessage, ...]:
        clock = VirtualClock()
        sqs = MemorySqs(clock)
        arn = sqs.queues.create_queue("q")
        await sqs.send_message(arn, "one")
        clock.jump(2.5)
        await sqs.send_message(arn, "two")
        return sqs.queues.messages(arn)

    assert run_virtually(send()) == (
        MemoryMessage(body="one", sent_at=EPOCH),
        MemoryMessage(body="two", sent_at=EPOCH + 2.5),
    )


@pytest.mark.parametrize(("before", "arrived"), [(True, 0), (False, 1)])
async def test_a_fault_before_a_send_prevents_it_and_one_after_it_does_not(*, before: bool, arrived: int) -> None:
    sqs = MemorySqs(VirtualClock())
    arn = sqs.queues.create_queue("q")
    with pytest.raises(Unavailable):
        await sqs.connect(Broken(before=before)).send_message(arn, "hello")
    assert len(sqs.queues.messages(arn)) == arrived


async def test_a_connection_that_is_cut_sends_nothing_more_and_the_others_go_on() -> None:
    sqs = MemorySqs(VirtualClock())
    arn = sqs.queues.create_queue("q")
    other = sqs.connect()
    sqs.cut()
    with pytest.raises(Unavailable) as caught:
        await sqs.send_message(arn, "from the dead")
    assert caught.value.kind == "connection"
    await other.send_message(arn, "alive")
    assert [message.body for message in sqs.queues.messages(arn)] == ["alive"]


async def test_a_queue_that_is_made_twice_keeps_its_messages() -> None:
    sqs = MemorySqs(VirtualClock())
    arn = sqs.queues.create_queue("q")
    await sqs.send_message(arn, "hello")
    assert sqs.queues.create_queue("q") == arn
    assert len(sqs.queues.messages(arn)) == 1
    sqs.queues.delete_queue(arn)
    with pytest.raises(SourceGone):
        await sqs.send_message(arn, "hello")
