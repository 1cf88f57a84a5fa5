"""The SQS Api in memory, when its connection misbehaves."""

from __future__ import annotations

import asyncio

import pytest
from contract.sqs_service import bodies, now, receipts
from support.stage import virtually
from support.virtual import VirtualClock

from poller.apis.memory_sqs import MemorySqs
from poller.errors import SourceGone, Unavailable
from poller.services import Receive

POLL = Receive(limit=10, wait=20, visibility=30)
PEEK = Receive(limit=10, wait=0, visibility=30)

OPERATIONS = ["SendMessage", "GetQueueAttributes", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]


class Faulty:
    """Faults that count calls, fail where told to, and hold answers back."""

    def __init__(self, error: Exception | None = None, *, where: str = "before", late: float = 0.0) -> None:
        self._error = error
        self._where = where
        self._late = late
        self.calls: list[str] = []

    async def before(self, operation: str) -> None:
        self.calls.append(operation)
        if self._error is not None and self._where == "before":
            raise self._error

    async def after(self, operation: str) -> None:
        await asyncio.sleep(self._late)
        if self._error is not None and self._where == "after":
            raise self._error


def service(*bodies: str) -> tuple[MemorySqs, str]:
    api = MemorySqs(VirtualClock())
    arn = api.queues.create_queue("q")
    for body in bodies:
        api.queues.send(arn, body)
    return api, arn


async def call_all(api: MemorySqs, arn: str) -> list[Exception]:
    raised: list[Exception] = []
    for call in (
        lambda: api.send_message(arn, "hello"),
        lambda: api.describe_queue(arn),
        lambda: api.receive_messages(arn, PEEK),
        lambda: api.delete_messages(arn, ["receipt"]),
        lambda: api.change_visibility(arn, ["receipt"], 0),
    ):
        try:
            await call()
        except (Unavailable, SourceGone) as error:
            raised.append(error)
    return raised


@pytest.mark.parametrize("where", ["before", "after"])
@virtually
async def test_faults_reach_every_call_of_their_connection_and_no_other(where: str) -> None:
    sound, arn = service()
    error = Unavailable("by fault", "timeout")
    faults = Faulty(error, where=where)
    assert await call_all(sound.connect(faults), arn) == [error] * 5
    assert faults.calls == OPERATIONS
    assert await call_all(sound, arn) == []


@pytest.mark.parametrize(("where", "there"), [("before", 0), ("after", 1)])
@virtually
async def test_a_fault_before_a_send_prevents_it_and_one_after_it_does_not(where: str, there: int) -> None:
    sound, arn = service()
    with pytest.raises(Unavailable):
        await sound.connect(Faulty(Unavailable("SendMessage", "timeout"), where=where)).send_message(arn, "hello")
    assert sound.queues.depth(arn) == there


@pytest.mark.parametrize(("where", "left"), [("before", ["a"]), ("after", [])])
@virtually
async def test_a_receive_whose_answer_is_lost_leaves_its_messages_hidden(where: str, left: list[str]) -> None:
    sound, arn = service("a")
    with pytest.raises(Unavailable):
        await sound.connect(Faulty(Unavailable("ReceiveMessage", "timeout"), where=where)).receive_messages(arn, POLL)
    assert bodies(await sound.receive_messages(arn, PEEK)) == left


@virtually
async def test_a_connection_that_is_cut_reaches_nothing_more_and_the_others_go_on() -> None:
    api, arn = service()
    other = api.connect()
    api.cut()
    kinds = [error.kind for error in await call_all(api, arn) if isinstance(error, Unavailable)]
    assert kinds == ["connection"] * 5
    assert api.queues.depth(arn) == 0
    assert await call_all(other, arn) == []


@virtually
async def test_a_long_poll_that_is_cancelled_while_it_waits_has_taken_nothing() -> None:
    api, arn = service()
    polling = asyncio.get_running_loop().create_task(api.receive_messages(arn, POLL))
    await api.receive_messages(arn, Receive(limit=1, wait=5, visibility=1))
    polling.cancel()
    await asyncio.wait([polling])
    api.queues.send(arn, "a")
    assert bodies(await api.receive_messages(arn, PEEK)) == ["a"]


@virtually
async def test_a_long_poll_that_is_cancelled_in_the_instant_a_message_comes_has_taken_nothing() -> None:
    api, arn = service()
    polling = asyncio.get_running_loop().create_task(api.receive_messages(arn, POLL))
    await api.receive_messages(arn, Receive(limit=1, wait=5, visibility=1))
    api.queues.send(arn, "a")
    polling.cancel()
    await asyncio.wait([polling])
    assert bodies(await api.receive_messages(arn, PEEK)) == ["a"]


@virtually
async def test_a_long_poll_that_is_cancelled_on_the_answers_way_back_leaves_the_messages_hidden() -> None:
    sound, arn = service("a")
    polling = asyncio.get_running_loop().create_task(sound.connect(Faulty(late=3)).receive_messages(arn, POLL))
    await sound.receive_messages(sound.queues.create_queue("nothing"), Receive(limit=1, wait=1, visibility=1))
    polling.cancel()
    await asyncio.wait([polling])
    assert await sound.receive_messages(arn, PEEK) == []
    assert sound.queues.depth(arn) == 1


@virtually
async def test_a_long_poll_whose_connection_is_cut_while_it_waits_takes_nothing() -> None:
    sound, arn = service()
    api = sound.connect()
    polling = asyncio.get_running_loop().create_task(api.receive_messages(arn, POLL))
    await sound.receive_messages(arn, Receive(limit=1, wait=5, visibility=1))
    api.cut()
    sound.queues.send(arn, "a")
    await asyncio.wait([polling])
    assert isinstance(polling.exception(), Unavailable)
    assert bodies(await sound.receive_messages(arn, PEEK)) == ["a"]


@virtually
async def test_a_long_poll_ends_when_its_queue_is_deleted() -> None:
    api, arn = service()
    polling = asyncio.get_running_loop().create_task(api.receive_messages(arn, POLL))
    await api.receive_messages(arn, Receive(limit=1, wait=5, visibility=1))
    api.queues.delete_queue(arn)
    await asyncio.wait([polling])
    assert isinstance(polling.exception(), SourceGone)
    assert now() == pytest.approx(5)


@virtually
async def test_polls_that_wait_are_served_in_turn_and_each_message_once() -> None:
    api, arn = service()
    async with asyncio.TaskGroup() as group:
        one = Receive(limit=1, wait=20, visibility=30)
        polls = [group.create_task(api.receive_messages(arn, one)) for _ in range(3)]
        await api.receive_messages(arn, Receive(limit=1, wait=5, visibility=1))
        for body in "ab":
            api.queues.send(arn, body)
        handles = receipts(await polls[0]) + receipts(await polls[1])
        assert now() == pytest.approx(5)
        assert len(set(handles)) == 2
    assert [bodies(poll.result()) for poll in polls] == [["a"], ["b"], []]
    assert now() == pytest.approx(20)


@virtually
async def test_a_caller_that_never_waits_still_lets_others_run() -> None:
    api, arn = service()
    others = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0)).add_done_callback(lambda _: others.set())
        for _ in range(10):
            await api.receive_messages(arn, PEEK)
        assert others.is_set()
