"""What retention takes before it is read: counted where something may be lost, never where nothing can be; met as configured."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.processes import Process, World, names, put_everywhere, running
from support.stage import SHARD, STREAM_ARN, now, until, virtually
from support.virtual import EPOCH

from poller.core.batching import BatchLimits
from poller.core.extra import unpack
from poller.core.model import Answer, ShardId
from poller.errors import Unavailable

rule = pytest.mark.rule

HOUR = 3_600.0
SECOND = ShardId("shardId-000000000001")
DOWN = Unavailable("somewhere", "connection")
EVERY_READ = ("GetRecords", "GetShardIterator")


def trimmed(process: Process) -> float:
    return process.count("checkpoint_trimmed_total") or 0.0


def tip(world: World, shard: ShardId = SHARD) -> float | None:
    """As the store has it, in seconds of the loop."""
    checkpoint = world.shards[shard].checkpoint
    stored = unpack(checkpoint.extra).tip if checkpoint is not None else None
    return None if stored is None else stored - EPOCH


async def ran(process: Process, seconds: float) -> Process:
    async with running(process):
        await asyncio.sleep(seconds)
    return process


# ----------------------------------------------------------------------------------------------------------------------- counting


@rule("stream.checkpoint.trimmed")
@rule("stream.trimmed.counted")
@virtually
async def test_records_that_were_trimmed_while_nobody_read_are_counted_and_said_and_the_oldest_comes_next() -> None:
    world = World(retention=HOUR)
    world.put("a")
    await ran(Process(world=world), 5)
    world.put("lost")
    await asyncio.sleep(HOUR + 10)
    world.put("b")
    with capture_logs() as logs:
        second = await ran(Process(world=world, owner="two"), 5)
    assert second.all_seen == ["b"]
    assert trimmed(second) == 1
    assert [line["shard"] for line in logs if line["event"] == "checkpoint_trimmed"] == [SHARD]
    assert world.documents == []
    third = await ran(Process(world=world, owner="three"), 5)
    assert trimmed(third) == 0, "it is counted once"


@rule("stream.trimmed.counted")
@virtually
async def test_a_shard_whose_records_are_all_gone_is_counted_without_a_new_one() -> None:
    world = World(retention=HOUR)
    world.put("a")
    await ran(Process(world=world), 5)
    await asyncio.sleep(HOUR + 10)
    assert trimmed(await ran(Process(world=world, owner="two"), 5)) == 1
    await asyncio.sleep(HOUR / 2)
    assert trimmed(await ran(Process(world=world, owner="three"), 5)) == 0


@rule("stream.trimmed.no-false-alarm")
@virtually
async def test_a_stream_that_is_idle_for_longer_than_its_retention_has_lost_nothing() -> None:
    world = World(retention=HOUR)
    world.put("a")
    first = await ran(Process(world=world), 1.2 * HOUR)
    assert tip(world) == pytest.approx(1.2 * HOUR, abs=2)
    second = Process(world=world, owner="two")
    await asyncio.sleep(HOUR / 2)
    async with running(second):
        await asyncio.sleep(60)
        world.put("b")
        await asyncio.sleep(5)
    assert (first.all_seen, second.all_seen) == (["a"], ["b"])
    assert (trimmed(first), trimmed(second)) == (0, 0)


@rule("stream.trimmed.no-false-alarm")
@virtually
async def test_an_idle_shard_that_crashes_is_not_taken_for_one_that_has_lost_something() -> None:
    world = World(retention=HOUR)
    world.put("a")
    first = Process(world=world)
    async with running(first) as (task,):
        await asyncio.sleep(1.2 * HOUR)
        writes = len(first.storing.calls["advance"])
        first.cut()
        task.cancel()
    assert 26 <= writes <= 31, "24 in the time of the retention"
    stored = tip(world)
    assert stored is not None
    assert 1.1 * HOUR <= stored <= 1.2 * HOUR
    await asyncio.sleep(60)
    assert trimmed(await ran(Process(world=world, owner="two"), 5)) == 0


@rule("stream.trimmed.counted")
@virtually
async def test_a_tip_by_a_clock_that_was_hours_ahead_is_put_right_with_the_clock() -> None:
    """Else it would hide what is lost in the hours after."""
    world = World(retention=24 * HOUR)
    process = Process(world=world)
    async with running(process):
        world.put("a")
        await asyncio.sleep(2 * HOUR)
        world.clock.jump(5 * HOUR)
        await asyncio.sleep(2 * HOUR)
        world.clock.jump(-5 * HOUR)
        await asyncio.sleep(60)
        assert tip(world) == pytest.approx(now(), abs=61)
        assert len(process.storing.calls["advance"]) <= 8


@rule("stream.trimmed.no-false-alarm")
@virtually
async def test_a_shard_that_never_had_a_record_has_nothing_to_lose_and_writes_nothing() -> None:
    world = World(retention=HOUR)
    first = await ran(Process(world=world), 1.2 * HOUR)
    assert first.storing.calls["advance"] == []
    world.put("a")
    second = await ran(Process(world=world, owner="two"), 5)
    assert (second.all_seen, trimmed(second)) == (["a"], 0)


@rule("stream.trimmed.counted")
@virtually
async def test_a_tip_is_not_believed_while_records_before_it_are_open() -> None:
    world = World(retention=HOUR)
    process = Process(world=world, executor=ScriptedExecutor(lambda call: RAISES if "b" in names(call) else ACCEPTS))
    async with running(process):
        world.put("a")
        await asyncio.sleep(5)
        world.put("b")
        await asyncio.sleep(HOUR / 2)
    stored = tip(world)
    assert stored is not None
    assert stored < 6
    await asyncio.sleep(HOUR)
    assert trimmed(await ran(Process(world=world, owner="two"), 5)) == 1, "b is lost"


@rule("stream.trimmed.counted")
@virtually
async def test_a_running_reader_that_could_not_read_for_too_long_counts_once() -> None:
    world = World(retention=HOUR)
    process = Process(world=world)
    async with running(process):
        world.put("a")
        await asyncio.sleep(5)
        process.reading.refuse(DOWN, *EVERY_READ)
        world.put("lost")
        await asyncio.sleep(HOUR + 60)
        process.reading.heal()
        world.put("b")
        await asyncio.sleep(60)
        assert (process.all_seen, trimmed(process)) == (["a", "b"], 1)
        process.reading.refuse(DOWN, *EVERY_READ)
        await asyncio.sleep(HOUR / 2)
        process.reading.heal()
        await asyncio.sleep(60)
        assert trimmed(process) == 1


@virtually
async def test_a_retention_that_was_prolonged_counts_as_it_is_now() -> None:
    world = World(retention=HOUR)
    process = Process(world=world)
    async with running(process):
        world.put("a")
        await asyncio.sleep(5)
        world.streams._streams[STREAM_ARN].retention = 10 * HOUR
        await asyncio.sleep(61)
        process.reading.refuse(DOWN, *EVERY_READ)
        world.put("b")
        await asyncio.sleep(2 * HOUR)
        process.reading.heal()
        await asyncio.sleep(60)
    assert (process.all_seen, trimmed(process)) == (["a", "b"], 0)


# ------------------------------------------------------------------------------------------------------------------------- policy


@rule("stream.trimmed.fail")
@virtually
async def test_with_fail_a_shard_stops_before_anything_is_delivered_and_says_what_to_do() -> None:
    world = World(shards=2, retention=HOUR)
    old = put_everywhere(world, 1)
    await ran(Process(world=world), 5)
    await asyncio.sleep(1.5 * HOUR)
    new = put_everywhere(world, 1)
    process = Process(world=world, owner="two", on_trimmed="fail")
    with capture_logs() as logs:
        async with running(process):
            await asyncio.sleep(20 * 60)
            assert process.all_seen == []
    said = [line for line in logs if line["event"] == "failing"]
    assert {line["what"] for line in said} == {SHARD, SECOND}
    assert all("`on_trimmed: trim_horizon`" in line["error"] for line in said)
    assert trimmed(process) == 2, "tries are not counted"
    assert 30 <= len(process.storing.calls["acquire"]) <= 400, "ever more slowly"
    after = await ran(Process(world=world, owner="three"), 60)
    assert sorted(after.all_seen) == sorted(name for some in new.values() for name in some)
    assert not set(after.all_seen) & {name for some in old.values() for name in some}


@rule("stream.trimmed.fail")
@virtually
async def test_with_fail_a_shard_that_lost_nothing_runs_beside_one_that_did() -> None:
    world = World(shards=2, retention=HOUR)
    put_everywhere(world, 1)
    await ran(Process(world=world), 5)
    lost = put_everywhere(world, 1)[SHARD]
    stuck = ScriptedExecutor(lambda call: RAISES if set(lost) & set(names(call)) else ACCEPTS)
    await ran(Process(world=world, executor=stuck), 0.8 * HOUR)  # the second shard is done with what was there until now
    await asyncio.sleep(0.5 * HOUR)
    new = put_everywhere(world, 1)
    process = await ran(Process(world=world, owner="two", on_trimmed="fail"), 60)
    assert process.all_seen == new[SECOND]
    assert trimmed(process) == 1


@rule("stream.trimmed.fail")
@virtually
async def test_with_fail_what_a_running_reader_holds_is_worked_off_first() -> None:
    world = World(retention=HOUR)
    relents = 2 * HOUR + 600

    def script(call: Call) -> Answer:
        return RAISES if "b" in names(call) and now() < relents else ACCEPTS

    process = Process(world=world, executor=ScriptedExecutor(script), limits=BatchLimits(count=1), on_trimmed="fail")
    async with running(process):
        world.put("a", "b", "c")
        await asyncio.sleep(60)
        process.reading.refuse(DOWN, *EVERY_READ)
        world.put("lost")
        await asyncio.sleep(2 * HOUR)
        process.reading.heal()
        world.put("d")
        await asyncio.sleep(300)
        assert trimmed(process) == 1
        assert set(process.all_seen) == {"a", "b"}
        await asyncio.sleep(600)
        assert process.all_seen[-2:] == ["b", "c"], "held in memory, and nowhere else"
    assert process.seen[-1] == ["c"]


# ------------------------------------------------------------------------------------------------------------------- whole shards


@rule("stream.shards.lost-shard")
@pytest.mark.parametrize("drained", [True, False], ids=["checkpoint at its end", "records open"])
@virtually
async def test_a_closed_shard_that_is_gone_unfinished_is_counted_once_and_its_children_go_on(*, drained: bool) -> None:
    world = World(retention=HOUR)
    world.put("a")
    await ran(Process(world=world), 5)
    if not drained:
        world.put("lost")
    world.streams.split(STREAM_ARN, SHARD)
    await asyncio.sleep(HOUR + 60)
    children = put_everywhere(world, 1)
    one, two = Process(world=world, owner="one"), Process(world=world, owner="two")
    with capture_logs() as logs:
        async with running(one, two):
            await asyncio.sleep(30)
    assert sorted(one.all_seen + two.all_seen) == sorted(name for some in children.values() for name in some)
    assert trimmed(one) + trimmed(two) == 1
    assert [line["shard"] for line in logs if line["event"] == "checkpoint_trimmed"] == [SHARD]
    assert world.shards[SHARD].finished
    assert trimmed(await ran(Process(world=world, owner="three"), 120)) == 0


@rule("stream.shards.lost-shard")
@virtually
async def test_a_shard_that_is_gone_stops_its_children_with_fail() -> None:
    world = World(retention=HOUR)
    world.put("a")
    await ran(Process(world=world), 5)
    world.streams.split(STREAM_ARN, SHARD)
    await asyncio.sleep(HOUR + 60)
    put_everywhere(world, 1)
    process = Process(world=world, owner="one", on_trimmed="fail")
    with capture_logs() as logs:
        await ran(process, 300)
    assert process.all_seen == []
    assert not world.shards[SHARD].finished
    assert {line["what"] for line in logs if line["event"] == "failing"} == {SHARD}
    assert trimmed(process) == 1
    assert (await ran(Process(world=world, owner="two"), 30)).all_seen != []


@virtually
async def test_a_shard_that_is_missing_from_a_list_alone_is_left_alone() -> None:
    world = World(shards=2)
    put_everywhere(world, 1)
    await ran(Process(world=world), 5)
    process = Process(world=world, owner="two")
    listing = world.streams.list_shards
    world.streams.list_shards = lambda arn: listing(arn)[:1]  # type: ignore[method-assign]
    async with running(process):
        await asyncio.sleep(120)
        assert not any(state.finished for state in world.shards.values())
        assert trimmed(process) == 0
        world.streams.list_shards = listing  # type: ignore[method-assign]
        new = put_everywhere(world, 1)
        await until(lambda: set(process.all_seen) >= set(new[SECOND]), within=120)


@virtually
async def test_a_stream_that_is_gone_buries_no_shard() -> None:
    world = World()
    world.put("a")
    await ran(Process(world=world), 5)
    process = Process(world=world, owner="two")
    async with running(process):
        await asyncio.sleep(5)
        world.streams.delete_stream(STREAM_ARN)
        await asyncio.sleep(600)
        world.streams.create_stream("orders")
        await asyncio.sleep(600)
    assert not world.shards[SHARD].finished
    assert trimmed(process) == 0
