"""An operator's hand in the store of a running mapping: a new position counts, and nothing in flight writes over it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from support.doubles import ScriptedExecutor
from support.processes import Process, World, names, running
from support.stage import MAPPING, SHARD, STREAM_ARN, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Checkpoint, StreamId, position
from poller.edits import Rewrite

if TYPE_CHECKING:
    from poller.core.model import Position, ShardId

BY_ONE = BatchLimits(count=1)


async def move(process: Process, to: Checkpoint, shard: ShardId = SHARD) -> None:
    """As `poller checkpoint set --force` does it."""
    store, world = process.store, process.world
    stream = await store.stream(MAPPING)
    assert isinstance(stream, StreamId)
    wish = Rewrite(seen=world.shards[shard], to=to, fence=True, moved=True)
    assert await store.rewrite(MAPPING, stream, {shard: wish})


def reached(world: World) -> Position | None:
    checkpoint = world.shards[SHARD].checkpoint
    return None if checkpoint is None else checkpoint.position


@virtually
async def test_a_position_that_is_moved_back_under_a_running_shard_is_read_from_again() -> None:
    world = World()
    process = Process(world=world, limits=BY_ONE)
    async with running(process):
        sequences = world.put("a", "b", "c", "d")
        await asyncio.sleep(10)
        assert process.all_seen == ["a", "b", "c", "d"]
        await move(process, Checkpoint(position=position(sequences[1])))
        await asyncio.sleep(20)
        assert process.all_seen == ["a", "b", "c", "d", "c", "d"]
        assert reached(world) == position(sequences[3])
        world.put("e")
        await asyncio.sleep(10)
    assert process.all_seen[6:] == ["e"]


@virtually
async def test_what_is_in_flight_when_the_position_moves_is_cut_off_and_writes_nothing() -> None:
    world = World()
    process = Process(world=world, executor=ScriptedExecutor(seconds=8.0), limits=BY_ONE, lease_ttl=9.0)
    async with running(process):
        sequences = world.put("poison", "b", "c")
        await asyncio.sleep(4)
        assert process.executor.running == 1
        await move(process, Checkpoint(position=position(sequences[1])))
        await asyncio.sleep(4)
        assert process.executor.running == 0, "the renewal has told it"
        assert reached(world) == position(sequences[1])
        await asyncio.sleep(20)
        assert reached(world) == position(sequences[2])
    assert [names(call) for call in process.executor.calls] == [["poison"], ["c"]]


@virtually
async def test_a_finished_shard_that_is_opened_again_is_read_within_a_minute_beside_its_children() -> None:
    world = World()
    process = Process(world=world, limits=BY_ONE)
    async with running(process):
        [first, _] = world.put("a", "b")
        world.streams.split(STREAM_ARN, SHARD)
        await asyncio.sleep(10)
        assert world.shards[SHARD].finished
        children = [shard for shard in world.shards if shard != SHARD]
        assert len(children) == 2
        await move(process, Checkpoint(position=position(first)))
        await asyncio.sleep(70)
        assert process.all_seen == ["a", "b", "b"]
        assert world.shards[SHARD].finished
        assert all(world.shards[shard].owner == process.owner for shard in children)


@virtually
async def test_a_mapping_that_is_forgotten_under_a_running_process_begins_again_where_it_may() -> None:
    world = World()
    process = Process(world=world, resume="trim_horizon", limits=BY_ONE)
    async with running(process):
        world.put("a", "b")
        await asyncio.sleep(10)
        assert await process.store.forget(MAPPING, fence=True)
        await asyncio.sleep(90)
        assert process.all_seen == ["a", "b", "a", "b"]
