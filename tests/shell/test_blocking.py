"""`on_exhausted: block`, and a split that a killed process leaves behind: a mapping with its reader, checkpoints and store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import ceil, log2
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from support.build import RAISED, attempt, records
from support.doubles import ACCEPTS, RAISES, ScriptedExecutor, reports
from support.processes import Process, World, names, running
from support.stage import SHARD, Buffer, now, until, virtually

from poller.core.batching import BatchLimits
from poller.core.extra import unpack
from poller.core.policy import Backoff, StreamPolicy
from poller.readahead import ReadAheadLimits
from poller.shard import lane_status
from poller.shardlane import lane_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from support.doubles import Call

    from poller.core.model import Answer

rule = pytest.mark.rule

AT_RISK = 2
"""Invocations that a kill may repeat: the one under way, and the one before it if its checkpoint was still being written."""

BLOCK = StreamPolicy(max_retries=1, bisect=True, on_exhausted="block", backoff=Backoff(maximum=20))


class Function:
    """Raises where one of these is in its event, until it is mended."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)

    def executor(self, seconds: float = 0.0) -> ScriptedExecutor:
        """One process's way to it."""
        return ScriptedExecutor(lambda call: RAISES if self.bad & set(names(call)) else ACCEPTS, seconds=seconds)


def blocked(log: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """The lines that say it."""
    return [line for line in log if line["event"] == "blocked"]


def numbered(count: int) -> list[str]:
    return [f"{number:04}" for number in range(1, count + 1)]


# -------------------------------------------------------------------------------------------------------------------- blocking


@rule("stream.exhausted.blocks-one-record")
@rule("stream.exhausted.goes-on-when-mended")
@virtually
async def test_a_blocked_shard_says_so_and_goes_on_once_the_function_is_mended() -> None:
    with capture_logs() as log:
        world, function = World(), Function("b")
        numbers = world.put("a", "b", "c")
        process = Process(world=world, executor=function.executor(), policy=BLOCK)
        async with running(process):
            await until(lambda: blocked(log))
            assert process.seen == [["a", "b", "c"], ["a", "b"], ["a"], ["b"], ["b"]]
            before = now()
            for _ in range(100):
                await asyncio.sleep(1)
                assert process.count("shards", state="blocked") == 1
            assert 4 <= len(process.seen) - 5 <= 7  # a hundred seconds, twenty between two tries
            function.bad.clear()
            await until(lambda: process.count("shards", state="blocked") == 0)
            assert now() - before < 100 + 25
            assert process.seen[-2:] == [["b"], ["c"]]
    assert world.documents == []
    [line] = blocked(log)
    said = {key: line[key] for key in ("log_level", "shard", "records", "first_sequence", "last_sequence", "kind", "error")}
    assert said == {
        "log_level": "error",
        "shard": SHARD,
        "records": 1,
        "first_sequence": numbers[1],
        "last_sequence": numbers[1],
        "kind": "function_error",
        "error": "ValueError: no",
    }
    assert "mend the function" in line["remedy"]


@rule("stream.exhausted.survives-restarts")
@virtually
async def test_a_blocked_record_blocks_the_next_process_as_well() -> None:
    world, function = World(), Function("b")
    world.put("a", "b", "c")
    first = Process(world=world, executor=function.executor(), policy=BLOCK)
    with capture_logs() as log:
        async with running(first):
            await until(lambda: blocked(log))
    second = Process(world=world, owner="two", executor=function.executor(), policy=BLOCK)
    with capture_logs() as log:
        async with running(second):
            await until(lambda: blocked(log))
            assert second.seen == [["b"]]  # one failure: its retries were spent before
            function.bad.clear()
            await until(lambda: "c" in second.all_seen)
    assert second.seen[-1] == ["c"]
    assert world.documents == []


@rule("stream.exhausted.blocks")
@virtually
async def test_a_blocked_lane_makes_its_shard_blocked_while_the_other_lanes_go_on() -> None:
    world = World()
    lanes: dict[int, str] = {}
    for name in numbered(50):
        lanes.setdefault(lane_of(name, 3), name)
    function = Function(lanes[0])
    process = Process(world=world, executor=function.executor(), policy=BLOCK, read_ahead=ReadAheadLimits(lanes=3))
    world.put(*lanes.values())
    async with running(process):
        await until(lambda: process.count("shards", state="blocked") == 1)
        world.put(lanes[1], lanes[2])
        await until(lambda: process.all_seen.count(lanes[1]) == process.all_seen.count(lanes[2]) == 2)
        assert process.count("shards", state="blocked") == 1
        function.bad.clear()
        await until(lambda: process.count("shards", state="blocked") == 0)


@rule("stream.exhausted.blocks")
@virtually
async def test_the_status_of_a_lane_that_waits_for_an_operator_says_so_also_while_it_tries_again() -> None:
    buffer = Buffer()
    (lane,) = buffer.ahead.lanes
    buffer.ahead.deal(records(1))
    await lane.read(10, None)
    failed, waiting = attempt(1, retries=1), replace(attempt(1, retries=2), blocked=True)
    lane.judged(failed, RAISED)
    assert lane_status(lane, 0.0, now()).state == "retrying"
    lane.waiting(waiting)
    lane.waiting(None)
    assert lane_status(lane, 0.0, now()).state == "blocked", "also while it is tried for the first time since"
    lane.judged(waiting, RAISED)
    status = lane_status(lane, 0.0, now())
    assert (status.state, status.retries, status.error) == ("blocked", 2, "function_error: ValueError: no")
    await lane.settle(records(1))
    assert lane_status(lane, None, now()).state == "idle"


# ---------------------------------------------------------------------------------------------------------------------- bisecting


@rule("stream.bisect.survives-restarts")
@pytest.mark.parametrize("killed_after", [0.5, 3.5, 7.5, 12.5, 19.5, 23.9])
@virtually
async def test_a_process_that_is_killed_while_it_splits_costs_the_invocation_that_it_was_in(killed_after: float) -> None:
    size = 200
    world, function = World(), Function("0131")
    sequences = world.put(*numbered(size))
    policy, limits = StreamPolicy(max_retries=2, bisect=True), BatchLimits(count=size)
    first = Process(world=world, executor=function.executor(1.0), policy=policy, limits=limits, lease_ttl=10)
    first.storing.slow(0.2, "advance")
    async with running(first) as [task]:
        await until(lambda: now() >= killed_after)
        first.cut()
        task.cancel()
    world.put("0201", "0202")
    second = Process(world=world, owner="two", executor=function.executor(1.0), policy=policy, limits=limits, lease_ttl=10)
    async with running(second):
        await until(lambda: "0202" in second.all_seen)
    [document] = world.documents
    batch = document["KinesisBatchInfo"]
    assert (batch["startSequenceNumber"], batch["batchSize"]) == (sequences[130], 1)
    assert document["requestContext"]["approximateInvokeCount"] == 3
    extra = len(first.seen) + len(second.seen) - 2  # but for the first one, and the last one of the two that came later
    assert extra <= 2 * ceil(log2(size)) + 2 + AT_RISK
    checkpoint = world.shards[SHARD].checkpoint
    assert checkpoint is not None
    assert unpack(checkpoint.extra).memos == ()


@rule("stream.bisect.survives-restarts")
@virtually
async def test_each_lane_has_a_split_of_its_own() -> None:
    world = World()
    some = numbered(40)
    bad = [next(name for name in some if lane_of(name, 2) == lane) for lane in (0, 1)]
    function = Function(*bad)
    policy = StreamPolicy(max_retries=1, bisect=True)
    limits, ahead = BatchLimits(count=40), ReadAheadLimits(lanes=2)
    world.put(*some)
    first = Process(world=world, executor=function.executor(1.0), policy=policy, limits=limits, read_ahead=ahead)
    async with running(first):
        await until(lambda: now() >= 4.5)
    checkpoint = world.shards[SHARD].checkpoint
    assert checkpoint is not None
    left = unpack(checkpoint.extra)
    assert [bool(memo.cuts) for memo in left.memos] == [True, True]
    second = Process(world=world, owner="two", executor=function.executor(1.0), policy=policy, limits=limits, read_ahead=ahead)
    async with running(second):
        await until(lambda: set(some) <= {*first.all_seen, *second.all_seen} and len(world.documents) == 2)
    for seen in second.seen:
        lane = lane_of(seen[0], 2)
        assert {lane_of(name, 2) for name in seen} == {lane}
    largest = max(len(seen) for seen in second.seen if set(seen) & set(bad))
    assert largest < len(some) // 2  # neither begins with its whole half again


@rule("stream.bisect.survives-restarts")
@virtually
async def test_what_was_accepted_is_not_given_up_with_a_part_behind_it_though_another_lane_holds_the_checkpoint_back() -> None:
    world = World()
    stuck = next(name for name in numbered(50) if lane_of(name, 2) == 0)
    *good, half, bad = [name for name in numbered(50) if lane_of(name, 2) == 1][:6]

    def function(call: Call) -> Answer:
        if stuck in names(call) or (bad in names(call) and names(call) != [half, bad]):
            return RAISES
        return ACCEPTS if bad not in names(call) else reports(call.records[1]["kinesis"]["sequenceNumber"])

    def process(owner: str) -> Process:
        made = Process(
            world=world,
            owner=owner,
            executor=ScriptedExecutor(function, seconds=0.1),
            policy=StreamPolicy(max_retries=5),
            limits=BatchLimits(count=10),
            read_ahead=ReadAheadLimits(lanes=2),
        )
        made.work = replace(made.work, report_batch_item_failures=True)
        return made

    first, second = process("one"), process("two")
    async with running(first) as [task]:
        world.put(stuck, *good)
        await until(lambda: good in first.seen)
        world.put(half, bad)
        await until(lambda: first.seen.count([bad]) == 4)
        first.cut()
        task.cancel()
    async with running(second):
        await until(lambda: len(world.documents) == 2)
    assert [seen for seen in second.seen if seen != [stuck]] == [[*good, half], [bad], [bad], [bad]]
    told = [document["KinesisBatchInfo"]["batchSize"] for document in world.documents]
    assert told == [1, 1]
