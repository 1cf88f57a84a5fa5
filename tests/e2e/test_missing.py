"""What the mapping names is not there, or not what it was: it says so, harms nobody, and goes on when it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon


async def test_a_missing_stream_is_named_and_read_as_soon_as_it_exists(scene: Scene) -> None:
    healthy = await scene.stream(suffix="-healthy")
    missing = healthy.replace("-healthy", "-late")
    daemon = scene.start(
        scene.configure(scene.mapping(missing, name="late"), scene.mapping(healthy), functions={"orders": scene.function()})
    )

    [line] = await daemon.logged("failing", mapping="late")
    assert line["kind"] == "SourceGone"
    assert missing in line["error"]
    assert "check that it exists" in line["error"]
    await _others_run(scene, daemon, healthy)
    now = await daemon.metrics()
    assert now.value("poller_mapping_state", mapping="late", state="Enabled") == 0
    assert now.value("poller_mapping_state", mapping="late", state="Creating") == 1

    await scene.stream(suffix="-late")
    await scene.put(missing, "late")
    await scene.ledger.has("late", daemon=daemon)
    now = await daemon.metrics()
    assert now.value("poller_mapping_state", mapping="late", state="Enabled") == 1
    assert await daemon.stopped() == 0


@pytest.mark.slow
@pytest.mark.rule("stream.start.other-stream-is-refused")
async def test_a_stream_that_was_deleted_and_made_again_is_refused_with_a_message_that_says_what_to_do(scene: Scene) -> None:
    stream, healthy = await scene.stream(), await scene.stream(suffix="-healthy")
    before = await scene.running(scene.mapping(stream))
    await scene.put(stream, "of the first stream")
    await scene.ledger.has("of the first stream", daemon=before)
    assert await before.stopped() == 0
    first = await scene.streams.created_at(stream)
    await scene.streams.delete(stream)
    await scene.streams.make_anew(stream, than=first)
    await scene.put(stream, "of the second stream")

    daemon = scene.start(scene.configure(scene.mapping(stream), scene.mapping(healthy, name="other")))
    [line] = await daemon.logged("failing", mapping="orders")
    assert line["kind"] == "CheckpointMismatch"
    assert f"{stream} was deleted and made again" in line["error"]
    assert "another name or `uuid`" in line["error"]
    await _others_run(scene, daemon, healthy)
    now = await daemon.metrics()
    assert now.value("poller_mapping_state", mapping="orders", state="Enabled") == 0
    assert now.value("poller_mapping_state", mapping="other", state="Enabled") == 1
    assert await daemon.stopped() == 0
    assert "of the second stream" not in scene.ledger.ids

    renamed = await scene.running(scene.mapping(stream, name="orders-2"))
    await scene.ledger.has("of the second stream", daemon=renamed)


@pytest.mark.slow
@pytest.mark.rule("stream.start.other-stream-is-refused")
async def test_a_stream_that_is_deleted_and_made_again_under_a_running_daemon_is_refused_too(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))
    await scene.put(stream, "of the first stream")
    await scene.ledger.has("of the first stream", daemon=daemon)

    first = await scene.streams.created_at(stream)
    await scene.streams.delete(stream)
    await daemon.logged("failing", kind="SourceGone")
    await scene.streams.make_anew(stream, than=first)
    await scene.put(stream, "of the second stream")

    [line] = await daemon.logged("failing", kind="CheckpointMismatch")
    assert f"{stream} was deleted and made again" in line["error"]
    assert (await daemon.get("/livez"))[0] == 200
    assert await daemon.stopped() == 0
    assert scene.ledger.ids == ["of the first stream"]


@pytest.mark.slow
@pytest.mark.rule("stream.start.other-stream-is-refused")
async def test_a_mapping_that_was_pointed_at_another_stream_is_refused(scene: Scene) -> None:
    stream, another = await scene.stream(), await scene.stream(suffix="-another")
    before = await scene.running(scene.mapping(stream))
    assert await before.stopped() == 0
    await scene.put(another, "of another stream")

    daemon = scene.start(scene.configure(scene.mapping(another)))
    [line] = await daemon.logged("failing", mapping="orders")
    assert line["kind"] == "CheckpointMismatch"
    assert stream in line["error"]
    assert another in line["error"]
    assert await daemon.stopped() == 0
    assert scene.ledger.ids == []


@pytest.mark.rule("stream.discard.delivery-is-retried")
async def test_a_missing_queue_keeps_the_records_and_gets_them_when_it_exists(scene: Scene) -> None:
    stream = await scene.stream()
    queue = f"arn:aws:sqs:us-east-1:000000000000:{scene.name}"
    await scene.put(stream, "poison", do="raise")
    await scene.put(stream, "behind")
    mapping = scene.mapping(
        stream, batch_size=1, maximum_retry_attempts=0, destination_config={"on_failure": {"destination": queue}}
    )
    daemon = await scene.running(mapping)

    labels = {"mapping": "orders", "destination": "sqs"}
    await daemon.measured(lambda now: now.value("poller_destination_errors_total", **labels) >= 2, "it is tried again")
    [line] = daemon.lines("undeliverable")
    assert queue in line["error"]
    assert scene.ledger.ids == ["poison"], "the shard waits"
    await scene.queue()

    assert len(await scene.queues.take(queue, 1)) == 1
    await scene.ledger.has("behind", daemon=daemon)
    assert scene.ledger.ids == ["poison", "behind"], "the function is not asked again"
    now = await daemon.metrics()
    assert now.value("poller_events_sent_to_destination_total", **labels) == 1
    assert now.value("poller_events_dropped_total") == 0
    assert await daemon.stopped() == 0


async def _others_run(scene: Scene, daemon: Daemon, healthy: str) -> None:
    await scene.put(healthy, "healthy")
    await scene.ledger.has("healthy", daemon=daemon)
    assert (await daemon.get("/livez"))[0] == 200
