"""Tumbling windows of a real daemon, which is killed in the midst of one."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from e2e.scene import FUNCTIONS, keys_of_shards
from support.daemon import gone

if TYPE_CHECKING:
    from e2e.scene import Scene

SECONDS = 3
RECORDS = 120
SHARDS = 2


@pytest.mark.slow
@pytest.mark.rule("stream.windows.durable-together")
@pytest.mark.rule("stream.windows.boundaries")
async def test_a_kill_in_the_middle_of_a_window_leaves_its_counts_exact(local_scene: Scene) -> None:
    scene = local_scene
    stream = await scene.stream(shards=SHARDS)
    mapping = scene.mapping(stream, batch_size=5, tumbling_window_in_seconds=SECONDS, function_response_types=[])
    function = scene.function({"code": str(FUNCTIONS / "windows")}, WORK="0.02")
    config = scene.configure(mapping, functions={"orders": function}, store={"url": "sqlite:///poller.db", "lease_duration": 1})
    async with asyncio.TaskGroup() as together:
        together.create_task(_put(scene, stream))
        for part in (1, 2):
            daemon = scene.start(config)
            await daemon.until(lambda part=part: len(_seen(scene)) >= part * RECORDS / 3, "a part has been seen")  # type: ignore[misc]
            daemon.kill()
            await gone(scene.ledger.workers)
    last = scene.start(config)
    await last.until(lambda: len(_counted(scene)) == RECORDS, "every record is in the last state of a window")
    assert sorted(_counted(scene)) == list(range(RECORDS))  # none twice, none left out
    assert await last.stopped() == 0
    for entry in scene.ledger.entries:
        start = datetime.fromisoformat(entry["start"]).timestamp()
        assert all(start <= arrived < start + SECONDS for arrived in entry["arrived"])


async def _put(scene: Scene, stream: str) -> None:
    """Records for all shards, over several windows."""
    keys = [key for (key,) in keys_of_shards(SHARDS)]
    for number in range(RECORDS):
        await scene.put(stream, number, key=keys[number % SHARDS])
        await asyncio.sleep(0.05)


def _seen(scene: Scene) -> set[int]:
    """All that the function has got, durable or not."""
    return {each for entry in scene.ledger.entries for each in entry["id"]}


def _counted(scene: Scene) -> list[int]:
    """What the final invocations got. One that is repeated got the same."""
    windows: dict[tuple[str, str], list[Any]] = {}
    for entry in scene.ledger.entries:
        if entry["final"]:
            assert windows.setdefault((entry["shard"], entry["start"]), entry["state"]) == entry["state"]
    return [each for state in windows.values() for each in state]
