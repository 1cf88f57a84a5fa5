"""Streams that are split and merged: children are found by their parents' word, wait for them, durably, and miss nothing."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.processes import Process, World, names, running
from support.stage import SHARD, STREAM_ARN, now, until, virtually

from poller.apis.memory_streams import Behaviour
from poller.core.batching import BatchLimits
from poller.core.model import Answer, ShardId, Start
from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.apis.memory_shard import MemoryShard

rule = pytest.mark.rule

SECOND = ShardId("shardId-000000000001")
DOWN = Unavailable("somewhere", "connection")
ENDS = [Behaviour(), Behaviour(late_end=True), Behaviour(empty_every=2, late_end=True)]
BY_TWO = BatchLimits(count=2)


@dataclass(kw_only=True)
class Story:
    """A stream whose shards are split and merged at random, and what was put into it, by key.

    Attributes:
        keys: of records; their order is what counts.
        put: numbers of the records, by key, in the order in which they were put.
        home: the shard of each record, by name.
    """

    world: World
    chance: random.Random
    keys: list[str] = field(default_factory=lambda: [f"k{number}" for number in range(12)])
    put: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    home: dict[str, ShardId] = field(default_factory=dict)

    def write(self, count: int) -> None:
        """So many records with any of the keys."""
        for _ in range(count):
            key = self.chance.choice(self.keys)
            name = f"{key}:{len(self.put[key])}"
            self.put[key].append(name)
            self.home[name], _ = self.world.streams.put_record(STREAM_ARN, key, name.encode())

    def reshard(self) -> None:
        """Splits a shard, merges two, or both at once, whatever can be."""
        kind = self.chance.choice(["split", "merge", "both"])
        if kind != "merge" or len(self.open) < 2:
            self.world.streams.split(STREAM_ARN, self.chance.choice(self.open).id)
        if kind != "split" and len(self.open) > 1:
            index = self.chance.randrange(len(self.open) - 1)
            self.world.streams.merge(STREAM_ARN, self.open[index].id, self.open[index + 1].id)

    @property
    def shards(self) -> dict[ShardId, MemoryShard]:
        return self.world.streams._streams[STREAM_ARN].shards

    @property
    def open(self) -> list[MemoryShard]:
        """By their hash keys."""
        return sorted((shard for shard in self.shards.values() if shard.closed_at is None), key=lambda shard: shard.hash_from)

    def check(self, *processes: Process) -> None:
        """Everything was accepted, each key's first deliveries in order, and no child was begun before all of its parents."""
        calls = sorted((call for process in processes for call in process.executor.calls), key=lambda call: call.began)
        first = list(dict.fromkeys(name for call in calls for name in names(call)))
        assert sorted(first) == sorted(self.home)
        for key, put in self.put.items():
            assert [name for name in first if name.startswith(f"{key}:")] == put
        self._check_generations(calls)

    def _check_generations(self, calls: Sequence[Call]) -> None:
        done: dict[ShardId, float] = defaultdict(float)
        begun: dict[ShardId, float] = {}
        for call in calls:
            shard = ShardId(call.records[0]["eventID"].partition(":")[0])
            begun.setdefault(shard, call.began)
            assert call.ended is not None
            done[shard] = max(done[shard], call.ended)
        for shard, at in begun.items():
            for ancestor in self._ancestors(shard):
                assert done[ancestor] <= at, f"{shard} was begun at {at}, its ancestor {ancestor} done with at {done[ancestor]}"

    def _ancestors(self, shard: ShardId) -> set[ShardId]:
        parents = self.shards[shard].parents
        return set(parents).union(*(self._ancestors(parent) for parent in parents))


def shard_records(call: Call, shard: str) -> bool:
    return any(record["eventID"].startswith(f"{shard}:") for record in call.records)


# ---------------------------------------------------------------------------------------------------------------------- histories


@rule("stream.shards.parent-before-child")
@rule("stream.shards.merged-child-waits-for-both")
@rule("stream.delivery.in-order")
@pytest.mark.parametrize("behaviour", ENDS, ids=["ends with its records", "ends on one more page", "has hollow pages"])
@pytest.mark.parametrize("seed", range(4))
@virtually
async def test_reshards_while_running_lose_nothing_and_keep_every_keys_order(seed: int, behaviour: Behaviour) -> None:
    story = Story(world=World(shards=2, behaviour=behaviour), chance=random.Random(seed))
    one, two = (Process(world=story.world, owner=name, executor=ScriptedExecutor(seconds=0.3), limits=BY_TWO) for name in "ab")
    async with running(one, two):
        for _ in range(6):
            story.write(12)
            await asyncio.sleep(story.chance.choice([0, 1, 5]))
            story.reshard()
        story.write(12)
        await until(lambda: len({*one.all_seen, *two.all_seen}) == len(story.home), within=600)
    story.check(one, two)


@rule("stream.shards.parent-before-child")
@rule("stream.start.new-shards-from-their-beginning")
@pytest.mark.parametrize("start", ["TRIM_HORIZON", "LATEST"])
@pytest.mark.parametrize("behaviour", ENDS, ids=["ends with its records", "ends on one more page", "has hollow pages"])
@pytest.mark.parametrize("seed", range(3))
@virtually
async def test_generations_that_pass_while_stopped_are_made_up_for_in_order(seed: int, behaviour: Behaviour, start: str) -> None:
    story = Story(world=World(shards=2, behaviour=behaviour), chance=random.Random(seed))
    enrolled = Process(world=story.world, owner="a", start=Start(type=start), limits=BY_TWO)  # type: ignore[arg-type]
    async with running(enrolled):
        await asyncio.sleep(2)
    for _ in range(5):
        story.write(10)
        story.reshard()
    story.write(10)
    await asyncio.sleep(3_600)
    after = Process(world=story.world, owner="b", executor=ScriptedExecutor(seconds=0.1), limits=BY_TWO)
    async with running(after):
        await until(lambda: len(set(after.all_seen)) == len(story.home), within=600)
        await asyncio.sleep(5)
        assert after.count("shards", state="open") == len(story.open)
        assert after.count("shards", state="waiting_for_parent") == 0
    story.check(after)


@rule("stream.checkpoint.trimmed")
@rule("stream.shards.parent-before-child")
@virtually
async def test_a_parent_that_lost_its_front_while_stopped_is_read_to_its_end_before_its_children() -> None:
    world = World(retention=3_600)
    world.put("a")
    first = Process(world=world)
    async with running(first):
        await asyncio.sleep(5)
    world.put("lost")
    await asyncio.sleep(3_000)
    world.put("b")
    world.streams.split(STREAM_ARN, SHARD)
    world.put("child")
    await asyncio.sleep(1_000)
    second = Process(world=world, owner="two")
    async with running(second):
        await asyncio.sleep(10)
    assert second.all_seen == ["b", "child"]
    assert second.count("checkpoint_trimmed_total") == 1


# ---------------------------------------------------------------------------------------------------------------------- discovery


@rule("stream.shards.children-by-word")
@virtually
async def test_children_start_at_once_by_their_parents_word() -> None:
    world = World()
    process = Process(world=world)
    async with running(process):
        await asyncio.sleep(10)
        process.reading.slow(20, "ListShards", "DescribeStreamSummary")
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await asyncio.sleep(2)
        assert process.all_seen == ["child"]
        assert process.count("shards", state="open") == 2


@rule("stream.shards.children-by-word")
@pytest.mark.parametrize("trouble", ["down", "lagging"])
@virtually
async def test_generations_follow_each_other_while_the_list_is_of_no_use(trouble: str) -> None:
    world = World(shards=2)
    process = Process(world=world)
    listing = world.streams.list_shards
    async with running(process):
        await asyncio.sleep(5)
        if trouble == "down":
            process.reading.refuse(DOWN, "ListShards")
        else:
            old = listing(STREAM_ARN)
            world.streams.list_shards = lambda arn: old if arn else ()  # type: ignore[method-assign]
        merged = world.streams.merge(STREAM_ARN, SHARD, SECOND)
        world.put("merged")
        await asyncio.sleep(10)
        lower, upper = world.streams.split(STREAM_ARN, merged)
        world.put("split")
        await asyncio.sleep(200)
        assert process.all_seen == ["merged", "split"]
        assert world.shards[merged].finished
        process.reading.heal()
        world.streams.list_shards = listing  # type: ignore[method-assign]
        await asyncio.sleep(100)
        world.put("later")
        await asyncio.sleep(5)
        assert process.all_seen == ["merged", "split", "later"]
        assert process.count("shards", state="finished") == 3
        acquired = len(process.storing.calls["acquire"])
        assert {shard for shard, state in world.shards.items() if not state.finished} == {lower, upper}
    assert acquired == 5, "nothing was started twice"


@rule("stream.shards.relist")
@virtually
async def test_a_process_that_was_told_nothing_finds_the_children_by_the_list() -> None:
    world = World()
    one, two = Process(world=world, owner="one"), Process(world=world, owner="two")
    async with running(two), running(one):
        await asyncio.sleep(5)
        owner = world.shards[SHARD].owner
        holder, other = (one, two) if owner == "one" else (two, one)
        holder.storing.lose(DOWN, "finish")
        holder.storing.refuse(DOWN, "shards")
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await asyncio.sleep(70)
        assert world.shards[SHARD].finished
        assert other.all_seen == ["child"]
        holder.storing.heal()


# ------------------------------------------------------------------------------------------------------------------- durability


@rule("stream.shards.parent-durable-before-child")
@pytest.mark.parametrize("operation", ["advance", "finish"])
@virtually
async def test_children_wait_until_the_store_has_taken_the_parents_end(operation: str) -> None:
    world = World()
    one, two = Process(world=world, owner="one"), Process(world=world, owner="two")
    async with running(one, two):
        await asyncio.sleep(5)
        for process in (one, two):
            process.storing.slow(9, operation)
        world.put("last")
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await until(lambda: "last" in one.all_seen + two.all_seen)
        began = now()
        await until(lambda: "child" in one.all_seen + two.all_seen)
        assert now() - began > 8.9
        assert world.shards[SHARD].finished
    assert sorted(one.all_seen + two.all_seen) == ["child", "last"]


@rule("stream.shards.parent-durable-before-child")
@pytest.mark.parametrize("operation", ["advance", "finish"])
@virtually
async def test_a_process_that_dies_before_the_end_is_durable_leaves_the_parent_to_the_next(operation: str) -> None:
    world = World()
    first = Process(world=world, owner="one", lease_ttl=10)
    second = Process(world=world, owner="two", lease_ttl=10)
    async with running(first) as (task,):
        await asyncio.sleep(5)
        first.storing.refuse(DOWN, operation)
        world.put("last")
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await asyncio.sleep(5)
        assert first.all_seen == ["last"]
        assert not world.shards[SHARD].finished
        first.cut()
        task.cancel()
    async with running(second):
        await asyncio.sleep(30)
    assert second.all_seen == (["last", "child"] if operation == "advance" else ["child"])
    assert world.shards[SHARD].finished


@rule("stream.shards.parent-durable-before-child")
@virtually
async def test_an_end_whose_answer_is_lost_is_an_end() -> None:
    world = World()
    process = Process(world=world)
    async with running(process):
        await asyncio.sleep(5)
        process.storing.lose(DOWN, "finish")
        world.put("last")
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await asyncio.sleep(30)
    assert process.all_seen == ["last", "child"]


@rule("stream.shards.parent-before-child")
@pytest.mark.parametrize("behaviour", ENDS, ids=["ends with its records", "ends on one more page", "has hollow pages"])
@virtually
async def test_a_drain_at_the_parents_end_finishes_no_parent_that_has_work_left(behaviour: Behaviour) -> None:
    world = World(behaviour=behaviour)

    def script(call: Call) -> Answer:
        return RAISES if "last" in names(call) and now() < 100 else ACCEPTS

    first = Process(world=world, executor=ScriptedExecutor(script))
    async with running(first):
        await asyncio.sleep(5)
        world.put("last")
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await asyncio.sleep(20)
    assert not world.shards[SHARD].finished
    assert set(first.all_seen) == {"last"}
    await asyncio.sleep(100)
    second = Process(world=world, owner="two")
    async with running(second):
        await asyncio.sleep(20)
    assert second.all_seen == ["last", "child"]
    assert all(not shard_records(call, SHARD) for call in second.executor.calls[1:])
