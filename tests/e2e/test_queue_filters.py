"""Filter criteria: what is not wanted is done with, and no function has ever seen it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.scene import Fields, Scene


def _filter(*patterns: object) -> Fields:
    return {"filter_criteria": {"filters": [{"pattern": json.dumps(pattern)} for pattern in patterns]}}


@pytest.mark.slow
@pytest.mark.rule("filter.unwanted-is-done")
@pytest.mark.rule("filter.sqs.body")
@pytest.mark.rule("filter.fields-together")
async def test_messages_that_are_not_wanted_are_deleted_and_never_seen(scene: Scene) -> None:
    """Also texts, and JSON that is no object, where the pattern is for an object."""
    queue, dead_letters = await scene.redriven(1)
    await scene.send(queue, "wanted 1", "wanted 2", kind="order", total=100)
    await scene.send(queue, "too small", kind="order", total=9)
    await scene.send(queue, "of another kind", kind="refund", total=100)
    await scene.queues.send_many(queue, ["a text", '["order"]'])
    await scene.send(queue, "wanted 3", kind="order", total=10)
    wanted = _filter({"body": {"kind": ["order"], "total": [{"numeric": [">=", 10]}]}})
    daemon = await scene.running(scene.queue_mapping(queue, **wanted))

    now = await daemon.measured(lambda now: now.value("poller_events_deleted_total", mapping="orders") == 7, "all are deleted")

    assert sorted(scene.ledger.ids) == ["wanted 1", "wanted 2", "wanted 3"]
    assert now.value("poller_events_polled_total", mapping="orders") == 7
    assert now.value("poller_events_filtered_total", mapping="orders") == 4
    assert now.value("poller_events_invoked_total", mapping="orders") == 3
    assert await scene.queues.depth(queue) == await scene.queues.depth(dead_letters) == 0
    assert await daemon.stopped() == 0


@pytest.mark.slow
@pytest.mark.rule("filter.patterns-are-alternatives")
@pytest.mark.rule("filter.sqs.body")
@pytest.mark.rule("filter.sqs.metadata")
@pytest.mark.rule("filter.metadata-alone")
async def test_a_message_is_wanted_for_its_text_or_for_its_attributes(scene: Scene) -> None:
    """JSON is no text: where the pattern is for texts it is not wanted."""
    queue = await scene.queue()
    await scene.queues.send_many(queue, ["wanted", "unwanted", '"wanted"', '{"wanted": 1}'])
    for region in ("eu", "us"):
        await scene.queues.send(queue, region, {"region": {"DataType": "String", "StringValue": region}})
    patterns = {"body": ["wanted"]}, {"messageAttributes": {"region": {"stringValue": [{"prefix": "e"}]}}}
    daemon = await scene.running(scene.queue_mapping(queue, **_filter(*patterns)))

    now = await daemon.measured(lambda now: now.value("poller_events_deleted_total", mapping="orders") == 6, "all are deleted")

    assert sorted(scene.ledger.ids) == ["eu", "wanted"]
    assert now.value("poller_events_filtered_total", mapping="orders") == 4
    assert await daemon.stopped() == 0


@pytest.mark.rule("filter.unwanted-is-done")
@pytest.mark.rule("filter.kinesis.data")
async def test_the_checkpoint_passes_records_that_are_not_wanted(scene: Scene) -> None:
    """What comes behind the last wanted record is passed too: without the filter it is not read again."""
    stream = await scene.stream()
    for kind in ("refund", "order", "refund", "order", "refund"):
        await scene.put(stream, kind, kind=kind)
    await scene.streams.put_many(stream, [("key", b"no JSON")])
    daemon = await scene.running(scene.mapping(stream, **_filter({"data": {"kind": ["order"]}})))

    await scene.ledger.has("order", daemon=daemon)
    now = await daemon.measured(lambda now: now.value("poller_events_filtered_total", mapping="orders") == 4, "all are read")

    assert now.value("poller_events_invoked_total", mapping="orders") == 2
    assert await daemon.stopped() == 0
    heir = await scene.running(scene.mapping(stream))
    await scene.put(stream, "new")
    await scene.ledger.has("new", daemon=heir)
    assert await heir.stopped() == 0
    assert scene.ledger.ids == ["order", "order", "new"]
