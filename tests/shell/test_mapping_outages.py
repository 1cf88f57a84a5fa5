"""A mapping through outages of its store and its stream, and its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.doubles import Call, ScriptedExecutor
from support.processes import Process, World, put_everywhere, running
from support.stage import SHARD, STREAM_ARN, later, now, virtually

from poller.core.batching import BatchLimits
from poller.errors import LeaseLost, Unavailable

if TYPE_CHECKING:
    from poller.core.model import Answer

rule = pytest.mark.rule

BY_ONE = BatchLimits(count=1)
THROTTLED = Unavailable("DescribeStreamSummary", "throttled")
DOWN = Unavailable("store", "connection")
EVERY_CALL = ("stream", "enroll", "shards", "acquire", "renew", "release", "load", "advance", "finish")


@rule("stream.delivery.at-least-once")
@rule("stream.delivery.in-order")
@virtually
async def test_in_a_store_outage_the_holder_stops_when_its_lease_ends_and_goes_on_afterwards() -> None:
    world = World()
    process = Process(world=world, executor=ScriptedExecutor(seconds=0.7), limits=BY_ONE, lease_ttl=30)
    calls = process.executor.calls
    world.put(*map(str, range(200)))
    async with running(process):
        await asyncio.sleep(20.5)
        durable = len(calls) - 1
        process.storing.refuse(DOWN, *EVERY_CALL)
        await asyncio.sleep(60)
        stopped = calls[-1]
        assert stopped.cancelled
        assert stopped.ended == pytest.approx(20 + 27, abs=0.1)  # it was renewed at 10 and at 20
        process.storing.heal()
        await asyncio.sleep(240)
    before, after = process.all_seen[: calls.index(stopped) + 1], process.all_seen[calls.index(stopped) + 1 :]
    assert before == [str(number) for number in range(len(before))]
    assert after == [str(number) for number in range(int(after[0]), 200)]
    assert durable <= int(after[0]) < len(before)  # from the checkpoint: in order, and nothing left out
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
    put_everywhere(world, 1)
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
    put_everywhere(world, 1)
    process = Process(world=world, executor=ScriptedExecutor(seconds=100))
    async with running(process) as (task,):
        await asyncio.sleep(5)
        task.cancel()
    assert now() == 5
    assert all(call.cancelled for call in process.executor.calls)
    assert process.storing.calls["advance"] == []


class Stubborn(ScriptedExecutor):
    """Fails when it is cancelled."""

    error: Exception = RuntimeError("the worker cannot be ended")

    async def _work(self, call: Call) -> None:
        try:
            await super()._work(call)
        except asyncio.CancelledError:
            raise self.error from None


@pytest.mark.parametrize("error", [RuntimeError("the worker cannot be ended"), LeaseLost("in the same moment")], ids=repr)
@virtually
async def test_a_part_that_fails_while_it_is_cancelled_does_not_keep_the_mapping_alive(error: Exception) -> None:
    world = World(shards=2)
    put_everywhere(world, 1)
    process = Process(world=world, executor=Stubborn(seconds=1000))
    process.executor.error = error  # type: ignore[attr-defined]
    with capture_logs():
        async with running(process) as (task,):
            await asyncio.sleep(10)
            task.cancel()
            await asyncio.wait([task], timeout=100)
            took = now()
    assert task.cancelled()
    assert took == 10
