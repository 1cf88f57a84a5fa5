"""Parallel lanes of one shard, in whole processes: a poisoned key, another factor, and two factors at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor
from support.observing import Page, scrape
from support.processes import Process, World, running
from support.stage import MAPPING, SHARD, STREAM_ARN, later, now, until, virtually
from support.virtual import EPOCH

from poller.compose import read_ahead
from poller.config import Config, StreamMappingConfig
from poller.core.batching import BatchLimits
from poller.core.model import Answer, MappingId, ShardId, position
from poller.mapping import run_mapping
from poller.readahead import ReadAheadLimits
from poller.shard import run_shard
from poller.shardlane import lane_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.observe.shards import ShardStatus

rule = pytest.mark.rule

LANES = 10
CAP = 400
POLL = 0.25
"""Seconds between reads of a shard in which records come."""

KEYS = [f"customer-{number}" for number in range(60)]
POISON = "poison"
BEHIND_IT = [key for key in KEYS if lane_of(key, LANES) == lane_of(POISON, LANES)]
"""Keys that share its lane."""


class Producer:
    """Puts ten records ten times a second, keys in turn, named by key and number.

    Attributes:
        count: of records so far.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.count = 0

    async def run(self, seconds: float) -> None:
        """For so long."""
        end = now() + seconds
        while now() < end:
            self.put(KEYS[self.count % len(KEYS)] for _ in range(10))
            await asyncio.sleep(0.1)

    def put(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.count += 1
            self._world.streams.put_record(STREAM_ARN, key, f"{key}/{self.count}".encode())


def keys_in_order(*processes: Process) -> bool:
    """Whether each process, in their order, was handed the records of each key without a gap, from where the one before stopped.

    Or from before that: what a lane has done beyond the checkpoint is done again.
    """
    done: dict[str, int] = {}
    for process in processes:
        mine: dict[str, int] = {}
        for key, _, number in (name.partition("/") for name in process.all_seen):
            expected = mine[key] + len(KEYS) if key in mine else min(int(number), done.get(key, KEYS.index(key)) + len(KEYS))
            if int(number) != expected:
                return False
            mine[key] = int(number)
        done |= {key: max(number, done.get(key, 0)) for key, number in mine.items()}
    return True


def no_key_twice_at_once(process: Process) -> bool:
    """Whether invocations that overlap have no key in common."""
    calls = [(call, {record["kinesis"]["partitionKey"] for record in call.records}) for call in process.executor.calls]
    return not any(
        keys & others
        for (call, keys), (other, others) in combinations(calls, 2)
        if call.ended is not None and other.began < call.ended
    )


def ages(process: Process, since: float = 0.0, shard: str = "") -> list[float]:
    """How old each record of a key outside the poisoned lane was when it was invoked."""
    return [
        EPOCH + call.began - record["kinesis"]["approximateArrivalTimestamp"]
        for call in process.executor.calls
        if call.began >= since
        for record in call.records
        if record["eventID"].startswith(shard) and lane_of(record["kinesis"]["partitionKey"], LANES) != lane_of(POISON, LANES)
    ]


def poisoned(call: Call) -> Answer:
    return RAISES if any(record["kinesis"]["partitionKey"] == POISON for record in call.records) else ACCEPTS


def status_of(process: Process, shard: ShardId = SHARD) -> ShardStatus:
    (found,) = [each for each in process.stage.observe._shards.statuses() if each.shard == shard]
    return found


def blocked(page: Page, mapping: str) -> float | None:
    return page.value("poller_shards", mapping=mapping, state="blocked")


# ---------------------------------------------------------------------------------------------------------------- a poisoned key


@rule("stream.lanes.failure-blocks-its-lane")
@rule("stream.lanes.read-ahead-cap")
@virtually
async def test_a_poisoned_key_delays_no_other_lane_until_the_cap_and_then_the_shard_says_that_it_is_blocked() -> None:
    world = World()
    executor = ScriptedExecutor(poisoned, seconds=0.01)
    process = Process(world=world, executor=executor, read_ahead=ReadAheadLimits(records=CAP, soon=50, lanes=LANES))
    producer = Producer(world)
    async with running(process):
        await producer.run(2)
        producer.put([POISON])
        began = now()
        await producer.run(3)
        assert max(ages(process)) <= 2 * POLL
        page = scrape(process.stage.metrics)
        age = now() - began  # the first of its batch may be a little older
        assert page.value("poller_iterator_age_seconds", mapping="orders", shard=SHARD) == pytest.approx(age, abs=POLL)
        assert blocked(page, "orders") == 0
        status = status_of(process)
        stuck = status.lanes[lane_of(POISON, LANES)]
        assert (stuck.state, stuck.error) == ("retrying", "function_error: ValueError: no")
        assert stuck.retries >= 2
        assert stuck.oldest_age == pytest.approx(age, abs=POLL)
        assert stuck.failing_for == pytest.approx(stuck.oldest_age, abs=2 * POLL)
        others = [lane for lane in status.lanes if lane is not stuck]
        assert {lane.state for lane in others} <= {"idle", "running"}
        assert max(lane.oldest_age or 0.0 for lane in others) <= 2 * POLL

        await producer.run(10)
        assert blocked(scrape(process.stage.metrics), "orders") == 1
        reads = len(process.reading.calls["GetRecords"])
        status = status_of(process)
        assert CAP <= status.buffered_records <= CAP + 100  # the cap, and what one read brought
        assert [lane.index for lane in status.lanes if lane.state != "idle"] == [lane_of(POISON, LANES)]
        await asyncio.sleep(100)
        assert len(process.reading.calls["GetRecords"]) == reads
        assert max(ages(process)) <= 2 * POLL  # of all that was read; the rest waits at the source

        executor.script = lambda _: ACCEPTS
        await until(lambda: len({name for name in process.all_seen if not name.startswith(POISON)}) == producer.count - 1)
        assert blocked(scrape(process.stage.metrics), "orders") == 0


@rule("stream.lanes.failure-blocks-its-lane")
@virtually
async def test_nothing_else_in_the_process_notices_a_shard_that_is_blocked() -> None:
    world = World(shards=2)
    process = Process(
        world=world,
        executor=ScriptedExecutor(poisoned, seconds=0.01),
        read_ahead=ReadAheadLimits(records=10**9, soon=50, lanes=LANES),
    )
    process.budget.limit = 40_000  # what the blocked shard could hold alone
    other = Process(world=world, executor=ScriptedExecutor(seconds=0.01))
    other.budget = process.budget
    shard, _ = world.streams.put_record(STREAM_ARN, POISON, b"poison/1")
    producer = Producer(world)
    second = replace(other.mapping(), id=MappingId(f"{MAPPING[:-1]}2"))
    (free,) = {ShardId("shardId-000000000000"), ShardId("shardId-000000000001")} - {shard}
    keys = [key for key in KEYS if key not in BEHIND_IT]
    async with running(process), asyncio.TaskGroup() as group:
        group.create_task(run_mapping(second, other.drain))
        await until(lambda: len(process.executor.calls) > 1)
        since = now() + 1  # until then an idle shard may rest
        for _ in range(150):
            producer.put(keys[:20])
            await asyncio.sleep(0.1)
        page = scrape(process.stage.metrics)
        assert blocked(page, "orders") == 1
        assert status_of(process, shard).state == "blocked"
        assert status_of(process, free).state == "open"
        assert max(ages(process, since, free)) <= 2 * POLL
        assert max(ages(other, since)) <= 2 * POLL
        assert page.value("poller_iterator_age_seconds", mapping="orders", shard=free) <= 2 * POLL  # type: ignore[operator]
        assert blocked(scrape(other.stage.metrics), "orders") == 0
        other.drain.start()


# --------------------------------------------------------------------------------------------------------------- another factor


@rule("stream.lanes.repartition")
@rule("stream.lanes.key-order")
@rule("stream.lanes.concurrent-batches")
@virtually
async def test_with_another_factor_the_lanes_are_drained_first_and_each_key_keeps_its_order() -> None:
    world = World()
    before, after = (
        Process(world=world, executor=ScriptedExecutor(seconds=0.3), limits=BatchLimits(count=7), read_ahead=read_ahead(7, lanes))
        for lanes in (3, 8)
    )
    producer = Producer(world)
    async with asyncio.TaskGroup() as group:
        producing = group.create_task(producer.run(20))
        async with running(before):
            await asyncio.sleep(5.1)
            assert before.executor.most == 3
        assert all(call.ended is not None and not call.cancelled for call in before.executor.calls)  # settled, not cut off
        ended = now()
        async with running(after):
            await producing
            await until(lambda: len(set(after.all_seen) | set(before.all_seen)) == producer.count)
    assert after.executor.most == 8
    assert min(call.began for call in after.executor.calls) >= ended
    assert keys_in_order(before, after)
    assert len(before.all_seen) + len(after.all_seen) == producer.count  # and none comes twice
    assert no_key_twice_at_once(before)
    assert no_key_twice_at_once(after)


@rule("stream.lanes.drain-levels")
@virtually
async def test_lanes_that_are_behind_catch_up_before_a_drain_is_done() -> None:
    world = World()
    slow, quick = (next(key for key in KEYS if lane_of(key, 2) == lane) for lane in range(2))
    executor = ScriptedExecutor(seconds=lambda call: 1.0 if call.records[0]["kinesis"]["partitionKey"] == slow else 0.1)
    process = Process(world=world, executor=executor, limits=BatchLimits(count=1), read_ahead=ReadAheadLimits(lanes=2))
    numbers = [
        world.streams.put_record(STREAM_ARN, key, f"{key}/{n}".encode())[1] for n in range(4) for key in (slow, quick, slow)
    ]
    later(0.15, process.drain.start)  # the quick one is at its second record, which is the fifth of all
    assert await run_shard(await process.hold(), process.drain) is False
    assert process.all_seen == [f"{slow}/0", f"{quick}/0", f"{quick}/1", f"{slow}/0", f"{slow}/1"]
    assert now() == 3
    state = world.shards[SHARD]
    assert state.checkpoint is not None
    assert state.checkpoint.position == position(numbers[4])


@rule("stream.lanes.drain-levels")
@pytest.mark.parametrize(
    ("seconds", "answer", "drain_timeout", "ends"),
    [(1.0, RAISES, 30, 1.0), (4.0, ACCEPTS, 30, 8.0), (1.0, ACCEPTS, 3, 1.0)],
    ids=["one fails", "too slow", "no time"],
)
@virtually
async def test_lanes_catch_up_only_while_none_fails_and_for_a_sixth_of_the_drain_time_out_at_the_most(
    seconds: float, answer: Answer, drain_timeout: float, ends: float
) -> None:
    world = World()
    slow, quick = (next(key for key in KEYS if lane_of(key, 2) == lane) for lane in range(2))
    executor = ScriptedExecutor(
        lambda call: answer if call.records[0]["kinesis"]["partitionKey"] == slow else ACCEPTS,
        seconds=lambda call: seconds if call.records[0]["kinesis"]["partitionKey"] == slow else 0.1,
    )
    process = Process(world=world, executor=executor, limits=BatchLimits(count=1), read_ahead=read_ahead(1, 2, drain_timeout))
    for number, key in enumerate([slow] * 9 + [quick] * 9):
        world.streams.put_record(STREAM_ARN, key, f"{key}/{number}".encode())
    later(0.15, process.drain.start)
    assert await run_shard(await process.hold(), process.drain) is False
    assert now() == ends
    assert world.shards[SHARD].owner is None


@rule("stream.lanes.one-checkpoint")
@virtually
async def test_processes_with_different_factors_can_take_a_shard_from_each_other() -> None:
    world = World()
    processes = [
        Process(world=world, owner=f"p{lanes}", executor=ScriptedExecutor(seconds=0.2), read_ahead=read_ahead(10, lanes))
        for lanes in (2, 5, 1, 10)
    ]
    producer = Producer(world)
    async with asyncio.TaskGroup() as group:
        producing = group.create_task(producer.run(40))
        for process in processes:
            async with running(process):
                await asyncio.sleep(10)
        async with running(last := Process(world=world, owner="last")):
            await producing
            await until(lambda: len({name for each in (*processes, last) for name in each.all_seen}) == producer.count)
    assert keys_in_order(*processes, last)
    assert [each.executor.most for each in processes] == [2, 5, 1, 10]


# --------------------------------------------------------------------------------------------------------------- how far ahead


@pytest.mark.parametrize(
    ("batch_size", "lanes", "records", "soon"),
    [
        (100, 1, 10_000, 500),
        (10_000, 1, 20_000, 20_000),
        (100, 10, 10_000, 200),
        (10, 10, 10_000, 50),
        (10_000, 10, 200_000, 20_000),
    ],
)
def test_a_shard_is_read_ahead_for_two_full_batches_of_each_lane(batch_size: int, lanes: int, records: int, soon: int) -> None:
    limits = read_ahead(batch_size, lanes)
    assert (limits.records, limits.soon, limits.lanes) == (records, soon, lanes)
    assert limits.bytes == 32 * 1024 * 1024
    assert (limits.levelling, read_ahead(batch_size, lanes, drain_timeout=600).levelling) == (5.0, 5.0)


# ------------------------------------------------------------------------------------------------------------- what goes together


@rule("stream.lanes.filters")
@virtually
async def test_the_batches_of_lanes_hold_only_what_the_filter_lets_through_and_the_checkpoint_passes_the_rest() -> None:
    world = World()
    process = Process(world=world, read_ahead=read_ahead(10, 4))
    Producer(world).put(KEYS)
    last = world.put(next(key for key in KEYS if lane_of(key, 4) == 0))[0]
    held = await process.hold()
    held = replace(held, work=replace(held.work, wants=lambda record: lane_of(record.group, 4) == 2))
    later(3, process.drain.start)
    await run_shard(held, process.drain)
    assert {lane_of(name.partition("/")[0], 4) for name in process.all_seen} == {2}
    assert len(process.all_seen) == sum(1 for key in KEYS if lane_of(key, 4) == 2)
    state = world.shards[SHARD]
    assert state.checkpoint is not None
    assert state.checkpoint.position == position(last)


def mapping_with(**settings: object) -> Config:
    mapping = {"name": "m", "event_source_arn": STREAM_ARN, "function_name": "f", "starting_position": "LATEST"}
    function = {"executor": "inline", "handler": "app.handler"}
    return Config.model_validate({"functions": {"f": function}, "event_source_mappings": [mapping | settings]})


@rule("stream.lanes.most")
def test_a_factor_may_be_a_hundred() -> None:
    (mapping,) = mapping_with(parallelization_factor=100).event_source_mappings
    assert isinstance(mapping, StreamMappingConfig)
    assert mapping.parallelization_factor == 100
    with pytest.raises(ValidationError, match=r'"parallelization_factor" must be from 1 to 100'):
        mapping_with(parallelization_factor=101)


@rule("stream.lanes.no-windows")
def test_lanes_and_tumbling_windows_exclude_each_other() -> None:
    assert mapping_with(parallelization_factor=1, tumbling_window_in_seconds=60).event_source_mappings
    with pytest.raises(ValidationError, match="above 1 exclude each other"):
        mapping_with(parallelization_factor=2, tumbling_window_in_seconds=60)
    with pytest.raises(ValidationError, match=r'"filter_criteria" exclude each other in Lambda'):
        mapping_with(tumbling_window_in_seconds=60, filter_criteria={"filters": [{"pattern": '{"partitionKey": ["1"]}'}]})
