"""A queue that is not there: it is named, the others run, and it is read as soon as it exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.scene import Scene


async def test_a_missing_queue_is_named_and_read_as_soon_as_it_exists(scene: Scene) -> None:
    healthy = await scene.queue("-healthy")
    missing = healthy.replace("-healthy", "-late")
    daemon = scene.start(scene.configure(scene.queue_mapping(missing, name="late"), scene.queue_mapping(healthy)))

    [line] = await daemon.logged("failing", mapping="late")
    assert line["kind"] == "SourceGone"
    assert missing in line["error"]
    assert "check that it exists" in line["error"]
    await scene.send(healthy, "healthy")
    await scene.ledger.has("healthy", daemon=daemon)
    now = await daemon.metrics()
    assert now.value("poller_mapping_state", mapping="late", state="Enabled") == 0
    assert now.value("poller_mapping_state", mapping="late", state="Creating") == 1
    assert (await daemon.get("/livez"))[0] == 200

    await scene.queue("-late")
    await scene.send(missing, "late")
    await scene.ledger.has("late", daemon=daemon)
    now = await daemon.metrics()
    assert now.value("poller_mapping_state", mapping="late", state="Enabled") == 1
    assert await daemon.stopped() == 0


@pytest.mark.slow
async def test_a_queue_that_is_deleted_under_a_running_daemon_is_read_again_once_it_is_made_anew(scene: Scene) -> None:
    queue, other = await scene.queue(), await scene.queue("-other")
    daemon = await scene.running(scene.queue_mapping(queue), scene.queue_mapping(other, name="other"))
    await scene.send(queue, "before")
    await scene.ledger.has("before", daemon=daemon)

    await scene.queues.delete(queue)
    [line, *_] = await daemon.logged("failing", mapping="orders")
    assert line["kind"] == "SourceGone"
    assert queue in line["error"]
    await scene.send(other, "meanwhile")
    await scene.ledger.has("meanwhile", daemon=daemon)
    await scene.queue()
    await scene.send(queue, "after")

    await scene.ledger.has("after", daemon=daemon)
    assert scene.ledger.ids == ["before", "meanwhile", "after"]
    assert await daemon.stopped() == 0
