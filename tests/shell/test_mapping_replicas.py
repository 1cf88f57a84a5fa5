"""Several processes share a mapping's shards through the store: one reader for each shard, and takeover when one is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.doubles import ACCEPTS, ScriptedExecutor
from support.processes import Process, World, names, running
from support.stage import SHARD, STREAM_ARN, now, virtually

from poller.core.batching import BatchLimits
from poller.errors import Unavailable

if TYPE_CHECKING:
    from support.doubles import Call

rule = pytest.mark.rule

DOWN = Unavailable("store", "connection")
TTL = 30.0
RENEWAL = ("renew", "advance", "release", "acquire", "shards", "stream")


def pair(world: World, seconds: float = 0.1) -> tuple[Process, Process]:
    """Two processes of one mapping."""
    one, two = (
        Process(
            world=world,
            owner=owner,
            executor=ScriptedExecutor(lambda _: ACCEPTS, seconds=seconds),
            limits=BatchLimits(count=1),
            lease_ttl=TTL,
        )
        for owner in ("one", "two")
    )
    return one, two


def at_the_same_time(first: Process, second: Process) -> list[tuple[Call, Call]]:
    """Invocations of the two that ran at the same time."""
    return [
        (mine, yours)
        for mine in first.executor.calls
        for yours in second.executor.calls
        if mine.began < (yours.ended or now()) and yours.began < (mine.ended or now())
    ]


@virtually
async def test_each_shard_has_one_reader_and_each_record_one_delivery() -> None:
    world = World(shards=4)
    one, two = pair(world)
    put = []
    async with running(one, two):
        for number in range(100):
            put += [f"{number}"]
            world.put(f"{number}")
            await asyncio.sleep(1)
        owners = {state.owner for state in world.shards.values()}
    assert sorted(one.all_seen + two.all_seen) == sorted(put)
    assert owners <= {"one", "two"}
    acquired = [process.count("lease_transitions_total", transition="acquired") for process in (one, two)]
    assert sum(count or 0 for count in acquired) == 4


@virtually
async def test_what_a_process_drains_another_takes_within_seconds() -> None:
    world = World()
    one, two = pair(world)
    async with running(one):
        world.put("a")
        await asyncio.sleep(5)
        async with running(two):
            await asyncio.sleep(5.7)
            one.drain.start()
            began = now()
            world.put("b")
            await asyncio.sleep(10)
    assert (one.all_seen, two.all_seen) == (["a"], ["b"])
    assert two.executor.calls[0].began - began < 3


@rule("stream.delivery.at-least-once")
@rule("stream.delivery.in-order")
@virtually
async def test_the_shard_of_a_process_that_crashed_is_taken_over_when_its_lease_ends() -> None:
    world = World()
    one, two = pair(world, seconds=4)
    world.put("a", "b", "c")
    async with running(one) as (task,):
        await asyncio.sleep(6)
        async with running(two):
            await asyncio.sleep(0.5)
            one.cut()
            task.cancel()
            await asyncio.sleep(100)
    assert one.all_seen == ["a", "b"]
    assert two.all_seen == ["b", "c"]
    began = two.executor.calls[0].began
    assert TTL <= began <= TTL + 2.5  # its last renewal was its first


@rule("stream.delivery.in-order")
@virtually
async def test_a_process_that_loses_the_store_stops_before_another_begins() -> None:
    world = World()
    one, two = pair(world, seconds=7)
    world.put(*map(str, range(30)))
    async with running(one):
        await asyncio.sleep(12)
        async with running(two):
            one.storing.refuse(DOWN, *RENEWAL)
            await asyncio.sleep(150)
            assert not at_the_same_time(one, two)
            assert two.all_seen
            one.storing.heal()
            await asyncio.sleep(100)
    assert not at_the_same_time(one, two)
    first = int(two.all_seen[0])
    assert two.all_seen == [str(number) for number in range(first, first + len(two.all_seen))]
    assert [str(number) for number in range(first)] == one.all_seen[:first]  # nothing between them is missing
    assert one.count("lease_transitions_total", transition="lost") == 1
    assert one.count("leases_owned") == 0


@rule("stream.shards.parent-before-child")
@virtually
async def test_children_wait_for_a_parent_that_another_process_works_off() -> None:
    world = World()
    one, two = pair(world, seconds=50)
    world.put("parent")
    async with running(one):
        await asyncio.sleep(5)
        world.streams.split(STREAM_ARN, SHARD)
        world.put("x", "y", "z")
        async with running(two):
            await asyncio.sleep(40)
            assert two.all_seen == []
            await asyncio.sleep(200)
    assert one.executor.calls[0].ended == 50
    later_calls = one.executor.calls[1:] + two.executor.calls
    assert sorted(names(call)[0] for call in later_calls) == ["x", "y", "z"]
    assert all(call.began >= 50 for call in later_calls)
