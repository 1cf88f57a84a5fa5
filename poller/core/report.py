"""The document that a failure destination receives, key for key and in Lambda's order.

Source: AWS Lambda developer guide, "Retaining discarded batches", and recordings. `responseContext` tells of the last invocation:
it is absent where the records expired or the event was too large, and its `functionError` is null where the function
*reported* the failure instead of raising.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import orjson

from poller.core.envelope import TAIL, envelope
from poller.core.model import Failed, MappingId, Partial, Record, ShardId, sequence_number
from poller.core.windows import info, tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.core.model import Discard


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What a document says of the mapping that gave up.

    Attributes:
        mapping: its UUID.
        stream_arn: what it reads.
        function_arn: its function, as configured.
        batch_info: the key of the last section, `KinesisBatchInfo`.
        seconds_only: arrival times without milliseconds, as DynamoDB's are.
    """

    mapping: MappingId
    stream_arn: str
    function_arn: str
    batch_info: str = "KinesisBatchInfo"
    seconds_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """One discarded batch on its way to a destination.

    Attributes:
        mapping: the UUID of the mapping that gave it up.
        shard: where it came from.
        at: when it was given up, Unix seconds.
        document: Lambda's document, JSON-ready.
        records: the records, for destinations that carry the payload.
        tail: what followed them in the event.
    """

    mapping: MappingId
    shard: ShardId
    at: float
    document: Mapping[str, object]
    records: tuple[Record, ...]
    tail: bytes = TAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReport:
    """One given up message of a queue on its way to a destination, as its sender wrote it.

    Attributes:
        mapping: the UUID of the mapping that gave it up.
        at: when it was given up, Unix seconds.
        body: unchanged.
        attributes: its message attributes as SQS spells them, unchanged; binary values are base64.
        records: the message.
        source: the name of its queue.
        deduplication: its MessageDeduplicationId; empty outside of FIFO queues, as the group of its record.
        document: what a destination is told that takes documents: Lambda's for other sources, as far as it makes sense.
    """

    mapping: MappingId
    at: float
    body: str
    attributes: Mapping[str, Mapping[str, str]]
    records: tuple[Record, ...]
    source: str = ""
    deduplication: str = ""
    document: Mapping[str, object] = field(default_factory=dict)


Report = FailureReport | MessageReport
"""What a destination takes."""


def message_report(mapping: MappingId, discard: Discard, at: float) -> MessageReport:
    """The report of one message that a queue mapping gave up. `at` is in Unix seconds."""
    (record,) = discard.records
    event = orjson.loads(record.payload)
    attributes = {name: _as_sent(given) for name, given in event["messageAttributes"].items()}
    arn = str(event.get("eventSourceARN", ""))
    return MessageReport(
        mapping=mapping,
        at=at,
        body=event["body"],
        attributes=attributes,
        records=discard.records,
        source=arn.rpartition(":")[2],
        deduplication=event.get("attributes", {}).get("MessageDeduplicationId", ""),
        document=_of_message(discard, at, arn),
    )


def _of_message(discard: Discard, at: float, queue_arn: str) -> dict[str, object]:
    (record,) = discard.records
    document: dict[str, object] = {
        "requestContext": {
            "requestId": discard.attempt.request_id,
            "condition": discard.reason,
            "approximateInvokeCount": discard.invoke_count,
        }
    }
    if (response := _response_context(discard)) is not None:
        document["responseContext"] = response
    info = {"messageId": record.id, "approximateReceiveCount": record.receives, "queueArn": queue_arn}
    return document | {"version": "1.0", "timestamp": iso(at), "SqsMessageInfo": info}


class Shortened(NamedTuple):
    """A destination did not take a report with its payload, and has it without; `size` of the payload, in bytes."""

    size: int


def document(report: Report, *, payload: bool) -> bytes:
    """What a destination is told, as JSON; with `payload` also the event that was given up, as the text that it was."""
    return orjson.dumps({**report.document, "payload": _payload(report).decode()} if payload else dict(report.document))


def shortened(report: Report) -> tuple[bytes, Shortened]:
    """The same where the payload is more than the destination takes: it is null, and its size is told."""
    size = len(_payload(report))
    return orjson.dumps({**report.document, "payload": None, "payloadSize": size}), Shortened(size)


def _payload(report: Report) -> bytes:
    return envelope(report.records, report.tail if isinstance(report, FailureReport) else TAIL)


def place_of(report: Report) -> str:
    """Where it comes from: a shard, or the name of a queue."""
    return report.shard if isinstance(report, FailureReport) else report.source


def _as_sent(attribute: Mapping[str, object]) -> dict[str, str]:
    """A message attribute from the spelling of events to that of SQS, without the lists that nothing can fill."""
    names = {"dataType": "DataType", "stringValue": "StringValue", "binaryValue": "BinaryValue"}
    return {names[key]: str(value) for key, value in attribute.items() if key in names}


def stream_report(facts: StreamFacts, shard: ShardId, discard: Discard, at: float) -> FailureReport:
    """The report of records that a stream mapping gave up. `at` is in Unix seconds."""
    document: dict[str, object] = {"requestContext": _request_context(facts, discard)}
    if (response := _response_context(discard)) is not None:
        document["responseContext"] = response
    document["version"] = "1.0"
    document["timestamp"] = iso(at)
    document[facts.batch_info] = _batch_info(facts, shard, discard.records)
    report = FailureReport(mapping=facts.mapping, shard=shard, at=at, document=document, records=discard.records)
    if (window := discard.attempt.window) is None:
        return report
    document["timeWindowInfo"] = info(window)
    return replace(report, tail=tail(window, shard, facts.stream_arn))


def iso(at: float, *, seconds_only: bool = False) -> str:
    """`2019-11-14T00:38:06.021Z`, or without the milliseconds. Milliseconds are rounded, seconds are cut."""
    if seconds_only:
        return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole, milliseconds = divmod(round(at * 1000), 1000)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{milliseconds:03d}Z"


def _request_context(facts: StreamFacts, discard: Discard) -> dict[str, object]:
    return {
        "requestId": discard.attempt.request_id,
        "functionArn": facts.function_arn,
        "condition": discard.reason,
        "approximateInvokeCount": discard.invoke_count,
    }


def _response_context(discard: Discard) -> dict[str, object] | None:
    match discard.outcome:
        case Partial() | Failed(kind="batch_item"):
            error = None
        case Failed(kind="function_error" | "timeout" | "crash" | "oom"):
            error = "Unhandled"
        case _:
            return None
    return {"statusCode": 200, "executedVersion": "$LATEST", "functionError": error}


def _batch_info(facts: StreamFacts, shard: ShardId, records: tuple[Record, ...]) -> dict[str, object]:
    if not records:  # the invocation that closes a window
        return {"shardId": shard, "streamArn": facts.stream_arn}
    first, last = records[0], records[-1]
    return {
        "shardId": shard,
        "startSequenceNumber": sequence_number(first.position),
        "endSequenceNumber": sequence_number(last.position),
        "approximateArrivalOfFirstRecord": iso(first.arrived_at, seconds_only=facts.seconds_only),
        "approximateArrivalOfLastRecord": iso(last.arrived_at, seconds_only=facts.seconds_only),
        "batchSize": len(records),
        "streamArn": facts.stream_arn,
    }
