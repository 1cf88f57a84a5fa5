"""Where a mapping begins: the first time, and after that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e.scene import Ledger, moment_after_now

if TYPE_CHECKING:
    from e2e.scene import Scene

POSITIONS = ("TRIM_HORIZON", "AT_TIMESTAMP", "LATEST")

both_servers = pytest.mark.parametrize(
    "either_scene", ["ministack", pytest.param("kinesis-local", marks=pytest.mark.slow)], indirect=True
)


@both_servers
@pytest.mark.rule("stream.start.trim-horizon")
@pytest.mark.rule("stream.start.at-timestamp")
@pytest.mark.rule("stream.start.latest")
@pytest.mark.rule("stream.start.checkpoints-belong-to-a-mapping")
async def test_each_mapping_begins_at_its_own_starting_position(either_scene: Scene) -> None:
    scene = either_scene
    stream = await scene.stream()
    await scene.put(stream, "old")
    moment = moment_after_now()
    await scene.put(stream, "recent")
    mappings = [
        scene.mapping(stream, name=position, function_name=position, starting_position=position) for position in POSITIONS
    ]
    mappings[1]["starting_position_timestamp"] = moment
    functions = {position: scene.function(ledger=position) for position in POSITIONS}
    daemon = await scene.running(*mappings, functions=functions)

    await scene.put(stream, "new")

    oldest, at_a_time, latest = [Ledger(scene.folder / position) for position in POSITIONS]
    for ledger in (oldest, at_a_time, latest):
        await ledger.has("new", daemon=daemon)
    assert oldest.ids == ["old", "recent", "new"]
    assert at_a_time.ids == ["recent", "new"]
    assert latest.ids == ["new"]
    assert await daemon.stopped() == 0


@pytest.mark.slow
@both_servers
@pytest.mark.rule("stream.start.latest-boundary-is-stored")
async def test_what_comes_after_latest_reports_enabled_is_delivered_also_after_a_crash_before_the_first_record(
    either_scene: Scene,
) -> None:
    scene = either_scene
    stream = await scene.stream(shards=2)
    await scene.put(stream, *[f"old {number}" for number in range(10)])
    mapping = scene.mapping(stream, starting_position="LATEST")
    daemon = await scene.running(mapping)
    daemon.kill()

    await scene.put(stream, "while it was dead")

    heir = await scene.running(mapping)
    await scene.put(stream, "new")
    await scene.ledger.has("while it was dead", "new", daemon=heir)
    mine = [each for each in scene.ledger.ids if not each.startswith("old")]  # the boundary is kept to the second
    assert mine == ["while it was dead", "new"]
