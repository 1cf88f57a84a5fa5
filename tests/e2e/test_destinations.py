"""What is given up reaches a URL, a file and another stream; and where it does not, the mapping says what becomes of it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.hostile import hostile, reply

from poller.core.model import ShardId

if TYPE_CHECKING:
    from e2e.scene import Scene

KEPT = {"maximum_retry_attempts": 0, "batch_size": 1}


def given_up(document: dict[str, Any]) -> list[str]:
    """Condition, and the ids of the records in the payload."""
    event = json.loads(document["payload"])
    ids = [json.loads(base64.b64decode(each["kinesis"]["data"]))["id"] for each in event["Records"]]
    return [document["requestContext"]["condition"], *ids]


@pytest.mark.slow
@pytest.mark.rule("stream.destination.http")
@pytest.mark.rule("stream.destination.file")
@pytest.mark.rule("stream.destination.kinesis")
async def test_a_poison_record_reaches_every_kind_and_the_stream_goes_on(scene: Scene) -> None:
    target = await scene.stream(suffix="-failed")
    async with hostile() as server:
        server.then(reply(202))
        kinds = {"url": f"{server.url}/failed", "file": "file:failed.jsonl", "stream": target}
        mappings = []
        for name, destination in kinds.items():
            stream = await scene.stream(suffix=f"-{name}")
            await scene.put(stream, f"{name} poison", do="raise")
            await scene.put(stream, f"{name} behind")
            on_failure = {"destination": destination, "include_payload": True}
            mappings.append(scene.mapping(stream, name=name, destination_config={"on_failure": on_failure}, **KEPT))
        daemon = await scene.running(*mappings)
        await scene.ledger.has(*(f"{name} behind" for name in kinds), daemon=daemon)
        (request,) = server.requests
    (line,) = (scene.folder / "failed.jsonl").read_text().splitlines()
    (record,) = await records_of(scene, target)
    told = {"url": request.json(), "file": json.loads(line), "stream": json.loads(base64.b64decode(record["Data"]))}
    for name, document in told.items():
        assert given_up(document) == ["RetryAttemptsExhausted", f"{name} poison"]
        assert document["KinesisBatchInfo"]["batchSize"] == 1
    now = await daemon.metrics()
    for name, kind in (("url", "http"), ("file", "file"), ("stream", "kinesis")):
        assert now.value("poller_events_sent_to_destination_total", mapping=name, destination=kind) == 1
    assert await daemon.stopped() == 0


async def records_of(scene: Scene, stream: str) -> list[dict[str, Any]]:
    client = scene.streams._client
    asked = {"StreamARN": stream, "ShardId": ShardId("shardId-000000000000"), "ShardIteratorType": "TRIM_HORIZON"}
    iterator = (await client.get_shard_iterator(**asked))["ShardIterator"]
    records: list[dict[str, Any]] = (await client.get_records(ShardIterator=iterator))["Records"]
    return [{**each, "Data": base64.b64encode(each["Data"])} for each in records]


@pytest.mark.slow
@pytest.mark.rule("stream.discard.delivery-may-drop")
async def test_a_destination_that_refuses_may_be_told_to_drop(scene: Scene) -> None:
    stream = await scene.stream()
    await scene.put(stream, "poison", do="raise")
    await scene.put(stream, "behind")
    async with hostile() as server:
        server.then(reply(500, b"out of order"))
        on_failure = {"destination": server.url}
        mapping = scene.mapping(stream, on_destination_error="drop", destination_config={"on_failure": on_failure}, **KEPT)
        daemon = await scene.running(mapping)
        await scene.ledger.has("behind", daemon=daemon)
        assert len(server.requests) == 3
    [line] = daemon.lines("dropped")
    assert "HTTP 500 Whatever: out of order" in line["error"]
    assert (await daemon.metrics()).value("poller_events_dropped_total", mapping="orders", reason="max_retries") == 1
    assert await daemon.stopped() == 0
