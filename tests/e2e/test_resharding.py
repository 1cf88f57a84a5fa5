"""A stream that is split and merged while it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e.scene import keys_of_shards

if TYPE_CHECKING:
    from e2e.scene import Scene

FIRST, SECOND, LEFT, RIGHT = (f"shardId-{number:012d}" for number in range(4))


@pytest.mark.slow
@pytest.mark.rule("stream.shards.relist")
@pytest.mark.rule("stream.shards.parent-before-child")
@pytest.mark.rule("stream.start.new-shards-from-their-beginning")
async def test_the_children_of_a_split_shard_are_read_once_it_is_done_with(local_scene: Scene) -> None:
    scene = local_scene
    stream = await scene.stream(shards=2)
    left, right, unsplit = [keys[0] for keys in keys_of_shards(4)][:3]
    await scene.put(stream, "before the mapping", key=left)
    daemon = await scene.running(scene.mapping(stream, starting_position="LATEST"))
    await scene.put(stream, "parent's last", key=left, do="hold")
    await scene.ledger.has("parent's last", daemon=daemon)

    await scene.streams.split(stream, FIRST)
    await scene.put(stream, "left", key=left)
    await scene.put(stream, "right", key=right)
    await scene.put(stream, "unsplit", key=unsplit)
    await scene.ledger.has("unsplit", daemon=daemon)
    assert scene.ledger.ids == ["parent's last", "unsplit"], "children wait while a record of their parent is open"
    scene.gate.touch()

    await scene.ledger.has("left", "right", daemon=daemon)
    now = await daemon.metrics()
    assert now.value("poller_shards", mapping="orders", state="open") == 3
    assert now.value("poller_shards", mapping="orders", state="finished") == 1
    assert await daemon.stopped() == 0
    heir = await scene.running(scene.mapping(stream, starting_position="LATEST"))
    await scene.put(stream, "after the restart", key=left)
    await scene.ledger.has("after the restart", daemon=heir)
    assert sorted(scene.ledger.ids) == ["after the restart", "left", "parent's last", "right", "unsplit"]
    shards = {entry["id"]: entry["record"]["eventID"].partition(":")[0] for entry in scene.ledger.entries}
    assert (shards["left"], shards["right"], shards["unsplit"]) == (LEFT, RIGHT, SECOND)


@pytest.mark.slow
@pytest.mark.rule("stream.shards.merged-child-waits-for-both")
async def test_the_child_of_merged_shards_is_read_once_both_are_done_with(local_scene: Scene) -> None:
    scene = local_scene
    stream = await scene.stream(shards=2)
    one, other = [keys[0] for keys in keys_of_shards(2)]
    daemon = await scene.running(scene.mapping(stream))
    await scene.put(stream, "held", key=one, do="hold")
    await scene.put(stream, "free", key=other)
    await scene.ledger.has("held", "free", daemon=daemon)

    await scene.streams.merge(stream, FIRST, SECOND)
    [(shard, _)] = await scene.put(stream, "child's first", key=other)
    assert shard == LEFT
    await daemon.measured(lambda now: now.value("poller_shards", state="finished") == 1, "one parent is done with")
    assert "child's first" not in scene.ledger.ids
    scene.gate.touch()

    await scene.ledger.has("child's first", daemon=daemon)
    assert sorted(scene.ledger.ids) == ["child's first", "free", "held"]
    assert await daemon.stopped() == 0
