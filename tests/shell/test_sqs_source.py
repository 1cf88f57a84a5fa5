"""Messages of SQS in the shape that functions see, and receivers whose answers get lost."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.doubles import Trouble
from support.queueing import NotedSqs, QueueWorld
from support.stage import virtually
from support.virtual import EPOCH, VirtualClock

from poller.core.model import BEGINNING, Record
from poller.errors import SourceGone, Unavailable
from poller.ports import EntryFailure
from poller.services import SqsMessage
from poller.sources.sqs import ATTEMPT_LIFE, SqsShape, SqsSource, to_record

if TYPE_CHECKING:
    from poller.services import SqsAttribute

rule = pytest.mark.rule

ARN = "arn:aws:sqs:us-east-2:123456789012:my-queue"
SHAPE = SqsShape(queue_arn=ARN, region="us-east-2")
WINDOWED = SqsShape(queue_arn=ARN, region="us-east-2", windowed=True)
LOST = Unavailable("ReceiveMessage", "timeout")

SYSTEM = {
    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
    "SentTimestamp": "1545082649183",
    "ApproximateReceiveCount": "3",
    "ApproximateFirstReceiveTimestamp": "1545082649185",
}
FIFO_SYSTEM = {
    "SequenceNumber": "18849496460467696128",
    "MessageGroupId": "1",
    "MessageDeduplicationId": "1",
    "AWSTraceHeader": "Root=1-5759e988",
    **SYSTEM,
}


def raw(
    body: str = "Test message.", system: dict[str, str] | None = None, attributes: dict[str, SqsAttribute] | None = None
) -> SqsMessage:
    message = SqsMessage(
        MessageId="059f36b4-87a3-44ab-83d2-661975830a7d",
        ReceiptHandle="AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        Body=body,
        MD5OfBody="e4e68fb7bd0e697a0ae8f1bb342846b3",
        Attributes=SYSTEM if system is None else system,
    )
    if attributes:
        message["MessageAttributes"] = attributes
        message["MD5OfMessageAttributes"] = "c6"
    return message


def event(message: SqsMessage, shape: SqsShape = SHAPE) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(to_record(message, shape, 0.0).payload)
    return found


# ------------------------------------------------------------------------------------------------------------------------- events


@rule("queue.event.shape")
def test_a_message_is_what_lambda_makes_of_it_key_for_key_and_in_its_order() -> None:
    expected = {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": "Test message.",
        "attributes": {
            "ApproximateReceiveCount": "3",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "awsRegion": "us-east-2",
    }
    assert orjson.dumps(event(raw())) == orjson.dumps(expected)


@rule("queue.event.attributes-are-strings")
def test_a_fifo_message_has_its_group_its_number_and_its_deduplication_id() -> None:
    attributes = event(raw(system=FIFO_SYSTEM))["attributes"]
    assert attributes == FIFO_SYSTEM
    assert list(attributes) == [
        "ApproximateReceiveCount",
        "AWSTraceHeader",
        "SentTimestamp",
        "SequenceNumber",
        "MessageGroupId",
        "SenderId",
        "MessageDeduplicationId",
        "ApproximateFirstReceiveTimestamp",
    ]


@rule("queue.event.attributes-are-strings")
def test_attributes_that_nobody_knows_yet_are_passed_on_and_one_is_not() -> None:
    system = {"SqsManagedSseEnabled": "true", "DeadLetterQueueSourceArn": ARN, **SYSTEM}
    assert event(raw(system=system))["attributes"] == {"DeadLetterQueueSourceArn": ARN, **SYSTEM}


@rule("queue.event.message-attributes")
def test_message_attributes_are_in_another_spelling_and_always_have_both_lists() -> None:
    given: dict[str, SqsAttribute] = {
        "Author": {"DataType": "String", "StringValue": "John Grisham"},
        "WeeksOn": {"DataType": "Number", "StringValue": "6"},
        "Blob": {"DataType": "Binary", "BinaryValue": "AAEC"},
        "Empty": {"DataType": "String.x", "StringValue": ""},
    }
    lists: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
    assert event(raw(attributes=given))["messageAttributes"] == {
        "Author": {"stringValue": "John Grisham", **lists, "dataType": "String"},
        "WeeksOn": {"stringValue": "6", **lists, "dataType": "Number"},
        "Blob": {"binaryValue": "AAEC", **lists, "dataType": "Binary"},
        "Empty": {"stringValue": "", **lists, "dataType": "String.x"},
    }
    assert list(event(raw(attributes=given))["messageAttributes"]["Author"]) == [
        "stringValue",
        "stringListValues",
        "binaryListValues",
        "dataType",
    ]


@rule("queue.event.md5-of-attributes")
@pytest.mark.parametrize("shape", [SHAPE, WINDOWED], ids=["no window", "window"])
def test_the_digest_of_attributes_is_there_where_there_are_attributes(shape: SqsShape) -> None:
    assert event(raw(attributes={"a": {"DataType": "String", "StringValue": "x"}}), shape)["md5OfMessageAttributes"] == "c6"


@rule("queue.event.md5-of-attributes")
def test_without_attributes_it_is_absent_or_with_a_window_null() -> None:
    assert "md5OfMessageAttributes" not in event(raw())
    assert event(raw(), WINDOWED)["md5OfMessageAttributes"] is None


@pytest.mark.parametrize("body", ["", "\u2028 \U0001f600 \x00", '{"a": 1.0}', "'", "\\"])
def test_a_body_is_passed_on_as_it_is(body: str) -> None:
    assert event(raw(body))["body"] == body


def test_a_record_knows_when_it_was_sent_how_often_it_was_received_and_its_group() -> None:
    record = to_record(raw(system=FIFO_SYSTEM), SHAPE, 7.5)
    assert record == Record(
        id="059f36b4-87a3-44ab-83d2-661975830a7d",
        position=BEGINNING,
        arrived_at=1545082649.183,
        payload=record.payload,
        group="1",
        received_at=7.5,
        receipt="AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        receives=3,
    )


def test_a_service_that_tells_no_attributes_is_taken_as_it_is() -> None:
    record = to_record(raw(system={}), SHAPE, 7.5)
    assert (record.arrived_at, record.receives, record.group) == (7.5, 1, "")
    del (bare := raw())["Attributes"]
    assert to_record(bare, SHAPE, 7.5) == record._replace(payload=to_record(bare, SHAPE, 7.5).payload)


@pytest.mark.parametrize(("name", "fifo"), [("q.fifo", True), ("q", False), ("fifo", False)])
def test_a_queue_is_a_fifo_queue_by_its_name(name: str, *, fifo: bool) -> None:
    assert SqsShape(queue_arn=f"arn:aws:sqs:us-east-2:123456789012:{name}", region="us-east-2").fifo is fifo


# ---------------------------------------------------------------------------------------------------------------------- receivers


class Desk:
    """A source of one queue in memory."""

    def __init__(self, name: str = "mails", *bodies: str) -> None:
        self.world = QueueWorld()
        self.trouble = Trouble()
        self.arn = self.world.queue(name)
        self.world.send(self.arn, *bodies)
        self.api = NotedSqs(self.world.clock, self.trouble, queues=self.world.queues).noting()
        shape = SqsShape(queue_arn=self.arn, region="us-east-1")
        self.source = SqsSource(api=self.api, shape=shape, clock=self.world.clock, rng=Random(1))
        self.receiver = self.source.receiver()

    async def receive(self) -> list[str]:
        """The bodies of one receive."""
        return [orjson.loads(one.payload)["body"] for one in await self.receiver.receive(10, 0, 30)]

    @property
    def attempts(self) -> list[str | None]:
        """The attempt ids of all receives."""
        return [receive.attempt_id for _, receive in self.api.receives]


@virtually
async def test_a_receive_is_asked_for_as_it_is_told_and_its_messages_are_received_now() -> None:
    desk = Desk("mails", "a", "b", "c")
    await asyncio.sleep(3)
    some = await desk.receiver.receive(2, 5, 77)
    (asked,) = [receive for _, receive in desk.api.receives]
    assert (asked.limit, asked.wait, asked.visibility, asked.attempt_id) == (2, 5, 77, None)
    assert [(one.received_at, one.arrived_at, one.receives) for one in some] == [(EPOCH + 3, EPOCH, 1)] * 2
    assert len({one.receipt for one in some}) == 2


@rule("queue.poll.fifo-lost-answer")
@virtually
async def test_in_a_fifo_queue_a_lost_answer_is_repeated_by_the_next_receive() -> None:
    desk = Desk("mails.fifo", "a1", "a2", "b1")
    desk.trouble.lose(LOST, "ReceiveMessage")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await desk.receive()
    desk.trouble.heal()
    assert await desk.receive() == ["a1", "a2", "b1"]
    assert await desk.receive() == []
    assert len(set(desk.attempts[:4])) == 1
    assert len(set(desk.attempts)) == 2


@virtually
async def test_in_a_standard_queue_what_a_lost_answer_held_comes_when_its_time_out_ends() -> None:
    desk = Desk("mails", "a")
    desk.trouble.lose(LOST, "ReceiveMessage")
    with pytest.raises(Unavailable):
        await desk.receive()
    desk.trouble.heal()
    assert await desk.receive() == []
    await asyncio.sleep(30)
    assert await desk.receive() == ["a"]
    assert set(desk.attempts) == {None}


@virtually
async def test_an_attempt_is_not_repeated_for_longer_than_the_service_remembers_it() -> None:
    desk = Desk("mails.fifo", "a1")
    desk.trouble.refuse(LOST, "ReceiveMessage")
    for wait in (0, ATTEMPT_LIFE - 1, 2):
        await asyncio.sleep(wait)
        with pytest.raises(Unavailable):
            await desk.receive()
    first, second, third = desk.attempts
    assert first == second != third


@virtually
async def test_receivers_of_one_source_do_not_share_their_attempts() -> None:
    desk = Desk("mails.fifo", "a1", "b1")
    other = desk.source.receiver()
    desk.trouble.lose(LOST, "ReceiveMessage")
    with pytest.raises(Unavailable):
        await desk.receive()
    desk.trouble.heal()
    assert await other.receive(10, 0, 30) == ()
    assert await desk.receive() == ["a1", "b1"]


@virtually
async def test_a_queue_that_is_gone_is_said_to_be_and_its_attempt_is_forgotten() -> None:
    desk = Desk("mails.fifo", "a1")
    desk.world.queues.delete_queue(desk.arn)
    for _ in range(2):
        with pytest.raises(SourceGone):
            await desk.receive()
    assert len(set(desk.attempts)) == 2


class NonsenseSqs(NotedSqs):
    """A service whose messages have no number where one belongs."""

    async def receive_messages(self, queue_arn: str, receive: Any) -> list[SqsMessage]:
        return [raw(system={**SYSTEM, "ApproximateReceiveCount": "many"})]


@virtually
async def test_messages_that_make_no_sense_are_an_answer_that_did_not_come() -> None:
    api = NonsenseSqs(VirtualClock())
    source = SqsSource(api=api, shape=SHAPE, clock=VirtualClock(), rng=Random(1))
    with pytest.raises(Unavailable, match="unusable message") as error:
        await source.receiver().receive(10, 0, 30)
    assert error.value.kind == "server"


# ------------------------------------------------------------------------------------------------------------ deletes, visibility


@virtually
async def test_deletes_and_changes_go_by_receipt_and_tell_which_entries_failed() -> None:
    desk = Desk("mails", "a", "b", "c")
    some = await desk.receiver.receive(10, 0, 30)
    stranger = some[1]._replace(receipt="nonsense")
    assert await desk.source.hide((some[0], stranger), 0) == (EntryFailure(1, gone=True, detail="ReceiptHandleIsInvalid"),)
    assert desk.world.states(desk.arn) == {"a": "visible", "b": "in_flight", "c": "in_flight"}
    assert await desk.source.delete((stranger, some[2])) == (EntryFailure(0, gone=True, detail="ReceiptHandleIsInvalid"),)
    assert desk.world.bodies(desk.arn) == ["a", "b"]


@virtually
async def test_a_queue_is_described_as_it_is() -> None:
    world = QueueWorld()
    arn = world.queue(redrive=4, VisibilityTimeout=77)
    world.send(arn, "a", "b")
    source = SqsSource(api=NotedSqs(world.clock, queues=world.queues), shape=SHAPE, clock=world.clock, rng=Random(1))
    with pytest.raises(SourceGone):
        await source.describe()
    found = await SqsSource(
        api=source.api, shape=SqsShape(queue_arn=arn, region="us-east-1"), clock=world.clock, rng=Random(1)
    ).describe()
    assert (found.visibility_timeout, found.maximum_receive_count, found.visible) == (77, 4, 2)
