"""Parallel lanes over real sockets: a poisoned key, and another factor while the daemon runs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from poller.shardlane import lane_of

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon

LANES, FEWER = 10, 3
POISON = "poison"
ALL = [f"key-{number}" for number in range(100)]
FREE = [key for key in ALL if lane_of(key, LANES) != lane_of(POISON, LANES) and lane_of(key, FEWER) != lane_of(POISON, FEWER)][:8]
BEHIND = next(key for key in ALL if lane_of(key, LANES) == lane_of(POISON, LANES))


@pytest.mark.slow
@pytest.mark.rule("stream.lanes.failure-blocks-its-lane")
@pytest.mark.rule("stream.lanes.key-order")
@pytest.mark.rule("stream.lanes.repartition")
async def test_a_poisoned_key_holds_up_its_lane_alone_and_keys_keep_their_order_with_another_factor(local_scene: Scene) -> None:
    scene = local_scene
    stream = await scene.stream()
    mapping = scene.mapping(stream, parallelization_factor=LANES, maximum_retry_attempts=4, batch_size=5)
    daemon = await scene.running(mapping)
    await scene.put(stream, "poison", key=POISON, do="raise")
    await scene.ledger.has("poison", daemon=daemon)
    await scene.put(stream, "behind", key=BEHIND)
    await _all_go_on(scene, daemon, stream, range(3))
    now = await daemon.metrics()
    assert now.value("poller_events_dropped_total") == 0, "too late to tell"
    assert (now.value("poller_shards", state="open"), now.value("poller_shards", state="blocked")) == (1, 0)
    assert now.value("poller_iterator_age_seconds") > 0
    assert "behind" not in scene.ledger.ids

    scene.configure(mapping | {"parallelization_factor": FEWER})
    daemon.signal(signal.SIGHUP)
    await daemon.logged("reloaded")
    await _all_go_on(scene, daemon, stream, range(3, 6))
    await scene.ledger.has("behind", daemon=daemon)
    assert await daemon.stopped() == 0
    for key in FREE:
        first_seen = list(dict.fromkeys(each for each in scene.ledger.ids if each.startswith(f"{key}/")))
        assert first_seen == [f"{key}/{turn}" for turn in range(6)]


async def _all_go_on(scene: Scene, daemon: Daemon, stream: str, turns: range) -> None:
    """Records of other lanes are put and handled, turn by turn."""
    for turn in turns:
        for key in FREE:
            await scene.put(stream, f"{key}/{turn}", key=key)
    await scene.ledger.has(*(f"{key}/{turn}" for key in FREE for turn in turns), daemon=daemon)
