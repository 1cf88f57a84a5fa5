"""Where a mapping begins, and where it begins again: what is stored before it counts as enabled, and what is refused."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.doubles import ScriptedExecutor
from support.processes import Process, World, running
from support.stage import MAPPING, SHARD, STREAM_ARN, virtually
from support.virtual import EPOCH

from poller.core.batching import BatchLimits
from poller.core.model import MappingId, ShardId, Start, StreamId, position
from poller.core.shards import start_from
from poller.errors import Unavailable

if TYPE_CHECKING:
    from typing import Literal

rule = pytest.mark.rule

LATEST = Start(type="LATEST")
DOWN = Unavailable("somewhere", "connection")
SECOND = ShardId("shardId-000000000001")


def state(process: Process) -> str:
    """The state that the mapping shows."""
    states = ("Creating", "Enabled", "Disabled")
    return " ".join(name for name in states if process.count("mapping_state", state=name))


async def drained(process: Process, seconds: float) -> Process:
    """Runs it for so long."""
    async with running(process):
        await asyncio.sleep(seconds)
    return process


# ----------------------------------------------------------------------------------------------------------- starting positions


@rule("stream.start.trim-horizon")
@virtually
async def test_trim_horizon_begins_with_the_oldest_record() -> None:
    world = World(retention=3600)
    world.put("trimmed")
    await asyncio.sleep(3601)
    world.put("a")
    await asyncio.sleep(10)
    process = Process(world=world)
    async with running(process):
        await asyncio.sleep(3)
        world.put("b")
        await asyncio.sleep(3)
    assert process.all_seen == ["a", "b"]


@rule("stream.start.latest")
@virtually
async def test_latest_begins_behind_the_newest_record() -> None:
    world = World()
    world.put("a", "b")
    process = Process(world=world, start=LATEST)
    async with running(process):
        for _ in range(100):  # no time passes
            await asyncio.sleep(0)
        assert state(process) == "Enabled"
        world.put("c")  # in the same instant as the boundary
        await asyncio.sleep(5)
    assert process.all_seen == ["c"]


@rule("stream.start.at-timestamp")
@virtually
async def test_at_timestamp_begins_with_the_first_record_from_then_on() -> None:
    world = World()
    for name in "abc":
        world.put(name)
        await asyncio.sleep(10)
    process = await drained(Process(world=world, start=Start(type="AT_TIMESTAMP", timestamp=EPOCH + 10)), 5)
    assert process.all_seen == ["b", "c"]


@rule("stream.start.latest-boundary-is-stored")
@virtually
async def test_the_boundary_is_stored_before_the_mapping_counts_as_enabled() -> None:
    world = World()
    process = Process(world=world, start=LATEST)
    process.storing.slow(10, "enroll")
    process.reading.slow(3, "GetRecords")
    async with running(process):
        await asyncio.sleep(5)
        assert (state(process), world.shards) == ("Creating", {})
        world.put("a")  # not enabled, but behind the boundary that was taken
        await asyncio.sleep(6)
        assert state(process) == "Enabled"
        stored = world.shards[SHARD].checkpoint
        assert start_from(stored) == Start(type="LATEST", timestamp=EPOCH)
        await asyncio.sleep(5)
    assert process.all_seen == ["a"]
    assert state(process) == "Disabled"


@rule("stream.start.boundaries-before-reading")
@virtually
async def test_all_boundaries_are_taken_before_any_shard_is_read() -> None:
    world = World(shards=4)
    process = Process(world=world, start=LATEST)
    process.reading.slow(3, "GetShardIterator")
    await drained(process, 30)
    assert process.reading.calls["GetShardIterator"] == [0, 3, 6, 9]
    assert min(process.reading.calls["GetRecords"]) == 12


@rule("stream.start.latest-boundary-is-stored")
@virtually
async def test_the_next_process_begins_at_the_boundary_even_if_nothing_was_read_before() -> None:
    world = World()
    world.put("old")
    await asyncio.sleep(10)
    first = await drained(Process(world=world, start=LATEST), 0.5)
    world.put("a")
    await asyncio.sleep(1000)
    world.put("b")
    second = await drained(Process(world=world, owner="two", start=LATEST), 5)
    assert (first.all_seen, second.all_seen) == ([], ["a", "b"])


@rule("stream.start.latest-boundary-is-stored")
@virtually
async def test_of_two_processes_that_start_together_the_boundary_that_was_stored_counts() -> None:
    world = World()
    quick, slow = Process(world=world, start=LATEST), Process(world=world, owner="two", start=LATEST)
    quick.storing.slow(1, "enroll")
    quick.reading.refuse(DOWN, "GetRecords")
    slow.reading.slow(5, "GetShardIterator")  # it takes its boundary at 5, but the one of 0 is stored by then
    async with running(slow):
        async with running(quick):
            await asyncio.sleep(3)
            world.put("between")
            await asyncio.sleep(4)
        await asyncio.sleep(20)
    assert slow.all_seen == ["between"]


@virtually
async def test_a_boundary_whose_storing_was_not_confirmed_is_used_all_the_same() -> None:
    world = World()
    process = Process(world=world, start=LATEST)
    process.storing.lose(DOWN, "enroll")
    async with running(process):
        await asyncio.sleep(0.01)
        process.storing.heal()
        world.put("a")
        await asyncio.sleep(10)
    assert process.all_seen == ["a"]


# ------------------------------------------------------------------------------------------------------------- starting again


@rule("stream.start.resume-from-checkpoint")
@pytest.mark.parametrize("start", [Start(type="TRIM_HORIZON"), LATEST, Start(type="AT_TIMESTAMP", timestamp=EPOCH)])
@virtually
async def test_a_mapping_that_has_run_before_goes_on_behind_its_checkpoint(start: Start) -> None:
    world = World()
    first = Process(world=world)
    async with running(first):
        numbers = world.put("a", "b")
        await asyncio.sleep(5)
    checkpoint = world.shards[SHARD].checkpoint
    assert checkpoint is not None
    assert checkpoint.position == position(numbers[1])
    world.put("c")
    second = await drained(Process(world=world, owner="two", start=start), 5)
    assert (first.all_seen, second.all_seen) == (["a", "b"], ["c"])


@rule("stream.delivery.at-least-once")
@virtually
async def test_after_a_crash_what_was_in_flight_is_delivered_again_and_nothing_else() -> None:
    world = World()
    world.put("a", "b", "c")
    executor = ScriptedExecutor(seconds=lambda call: 10)
    first = Process(world=world, executor=executor, limits=BatchLimits(count=1))
    async with running(first) as (task,):
        await asyncio.sleep(15)
        first.cut()
        task.cancel()
    second = await drained(Process(world=world, owner="two", limits=BatchLimits(count=1)), 60)
    assert (first.all_seen, second.all_seen) == (["a", "b"], ["b", "c"])


@rule("stream.checkpoint.trimmed")
@virtually
async def test_where_the_record_behind_the_checkpoint_is_gone_reading_goes_on_with_the_oldest() -> None:
    world = World(retention=3600)
    world.put("a")
    await drained(Process(world=world), 5)
    world.put("lost")
    await asyncio.sleep(4000)
    world.put("b")
    second = await drained(Process(world=world, owner="two"), 5)
    assert second.all_seen == ["b"]
    assert world.documents == []


@rule("stream.start.checkpoints-belong-to-a-mapping")
@virtually
async def test_another_mapping_of_the_same_stream_inherits_nothing() -> None:
    world = World()
    world.put("a")
    world.contents.enroll(MappingId("another"), (StreamId(arn=STREAM_ARN, created_at=EPOCH)), {})
    process = await drained(Process(world=world), 5)
    assert process.all_seen == ["a"]


# ---------------------------------------------------------------------------------------------------------------------- refusals


@rule("stream.start.other-stream-is-refused")
@pytest.mark.parametrize(
    ("known", "says"),
    [
        (StreamId(arn=STREAM_ARN + "-old", created_at=EPOCH), "belong to arn:.*orders-old, not to .*orders. Give the mapping"),
        (StreamId(arn=STREAM_ARN, created_at=EPOCH - 5), "orders was deleted and made again since"),
    ],
    ids=["another stream", "an earlier incarnation"],
)
@virtually
async def test_a_checkpoint_of_another_stream_is_refused_and_nothing_is_read(known: StreamId, says: str) -> None:
    world = World()
    world.put("a")
    world.contents.enroll(MAPPING, known, {})
    with capture_logs() as logs:
        process = await drained(Process(world=world), 100)
    failures = [line for line in logs if line["event"] == "failing"]
    assert failures
    assert all(re.search(says, line["error"]) for line in failures)
    assert process.all_seen == []
    assert process.reading.calls["GetRecords"] == []
    assert not [line for line in logs if line["event"] == "crashed"]


@virtually
async def test_a_creation_time_that_is_told_a_little_differently_is_the_same_stream() -> None:
    world = World()
    world.put("a")
    world.contents.enroll(MAPPING, StreamId(arn=STREAM_ARN, created_at=EPOCH + 0.9), {})
    assert (await drained(Process(world=world), 5)).all_seen == ["a"]


@pytest.mark.parametrize(("resume", "seen"), [("fail", ["a"]), ("latest", ["a", "c"]), ("trim_horizon", ["a", "a", "b", "c"])])
@virtually
async def test_a_store_that_comes_back_empty_is_met_as_configured(
    resume: Literal["fail", "latest", "trim_horizon"], seen: list[str]
) -> None:
    world = World()
    process = Process(world=world, resume=resume, lease_ttl=9)
    with capture_logs() as logs:
        async with running(process):
            await asyncio.sleep(1)
            world.put("a")
            await asyncio.sleep(4)
            process.reading.refuse(DOWN, "GetRecords")  # so that b is not seen before the loss is
            world.contents.clear()
            world.put("b")
            await asyncio.sleep(100)
            process.reading.heal()
            world.put("c")
            await asyncio.sleep(100)
    assert process.all_seen == seen
    said = [line["error"] for line in logs if line["event"] == "failing" and "`resume: latest`" in line["error"]]
    assert bool(said) == (resume == "fail")


@virtually
async def test_a_store_that_comes_back_empty_before_the_first_record_was_settled_is_met_the_same() -> None:
    world = World()
    process = Process(world=world, start=LATEST, lease_ttl=9)
    async with running(process):
        await asyncio.sleep(5)
        world.contents.clear()
        await asyncio.sleep(100)
        world.put("a")
        await asyncio.sleep(10)
        assert world.shards == {}
    assert process.all_seen == []
