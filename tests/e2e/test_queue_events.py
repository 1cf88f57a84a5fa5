"""What a handler sees of a message, key for key, and what the daemon's pages and log say of it."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import ACCOUNT

if TYPE_CHECKING:
    from e2e.scene import Scene

    from poller.services import SqsAttribute

ATTRIBUTES: dict[str, SqsAttribute] = {
    "Author": {"DataType": "String", "StringValue": "Jürgen"},
    "Weeks.On": {"DataType": "Number", "StringValue": "6.50"},
    "Blob": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
}

MILLISECONDS = re.compile(r"\d{13}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.mark.rule("queue.event.shape")
@pytest.mark.rule("queue.event.attributes-are-strings")
@pytest.mark.rule("queue.event.message-attributes")
@pytest.mark.rule("queue.event.md5-of-attributes")
async def test_a_handler_sees_a_message_as_lambda_shows_it(scene: Scene) -> None:
    queue = await scene.queue()
    body = 'a "text",\nno JSON \N{PILE OF POO}'
    sent = await scene.queues.send(queue, body, ATTRIBUTES)
    daemon = await scene.running(scene.queue_mapping(queue))

    await scene.ledger.has(body, daemon=daemon)

    [record] = [entry["record"] for entry in scene.ledger.entries]
    lists: dict[str, list[str]] = {"stringListValues": [], "binaryListValues": []}
    assert record["messageId"] == sent
    assert _text(record) == json.dumps({  # as text, so that the order of the keys counts too
        "messageId": sent,
        "receiptHandle": record["receiptHandle"],
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": record["attributes"]["SentTimestamp"],
            "SenderId": ACCOUNT,
            "ApproximateFirstReceiveTimestamp": record["attributes"]["ApproximateFirstReceiveTimestamp"],
        },
        "messageAttributes": {  # in the order of their names: the service keeps none
            "Author": {"stringValue": "Jürgen", **lists, "dataType": "String"},
            "Blob": {"binaryValue": "AAEC/w==", **lists, "dataType": "Binary"},
            "Weeks.On": {"stringValue": "6.50", **lists, "dataType": "Number"},
        },
        "md5OfMessageAttributes": _digest_of_attributes(),
        "md5OfBody": hashlib.md5(body.encode()).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": "us-east-1",
    })  # fmt: skip
    _check_times(record)
    assert await daemon.stopped() == 0


@pytest.mark.rule("queue.event.shape")
@pytest.mark.rule("queue.event.attributes-are-strings")
@pytest.mark.rule("queue.event.md5-of-attributes")
async def test_a_handler_sees_a_message_of_a_fifo_queue_with_its_group_and_place(scene: Scene) -> None:
    queue = await scene.queue(".fifo")
    sent = await scene.queues.send(queue, "one", group="a group", deduplication="only once")
    daemon = await scene.running(scene.queue_mapping(queue))

    await scene.ledger.has("one", daemon=daemon)

    [record] = [entry["record"] for entry in scene.ledger.entries]
    attributes = record["attributes"]
    assert attributes["SequenceNumber"].isdecimal()
    assert _text(record) == json.dumps({
        "messageId": sent,
        "receiptHandle": record["receiptHandle"],
        "body": "one",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": attributes["SentTimestamp"],
            "SequenceNumber": attributes["SequenceNumber"],
            "MessageGroupId": "a group",
            "SenderId": ACCOUNT,
            "MessageDeduplicationId": "only once",
            "ApproximateFirstReceiveTimestamp": attributes["ApproximateFirstReceiveTimestamp"],
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(b"one").hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": "us-east-1",
    })  # fmt: skip
    _check_times(record)
    assert await daemon.stopped() == 0


@pytest.mark.rule("queue.batch.count")
@pytest.mark.rule("queue.event.md5-of-attributes")
async def test_with_a_window_a_batch_is_several_receives_and_a_digest_that_is_not_there_is_null(scene: Scene) -> None:
    queue = await scene.queue()
    await scene.send(queue, *range(25))
    mapping = scene.queue_mapping(queue, batch_size=25, maximum_batching_window_in_seconds=60)
    daemon = await scene.running(mapping, functions={"orders": scene.function({"maximum_concurrency": 1})})

    await scene.ledger.has(*range(25), daemon=daemon)

    assert len(scene.ledger.batches) == 1, "full before its window ends"
    for entry in scene.ledger.entries:
        assert entry["record"]["md5OfMessageAttributes"] is None
        assert list(entry["record"]).index("md5OfMessageAttributes") == list(entry["record"]).index("md5OfBody") - 1
    assert await daemon.stopped() == 0


async def test_the_pages_and_the_log_tell_of_a_queue(scene: Scene) -> None:
    queue = await scene.queue(MessageRetentionPeriod="3600")
    await scene.queues.send_many(queue, ["behind"] * 3)
    [first, *_] = [await scene.queues.send(queue, f'{{"id": {number}, "do": "report", "times": 1}}') for number in range(2)]
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once"))
    await scene.emptied(queue)

    now = await daemon.measured(lambda now: now.value("poller_events_deleted_total", mapping="orders") == 5, "all is deleted")

    def value(name: str, **labels: str) -> float:
        return now.value(f"poller_{name}", mapping="orders", **labels)

    assert value("events_polled_total") == value("events_invoked_total") == 7
    assert value("events_redelivered_total") == value("events_failed_total", reason="batch_item") == 2
    assert value("polls_total", outcome="records") >= 2
    assert value("polls_total", outcome="error") == 0
    assert value("polled_bytes_total") > 7 * 300
    assert value("invocations_total", outcome="partial") >= 1
    assert value("source_retention_seconds") == 3600
    assert value("pollers") >= 1
    assert value("visibility_extensions_total") == value("buffered_bytes") == 0
    assert value("queue_messages", state="visible") == 5, "before the first receive; it is asked every minute"
    assert value("queue_messages", state="in_flight") == value("queue_messages", state="delayed") == 0
    assert value("mapping_info", source_type="sqs", source=scene.name, function="orders") == 1
    assert not now.has("poller_iterator_age_seconds", mapping="orders")
    assert all(line["slot"] in {"0", "1", "2", "3", "4"} for line in daemon.lines("batch"))
    [again, *_] = daemon.lines("batch", first_message=first, receives=2)
    assert (again["outcome"], again["mapping"]) == ("success", "orders")
    assert UUID.fullmatch(again["last_message"])
    assert await daemon.stopped() == 0


def _text(record: dict[str, Any]) -> str:
    """With its attributes in the order of their names."""
    return json.dumps(record | {"messageAttributes": dict(sorted(record["messageAttributes"].items()))})


def _check_times(record: dict[str, Any]) -> None:
    """Unix time in milliseconds, as text."""
    sent, received = (record["attributes"][name] for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"))
    assert MILLISECONDS.fullmatch(sent)
    assert MILLISECONDS.fullmatch(received)
    assert int(sent) <= int(received) < int(sent) + 60_000


def _digest_of_attributes() -> str:
    """By SQS's developer guide: in the order of names, each name, type and value with its length before it."""
    digest = hashlib.md5()
    for name, given in sorted(ATTRIBUTES.items()):
        binary = "BinaryValue" in given
        value = b"\0\1\2\xff" if binary else given["StringValue"].encode()
        parts = [name.encode(), given["DataType"].encode(), value]
        lengths = [struct.pack(">I", len(part)) for part in parts]
        digest.update(lengths[0] + parts[0] + lengths[1] + parts[1] + (b"\2" if binary else b"\1") + lengths[2] + parts[2])
    return digest.hexdigest()
