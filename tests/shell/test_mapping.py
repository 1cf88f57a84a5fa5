"""A mapping's shards in one process: parents before children, nobody held up by a neighbour, back to work after any trouble."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.processes import Process, World, names, running
from support.stage import SHARD, STREAM_ARN, later, now, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Answer, ShardId, Start
from poller.errors import Unavailable

rule = pytest.mark.rule

SECOND = ShardId("shardId-000000000001")
BY_ONE = BatchLimits(count=1)
THROTTLED = Unavailable("DescribeStreamSummary", "throttled")
DOWN = Unavailable("store", "connection")
EVERY_CALL = ("stream", "enroll", "shards", "acquire", "renew", "release", "load", "advance", "finish")


def keys_of(world: World, count: int) -> dict[ShardId, list[str]]:
    """So many records for each shard that is open; which keys belong to which is up to their hash."""
    found: dict[ShardId, list[str]] = {}
    wanted = sum(1 for shard in world.streams._streams[STREAM_ARN].shards.values() if shard.closed_at is None)
    for number in range(1000):
        name = f"{now():.0f}-{number}"
        shard, _ = world.streams.put_record(STREAM_ARN, name, name.encode())
        found.setdefault(shard, []).append(name)
        if len(found) == wanted and all(len(some) >= count for some in found.values()):
            break
    return found


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
        children = keys_of(world, 2)
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
    parents = keys_of(world, 1)
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
    first = keys_of(world, 1)
    stuck = first[SHARD][0]
    process = Process(world=world, executor=failing_for(stuck, 10**9), limits=BY_ONE)
    async with running(process):
        await asyncio.sleep(100)
        assert process.count("shards", state="blocked") == 1
        began = now()
        later_on = keys_of(world, 1)
        await asyncio.sleep(10)
    for shard, some in later_on.items():
        calls = [call for call in process.executor.calls if names(call)[0] in some]
        assert len(calls) == (0 if shard == SHARD else len(some))
        assert all(call.began - began < 1.5 for call in calls)


@virtually
async def test_a_shard_that_crashes_is_started_again_from_its_checkpoint_and_no_other_notices() -> None:
    world = World(shards=2)
    some = keys_of(world, 3)
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
        await asyncio.sleep(100)
        assert process.all_seen[-1] == "19"
        process.reading.heal()
        await asyncio.sleep(32)
    assert process.all_seen[-1] == "child"
    assert process.count("supervised_restarts_total") == 0  # the world's fault, not ours


# ------------------------------------------------------------------------------------------------------------------------ outages


@rule("stream.delivery.at-least-once")
@rule("stream.delivery.in-order")
@virtually
async def test_in_a_store_outage_the_holder_stops_when_its_lease_ends_and_goes_on_afterwards() -> None:
    world = World()
    process = Process(world=world, executor=ScriptedExecutor(seconds=1), limits=BY_ONE, lease_ttl=30)
    world.put(*map(str, range(200)))
    async with running(process):
        await asyncio.sleep(20.5)
        process.storing.refuse(DOWN, *EVERY_CALL)
        await asyncio.sleep(60)
        stopped = [call for call in process.executor.calls if call.cancelled]
        assert len(stopped) == 1
        assert 20 + 27 - 1 <= (stopped[0].ended or 0) <= 20 + 27 + 1
        assert process.executor.calls[-1] is stopped[0]
        process.storing.heal()
        await asyncio.sleep(240)
    settled = process.all_seen.index(process.seen[20][0])
    assert settled == 20
    again = process.executor.calls.index(stopped[0]) + 1
    repeated = process.all_seen[again:]
    assert repeated == [str(number) for number in range(int(repeated[0]), 200)]  # in order, from the checkpoint
    assert int(repeated[0]) >= 20
    assert process.count("lease_transitions_total", transition="lost") == 1


@virtually
async def test_a_lease_whose_grant_came_too_late_to_trust_it_is_not_used() -> None:
    world = World()
    world.put("a")
    process = Process(world=world, lease_ttl=30)
    process.storing.late(28, "acquire")
    async with running(process):
        await asyncio.sleep(29)
        assert process.executor.calls == []
        assert process.count("lease_transitions_total", transition="lost") == 1
        process.storing.heal()
        await asyncio.sleep(10)
    assert process.all_seen == ["a"]


@virtually
async def test_a_short_store_outage_changes_nothing_but_the_checkpoints() -> None:
    world = World()
    process = Process(world=world, executor=ScriptedExecutor(seconds=1), limits=BY_ONE)
    world.put(*map(str, range(60)))
    async with running(process):
        await asyncio.sleep(10.5)
        process.storing.refuse(DOWN, *EVERY_CALL)
        await asyncio.sleep(5)
        process.storing.heal()
        await asyncio.sleep(60)
    assert process.all_seen == [str(number) for number in range(60)]
    assert process.count("lease_transitions_total", transition="lost") == 0


@virtually
async def test_a_shard_whose_end_could_not_be_written_is_ended_later_and_repeats_nothing() -> None:
    world = World()
    world.put("a", "b")
    world.streams.split(STREAM_ARN, SHARD)
    world.put("child")
    process = Process(world=world)
    process.storing.refuse(DOWN, "finish")
    later(30, process.storing.heal)
    async with running(process):
        await asyncio.sleep(70)
    assert process.all_seen == ["a", "b", "child"]
    assert world.shards[SHARD].finished


@virtually
async def test_a_mapping_of_a_stream_that_does_not_exist_yet_begins_when_it_does() -> None:
    world = World()
    world.streams.delete_stream(STREAM_ARN)
    process = Process(world=world)
    with capture_logs() as logs:
        async with running(process):
            await asyncio.sleep(100)
            assert process.count("mapping_state", state="Creating") == 1
            world.streams.create_stream("orders")
            world.put("a")
            await asyncio.sleep(40)
    assert process.all_seen == ["a"]
    assert any(STREAM_ARN in line["error"] for line in logs if line["event"] == "failing")


# -------------------------------------------------------------------------------------------------------------------------- drain


@virtually
async def test_a_drain_ends_all_shards_and_gives_all_leases_back() -> None:
    world = World(shards=4)
    keys_of(world, 1)
    process = Process(world=world, executor=ScriptedExecutor(seconds=10))
    async with running(process):
        await asyncio.sleep(5)
        assert process.count("leases_owned") == 4
    assert now() == 10
    assert {state.owner for state in world.shards.values()} == {None}
    assert process.count("leases_owned") == 0
    assert process.count("mapping_state", state="Disabled") == 1


@virtually
async def test_a_drain_ends_the_pause_after_a_failed_look_out_at_once() -> None:
    process = Process(world=World())
    process.reading.refuse(THROTTLED, "DescribeStreamSummary")
    async with running(process):
        await asyncio.sleep(100)
    assert now() == 100


@virtually
async def test_a_drain_ends_the_pause_after_a_crash_at_once() -> None:
    def breaks(_: Call) -> Answer:
        raise RuntimeError("a bug")

    world = World()
    world.put("a")
    process = Process(world=world, executor=ScriptedExecutor(breaks))
    with capture_logs():
        async with running(process):
            await asyncio.sleep(100)
    assert now() == 100
    assert process.storing.calls["acquire"][-1] < 100  # and it was not started once more


@virtually
async def test_who_is_cancelled_leaves_nothing_running_and_settles_nothing() -> None:
    world = World(shards=2)
    keys_of(world, 1)
    process = Process(world=world, executor=ScriptedExecutor(seconds=100))
    async with running(process) as (task,):
        await asyncio.sleep(5)
        task.cancel()
    assert now() == 5
    assert all(call.cancelled for call in process.executor.calls)
    assert process.storing.calls["advance"] == []
