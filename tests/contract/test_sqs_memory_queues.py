"""Queues of SQS in memory: what only they can show, among it all that SQS may do and servers do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from contract.sqs_service import bodies, now, receipts, receives
from support.aws import redriving
from support.stage import virtually
from support.virtual import EPOCH, VirtualClock

from poller.apis.memory_queues import Extras, MemoryQueues, QueueBehaviour
from poller.apis.memory_sqs import MemorySqs
from poller.errors import Unavailable
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poller.services import SqsMessage

A = Extras(group="a", deduplication="1")


class Service:
    """Queues alone, at their side of any connection; the test has one of them, `q`."""

    def __init__(
        self, name: str = "q", attributes: Mapping[str, str] | None = None, behaviour: QueueBehaviour | None = None
    ) -> None:
        self.clock = VirtualClock()
        self.queues = MemoryQueues(self.clock, behaviour or QueueBehaviour())
        self.arn = self.queues.create_queue(name, attributes)

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.queues.send(self.arn, body, None, Extras(group=body[0], deduplication=body))

    def receive(self, limit: int = 10, visibility: int = 30, attempt_id: str | None = None) -> list[SqsMessage]:
        return self.queues.receive(self.arn, Receive(limit=limit, wait=0, visibility=visibility, attempt_id=attempt_id))

    async def receive_in(self, seconds: int, visibility: int = 30) -> list[SqsMessage]:
        await asyncio.sleep(seconds)
        return self.receive(visibility=visibility)

    def delete(self, handles: Sequence[str]) -> list[tuple[int, bool, str]]:
        return [(one.index, one.gone, one.detail) for one in self.queues.delete(self.arn, handles)]

    def hide(self, handles: Sequence[str], seconds: int) -> list[tuple[int, bool, str]]:
        return [(one.index, one.gone, one.detail) for one in self.queues.change_visibility(self.arn, handles, seconds)]


# ------------------------------------------------------------------------------------------------------------- what is in a queue


@virtually
async def test_who_looks_into_a_queue_sees_every_message_as_it_is_now() -> None:
    service = Service(attributes={"DelaySeconds": "5"})
    service.queues.send(service.arn, "at once", {"n": {"DataType": "Number", "StringValue": "1"}}, Extras(delay=0))
    service.clock.jump(2.5)
    service.send("late")
    assert receives(service.receive()[0]) == 1
    first, second = service.queues.messages(service.arn)
    assert (first.body, first.sent_at, first.receives, first.state) == ("at once", EPOCH, 1, "in_flight")
    assert (second.body, second.sent_at, second.receives, second.state) == ("late", EPOCH + 2.5, 0, "delayed")
    assert first.attributes == {"n": {"DataType": "Number", "StringValue": "1"}}
    assert service.queues.depth(service.arn) == 2


@virtually
async def test_a_queue_that_is_made_twice_keeps_its_messages_and_one_that_is_purged_none() -> None:
    service = Service()
    service.send("a", "b")
    service.receive(1)
    assert service.queues.create_queue("q") == service.arn
    assert service.queues.depth(service.arn) == 2
    service.queues.purge(service.arn)
    assert service.queues.messages(service.arn) == ()


@virtually
async def test_retention_takes_messages_whoever_has_them() -> None:
    service = Service(attributes={"MessageRetentionPeriod": "60"})
    service.send("a", "b")
    handle = receipts(service.receive(1, visibility=600))
    assert await service.receive_in(60) == []
    assert service.queues.depth(service.arn) == 0
    assert service.hide(handle, 10) == [(0, True, "InvalidParameterValue")]


@pytest.mark.parametrize(("kind", "lives"), [("", 40), (".fifo", 100)])
@virtually
async def test_a_message_that_was_given_up_is_as_old_as_it_was_unless_its_new_queue_keeps_an_order(kind: str, lives: int) -> None:
    service = Service(f"dead-letters{kind}", {"MessageRetentionPeriod": "100"})
    source = service.queues.create_queue(f"source{kind}", redriving(service.arn, after=1))
    service.queues.send(source, "hello", None, A)
    await asyncio.sleep(60)
    take = Receive(limit=10, wait=0, visibility=0)
    assert [len(service.queues.receive(source, take)) for _ in range(2)] == [1, 0]
    (message,) = service.receive(visibility=0)
    assert (receives(message), message["Attributes"]["DeadLetterQueueSourceArn"]) == (2, source)
    await asyncio.sleep(lives - 1)
    assert service.queues.depth(service.arn) == 1
    await asyncio.sleep(1)
    assert service.queues.depth(service.arn) == 0


@virtually
async def test_a_fifo_queue_delays_all_its_messages_alike() -> None:
    service = Service("q.fifo", {"DelaySeconds": "5"})
    service.queues.send(service.arn, "hello", None, Extras(group="a", deduplication="1", delay=0))
    assert [len(await service.receive_in(seconds)) for seconds in (0, 4, 1)] == [0, 0, 1]


@virtually
async def test_where_the_dead_letter_queue_is_missing_messages_stay_and_keep_their_order() -> None:
    service = Service(attributes=redriving("arn:aws:sqs:us-east-1:000000000000:nowhere", after=1))
    service.send("a", "b")
    assert [bodies(service.receive(visibility=0)) for _ in range(3)] == [["a", "b"]] * 3


@pytest.mark.parametrize(
    ("name", "attributes", "body", "extras"),
    [
        ("q", {}, "", Extras()),
        ("q", {}, "\x00", Extras()),
        ("q", {"MaximumMessageSize": "1024"}, "x" * 1025, Extras()),
        ("q.fifo", {}, "no group", Extras(deduplication="1")),
        ("q.fifo", {}, "no id", Extras(group="a")),
        ("q.fifo", {}, "delayed", Extras(group="a", deduplication="1", delay=3)),
    ],
)
@virtually
async def test_what_sqs_refuses_is_refused(name: str, attributes: dict[str, str], body: str, extras: Extras) -> None:
    service = Service(name, attributes)
    with pytest.raises(Unavailable) as caught:
        service.queues.send(service.arn, body, None, extras)
    assert caught.value.kind == "other"
    assert service.queues.depth(service.arn) == 0


@pytest.mark.parametrize(
    ("name", "attributes"), [("q", {"FifoQueue": "true"}), ("q.fifo", {"FifoQueue": "false"}), ("q", {"Colour": "red"})]
)
def test_a_queue_cannot_be_made_of_what_means_nothing(name: str, attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="q"):
        Service(name, attributes)


@pytest.mark.parametrize(
    "receive",
    [
        Receive(limit=0, wait=0, visibility=1),
        Receive(limit=11, wait=0, visibility=1),
        Receive(limit=1, wait=21, visibility=1),
        Receive(limit=1, wait=20, visibility=43_201),
    ],
)
@virtually
async def test_a_receive_that_sqs_does_not_allow_is_refused_at_once(receive: Receive) -> None:
    service = Service()
    with pytest.raises(Unavailable):
        await MemorySqs(service.clock, queues=service.queues).receive_messages(service.arn, receive)
    assert now() == 0


@pytest.mark.parametrize("count", [0, 11])
@virtually
async def test_a_batch_has_one_to_ten_entries(count: int) -> None:
    service = Service()
    for call in (service.delete, lambda handles: service.hide(handles, 1)):
        with pytest.raises(Unavailable):
            call(["receipt"] * count)


# ------------------------------------------------------------------------------------------------- what was received, and when


@virtually
async def test_a_message_comes_back_at_the_moment_its_time_is_over() -> None:
    service = Service()
    service.send("a", "b")
    service.receive(1, visibility=7)
    service.receive(1, visibility=5)
    api = MemorySqs(service.clock, queues=service.queues)
    came = []
    for _ in range(2):
        messages = await api.receive_messages(service.arn, Receive(limit=10, wait=20, visibility=100))
        came.append((bodies(messages), round(now(), 3)))
    assert came == [(["b"], 5), (["a"], 7)]


@virtually
async def test_a_delayed_message_comes_at_its_time() -> None:
    service = Service()
    service.queues.send(service.arn, "late", None, Extras(delay=3))
    api = MemorySqs(service.clock, queues=service.queues)
    assert len(await api.receive_messages(service.arn, Receive(limit=10, wait=20, visibility=1))) == 1
    assert now() == pytest.approx(3)


@pytest.mark.parametrize(("name", "late"), [("q", []), ("q.fifo", [(0, True, "InvalidParameterValue")])])
@virtually
async def test_deleting_twice_succeeds_and_deleting_late_does_where_the_queue_keeps_no_order(
    name: str, late: list[tuple[int, bool, str]]
) -> None:
    service = Service(name)
    service.send("a", "b")
    first, second = receipts(service.receive(2, visibility=3))
    assert [service.delete([first]), service.delete([first])] == [[], []]
    await asyncio.sleep(3)
    assert service.delete([second]) == late
    assert service.queues.depth(service.arn) == len(late)


@virtually
async def test_nothing_is_hidden_for_more_than_twelve_hours_after_its_receive() -> None:
    service = Service()
    service.send("a")
    handle = receipts(service.receive(visibility=43_200))
    assert service.hide(handle, 43_201) == [(0, True, "InvalidParameterValue")]
    assert await service.receive_in(200) == []
    assert service.hide(handle, 43_001) == [(0, True, "InvalidParameterValue")]
    assert service.hide(handle, 43_000) == []
    assert service.hide(handle, -1) == [(0, True, "InvalidParameterValue")]


@virtually
async def test_what_is_visible_again_cannot_be_hidden_by_who_had_it() -> None:
    service = Service()
    service.send("a")
    handle = receipts(service.receive(visibility=3))
    await asyncio.sleep(3)
    assert service.hide(handle, 30) == [(0, True, "InvalidParameterValue")]
    assert len(service.receive()) == 1


@virtually
async def test_a_receipt_of_another_queue_is_none_of_this_one() -> None:
    service = Service()
    service.send("a")
    handle = receipts(service.receive())
    other = service.queues.create_queue("other")
    assert [one.detail for one in service.queues.delete(other, handle)] == ["ReceiptHandleIsInvalid"]
    assert service.delete(handle) == []


# ------------------------------------------------------------------------------------------------------- repeated FIFO receives


@virtually
async def test_a_receive_that_is_repeated_brings_the_same_and_hides_it_anew() -> None:
    service = Service("q.fifo")
    service.send("a1", "a2", "b1")
    first = service.receive(2, visibility=10, attempt_id="x")
    assert bodies(first) == ["a1", "a2"]
    await asyncio.sleep(8)
    assert service.receive(2, visibility=10, attempt_id="x") == first
    await asyncio.sleep(8)
    assert bodies(service.receive(attempt_id="y")) == ["b1"]


@pytest.mark.parametrize(
    ("change", "comes"),
    [
        (lambda service, handles: service.delete(handles), ["b1"]),
        (lambda service, handles: service.hide(handles, 500), ["b1"]),
        (lambda service, handles: asyncio.sleep(100), ["a1", "a2", "b1"]),
    ],
    ids=["deleted", "hidden", "over"],
)
@virtually
async def test_a_receive_is_not_repeated_once_something_has_happened_to_what_it_brought(
    change: Callable[[Service, list[str]], Any], comes: list[str]
) -> None:
    service = Service("q.fifo")
    service.send("a1", "a2", "b1")
    first = service.receive(2, visibility=100, attempt_id="x")
    if asyncio.iscoroutine(waiting := change(service, receipts(first[:1]))):
        await waiting
    assert bodies(service.receive(attempt_id="x")) == comes


@virtually
async def test_a_receive_is_not_repeated_after_five_minutes() -> None:
    service = Service("q.fifo")
    service.send("a1", "b1")
    service.receive(1, visibility=1000, attempt_id="x")
    await asyncio.sleep(299)
    assert bodies(service.receive(1, visibility=1000, attempt_id="x")) == ["a1"]
    await asyncio.sleep(1)
    assert bodies(service.receive(1, attempt_id="x")) == ["b1"]


@virtually
async def test_an_attempt_id_means_nothing_to_a_standard_queue() -> None:
    service = Service()
    service.send("a", "b")
    assert [bodies(service.receive(1, attempt_id="x")) for _ in range(3)] == [["a"], ["b"], []]


@virtually
async def test_a_duplicate_is_known_for_five_minutes() -> None:
    service = Service("q.fifo")
    first = service.queues.send(service.arn, "a", None, A)
    assert service.queues.send(service.arn, "b", None, A) == first
    await service.receive_in(300)
    assert service.queues.send(service.arn, "c", None, A) != first


# --------------------------------------------------------------------------------------------------------- what SQS is allowed


@virtually
async def test_a_standard_queue_hands_out_a_hidden_message_now_and_then() -> None:
    service = Service(behaviour=QueueBehaviour(duplicate_every=3))
    service.send(*"abcd")
    received = [service.receive(1) for _ in range(4)]
    assert [bodies(messages) for messages in received] == [["a"], ["b"], ["a"], ["c"]]
    assert [receives(messages[0]) for messages in received] == [1, 1, 2, 1]
    assert service.delete(receipts(received[0])) == []  # as SQS may: it says so, and the message is still there
    assert service.queues.depth(service.arn) == 4
    assert service.delete(receipts(received[2])) == []
    assert service.queues.depth(service.arn) == 3


@virtually
async def test_a_fifo_queue_never_hands_out_what_is_hidden() -> None:
    service = Service("q.fifo", behaviour=QueueBehaviour(duplicate_every=1))
    service.send("a1", "b1")
    assert [bodies(service.receive(1)) for _ in range(3)] == [["a1"], ["b1"], []]


@virtually
async def test_a_receive_brings_fewer_than_there_are_now_and_then_but_never_none() -> None:
    service = Service(behaviour=QueueBehaviour(fewer_every=2))
    service.send(*"abcdefg")
    assert [bodies(service.receive(limit)) for limit in (2, 5, 1, 10)] == [["a", "b"], ["c", "d", "e"], ["f"], ["g"]]


@virtually
async def test_an_entry_fails_now_and_then_and_can_be_tried_again() -> None:
    service = Service(behaviour=QueueBehaviour(fail_every=3))
    service.send(*"abcd")
    handles = receipts(service.receive())
    assert service.delete(handles) == [(2, False, "InternalError")]
    assert service.hide(handles[2:3], 5) == []
    assert service.delete(handles[2:3]) == [(0, False, "InternalError")]
    assert service.delete(handles[2:3]) == []
    assert service.queues.depth(service.arn) == 0


@virtually
async def test_a_standard_queue_says_when_too_many_are_in_flight_and_a_fifo_queue_brings_nothing() -> None:
    standard, fifo = (Service(name, behaviour=QueueBehaviour(in_flight=2)) for name in ("q", "q.fifo"))
    for service in (standard, fifo):
        service.send("a1", "b1", "c1")
        assert bodies(service.receive()) == ["a1", "b1"]
    with pytest.raises(Unavailable, match="OverLimit") as caught:
        standard.receive()
    assert caught.value.kind == "throttled"
    assert fifo.receive() == []
