"""A mapping's shards in one process: parents before children, nobody held up by a neighbour, back to work after any trouble."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.processes import Process, World, names, put_everywhere, running
from support.stage import SHARD, STREAM_ARN, now, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Answer, ShardId, Start
from poller.errors import Unavailable

rule = pytest.mark.rule

SECOND = ShardId("shardId-000000000001")
BY_ONE = BatchLimits(count=1)
THROTTLED = Unavailable("DescribeStreamSummary", "throttled")
DOWN = Unavailable("store", "connection")
EVERY_CALL = ("stream", "enroll", "shards", "acquire", "renew", "release", "load", "advance", "finish")


def failing_for(name: str, until: float) -> ScriptedExecutor:
    """A function that raises for this record until then."""

    def script(call: Call) -> Answer:
        return RAISES if call.began < until and name in names(call) else ACCEPTS

    return ScriptedExecutor(script)


def open_shards(process: Process) -> dict[str, float | None]:
    return {state: process.count("shards", state=state) for state in ("open", "blocked", "waiting_for_parent", "finished")}


# ---------------------------------------------------------------------------------------------------------------------- discovery


@rule("stream.shards.parent-before-child")
@rule("stream.start.new-shards-from-their-beginning")
@pytest.mark.parametrize("start", ["TRIM_HORIZON", "LATEST"])
@virtually
async def test_children_are_read_from_their_beginning_once_all_of_the_parent_is_settled(start: str) -> None:
    world = World()
    process = Process(world=world, start=Start(type=start), executor=failing_for("last", 100), limits=BY_ONE)  # type: ignore[arg-type]
    async with running(process):
        await asyncio.sleep(5)
        world.put("first", "last")
        world.streams.split(STREAM_ARN, SHARD)
        children = put_everywhere(world, 2)
        await asyncio.sleep(80)
        assert set(process.all_seen) == {"first", "last"}
        assert open_shards(process) == {"open": 0, "blocked": 1, "waiting_for_parent": 2, "finished": 0}
        await asyncio.sleep(100)
        assert open_shards(process) == {"open": 2, "blocked": 0, "waiting_for_parent": 0, "finished": 1}
    assert process.all_seen[0] == "first"
    own = process.all_seen[process.all_seen.index("last") :]
    for some in children.values():
        assert [name for name in own if name in some] == some
    assert len(process.all_seen) - process.all_seen.count("last") == 1 + sum(map(len, children.values()))


@rule("stream.shards.merged-child-waits-for-both")
@virtually
async def test_the_child_of_a_merge_waits_for_both_parents() -> None:
    world = World(shards=2)
    parents = put_everywhere(world, 1)
    stuck = parents[SECOND][0]
    process = Process(world=world, executor=failing_for(stuck, 100))
    async with running(process):
        await asyncio.sleep(5)
        world.streams.merge(STREAM_ARN, SHARD, SECOND)
        world.put("child")
        await asyncio.sleep(80)
        assert world.shards[SHARD].finished
        assert "child" not in process.all_seen
        await asyncio.sleep(100)
    assert process.all_seen[-1] == "child"


@rule("stream.shards.relist")
@virtually
async def test_shards_are_listed_again_when_one_ends_and_every_minute() -> None:
    world = World()
    process = Process(world=world)
    async with running(process):
        await asyncio.sleep(130)
        assert sorted(set(process.reading.calls["ListShards"])) == pytest.approx([0, 60, 120])
        world.streams.split(STREAM_ARN, SHARD)
        await asyncio.sleep(3)
        assert 130 <= process.reading.calls["ListShards"][-1] <= 132
        assert process.count("shards", state="open") == 2


# --------------------------------------------------------------------------------------------------------------------- isolation


@rule("stream.shards.siblings-concurrently")
@rule("stream.delivery.failure-blocks-no-other-shard")
@virtually
async def test_a_shard_that_fails_holds_up_no_other() -> None:
    world = World(shards=4)
    first = put_everywhere(world, 1)
    stuck = first[SHARD][0]
    process = Process(world=world, executor=failing_for(stuck, 10**9), limits=BY_ONE)
    async with running(process):
        await asyncio.sleep(100)
        assert process.count("shards", state="blocked") == 1
        began = now()
        later_on = put_everywhere(world, 1)
        await asyncio.sleep(10)
    for shard, some in later_on.items():
        calls = [call for call in process.executor.calls if names(call)[0] in some]
        assert len(calls) == (0 if shard == SHARD else len(some))
        assert all(call.began - began < 1.5 for call in calls)


@virtually
async def test_a_shard_that_crashes_is_started_again_from_its_checkpoint_and_no_other_notices() -> None:
    world = World(shards=2)
    some = put_everywhere(world, 3)
    bad = some[SHARD][1]
    crashes = 4

    def script(call: Call) -> Answer:
        if bad in names(call) and process.all_seen.count(bad) <= crashes:
            raise RuntimeError("a bug")
        return ACCEPTS

    process = Process(world=world, executor=ScriptedExecutor(script, seconds=0.001), limits=BY_ONE)
    with capture_logs() as logs:
        async with running(process):
            await asyncio.sleep(60)
    seen = process.all_seen
    assert [name for name in seen if name in some[SECOND]] == some[SECOND]
    own = [name for name in seen if name in some[SHARD]]
    assert own == [some[SHARD][0], *[bad] * crashes, *some[SHARD][1:]]
    tries = [call.began for call in process.executor.calls if bad in names(call)]
    for pause, ceiling in zip([after - before for before, after in pairwise(tries)], (0.5, 1, 2, 4), strict=True):
        assert ceiling / 10 <= pause <= ceiling + 0.5
    assert process.count("supervised_restarts_total") == crashes
    assert {(line["what"], line["error"]) for line in logs if line["event"] == "crashed"} == {(SHARD, "RuntimeError: a bug")}


@virtually
async def test_a_look_out_that_fails_stops_no_shard_that_runs() -> None:
    world = World()
    process = Process(world=world)
    async with running(process):
        await asyncio.sleep(5)
        process.reading.refuse(THROTTLED, "DescribeStreamSummary", "ListShards")
        for number in range(20):
            world.put(f"{number}")
            await asyncio.sleep(20)
        assert process.all_seen == [f"{number}" for number in range(20)]
        assert process.count("lease_transitions_total", transition="acquired") == 1
        world.streams.split(STREAM_ARN, SHARD)
        world.put("child")
        await asyncio.sleep(3)
        assert process.all_seen[-1] == "child"
        process.reading.heal()
        await asyncio.sleep(32)
        assert process.count("shards", state="finished") == 1
    assert process.count("supervised_restarts_total") == 0  # the world's fault, not ours
