"""The failure destination SQS: of a stream it gets documents, of a queue the messages themselves."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from support.build import record
from support.doubles import Trouble
from support.queueing import message, messages
from support.stage import MAPPING, SHARD, virtually
from support.virtual import VirtualClock

from poller.apis.memory_sqs import MemorySqs
from poller.core.envelope import envelope
from poller.core.report import FailureReport, MessageReport
from poller.destinations.sqs import SqsDestination
from poller.errors import SourceGone, Unavailable
from poller.services import Receive

rule = pytest.mark.rule

DOCUMENT = {"requestContext": {"requestId": "r1", "condition": "RetryAttemptsExhausted"}, "version": "1.0", "ü": "\u2028"}
REPORT = FailureReport(mapping=MAPPING, shard=SHARD, at=0.0, document=DOCUMENT, records=())


@virtually
async def test_the_document_is_the_body_keys_in_order() -> None:
    api = MemorySqs(VirtualClock())
    queue = api.queues.create_queue("dead-letters")
    destination = SqsDestination(api=api, queue_arn=queue)
    await destination.send(REPORT)
    (message,) = api.queues.messages(queue)
    assert orjson.loads(message.body) == DOCUMENT
    assert list(orjson.loads(message.body)) == list(DOCUMENT)
    assert destination.kind == "sqs"


@rule("stream.destination.payload")
@pytest.mark.parametrize("size", [10, 2_000_000])
@virtually
async def test_a_document_holds_the_event_where_that_is_wanted_and_its_size_where_it_is_too_much(size: int) -> None:
    api = MemorySqs(VirtualClock())
    queue = api.queues.create_queue("dead-letters")
    given_up = (record(1, payload=orjson.dumps({"data": "x" * size})),)
    report = replace(REPORT, records=given_up)
    shortened = await SqsDestination(api=api, queue_arn=queue, include_payload=True).send(report)
    (message,) = api.queues.messages(queue)
    told = orjson.loads(message.body)
    whole = envelope(given_up).decode()
    if size == 10:
        assert (told, shortened) == ({**DOCUMENT, "payload": whole}, None)
    else:
        assert told == {**DOCUMENT, "payload": None, "payloadSize": len(whole)}
        assert shortened is not None


@rule("queue.redrive.unchanged")
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {
            "Author": {"DataType": "String", "StringValue": "J\u00fcrgen"},
            "Blob": {"DataType": "Binary.png", "BinaryValue": "AAEC/w=="},
        },
    ],
    ids=["plain", "with attributes"],
)
@virtually
async def test_a_message_of_a_queue_is_sent_as_it_was(attributes: dict[str, dict[str, str]]) -> None:
    api = MemorySqs(VirtualClock())
    queue = api.queues.create_queue("dead-letters")
    report = MessageReport(mapping=MAPPING, at=0.0, body='{"a":  1.50}', attributes=attributes, records=messages(1))
    await SqsDestination(api=api, queue_arn=queue).send(report)
    (message,) = api.queues.messages(queue)
    assert (message.body, message.attributes) == ('{"a":  1.50}', attributes)


@virtually
async def test_it_tries_once_and_says_what_went_wrong() -> None:
    trouble = Trouble()
    api = MemorySqs(VirtualClock(), trouble)
    destination = SqsDestination(api=api, queue_arn=api.queues.create_queue("dead-letters"))
    trouble.refuse(Unavailable("SendMessage", "throttled"), "SendMessage")
    with pytest.raises(Unavailable):
        await destination.send(REPORT)
    assert len(trouble.calls["SendMessage"]) == 1


@virtually
async def test_a_queue_that_does_not_exist_is_said_to_be_gone() -> None:
    destination = SqsDestination(api=MemorySqs(VirtualClock()), queue_arn="arn:aws:sqs:us-east-1:000000000000:nowhere")
    with pytest.raises(SourceGone, match="nowhere"):
        await destination.send(REPORT)


@rule("queue.redrive.unchanged")
@virtually
async def test_a_message_of_a_fifo_queue_keeps_its_group_and_its_deduplication_id_in_another() -> None:
    api = MemorySqs(VirtualClock())
    queue = api.queues.create_queue("dead-letters.fifo")
    one = message(1, "a")
    report = MessageReport(mapping=MAPPING, at=0.0, body="x", attributes={}, records=(one,), deduplication="d1")
    for _ in range(2):  # its answer was lost
        await SqsDestination(api=api, queue_arn=queue).send(report)
    (found,) = await api.receive_messages(queue, Receive(limit=10, wait=0, visibility=30))
    assert found["Attributes"]["MessageGroupId"] == "a"
    assert found["Attributes"]["MessageDeduplicationId"] == "d1"
