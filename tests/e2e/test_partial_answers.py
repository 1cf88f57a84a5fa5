"""Partial answers, and the document at the end of them, key for key."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from e2e.scene import Scene

MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.slow
@pytest.mark.rule("stream.partial.lowest-wins")
@pytest.mark.rule("stream.retry.fresh-budget-after-partial")
@pytest.mark.rule("stream.retry.request-id")
@pytest.mark.rule("stream.partial.whole-batch-spends")
@pytest.mark.rule("stream.discard.document")
@pytest.mark.rule("stream.discard.invoke-count")
@pytest.mark.rule("stream.discard.reported")
@pytest.mark.rule("stream.discard.function-arn")
@pytest.mark.rule("stream.discard.arrival-times")
async def test_the_last_of_six_records_always_reported_is_tried_alone_four_times_and_then_told(scene: Scene) -> None:
    stream, queue = await scene.stream(), await scene.queue()
    await scene.put(stream, 1, 2, 3, 4, 5)
    [(shard, sequence)] = await scene.put(stream, 6, do="report")
    destination = {"on_failure": {"destination": queue}}
    daemon = await scene.running(scene.mapping(stream, batch_size=3, maximum_retry_attempts=3, destination_config=destination))

    [body] = await scene.queues.take(queue, 1)

    assert scene.ledger.batches == [[1, 2, 3], [4, 5, 6], [6], [6], [6], [6]]
    alone = [entry for entry in scene.ledger.entries if entry["id"] == 6][1:]
    [request_id] = {entry["request_id"] for entry in alone}
    assert request_id not in {entry["request_id"] for entry in scene.ledger.entries if entry["id"] == 5}
    arrived = alone[0]["record"]["kinesis"]["approximateArrivalTimestamp"]
    assert await daemon.stopped() == 0
    document = json.loads(body)
    assert MILLISECONDS.fullmatch(document["timestamp"])
    assert UUID.fullmatch(request_id)
    assert json.dumps(document) == json.dumps({  # as text, so that the order of the keys counts too
        "requestContext": {
            "requestId": request_id,
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:orders",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 4,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None},
        "version": "1.0",
        "timestamp": document["timestamp"],
        "KinesisBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": sequence,
            "endSequenceNumber": sequence,
            "approximateArrivalOfFirstRecord": _milliseconds(arrived),
            "approximateArrivalOfLastRecord": _milliseconds(arrived),
            "batchSize": 1,
            "streamArn": stream,
        },
    })  # fmt: skip


@pytest.mark.rule("kinesis.event.shape")
@pytest.mark.rule("kinesis.event.data")
@pytest.mark.rule("kinesis.event.arrival-time")
@pytest.mark.rule("kinesis.event.id")
@pytest.mark.rule("kinesis.event.encryption-type")
@pytest.mark.rule("kinesis.event.source")
async def test_a_handler_sees_a_record_as_lambda_shows_it(either_scene: Scene) -> None:
    scene = either_scene
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))

    [(shard, sequence)] = await scene.put(stream, "one", key='a "key"')
    await scene.ledger.has("one", daemon=daemon)

    [entry] = scene.ledger.entries
    record: dict[str, Any] = entry["record"]
    arrived = record["kinesis"]["approximateArrivalTimestamp"]
    assert isinstance(arrived, float)
    assert round(arrived, 3) == arrived
    assert abs(arrived - entry["at"]) < 60
    assert json.dumps(record) == json.dumps({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": 'a "key"',
            "sequenceNumber": sequence,
            "data": "eyJpZCI6ICJvbmUifQ==",
            "approximateArrivalTimestamp": arrived,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard}:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:lambda:us-east-1:000000000000:function:orders",
        "awsRegion": "us-east-1",
        "eventSourceARN": stream,
    })  # fmt: skip
    assert await daemon.stopped() == 0


def _milliseconds(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
