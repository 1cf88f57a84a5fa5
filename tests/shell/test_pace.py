"""Five reads a second and shard, for all mappings of the process together."""

from __future__ import annotations

import asyncio

import pytest
from support.stage import STREAM_ARN, now, virtually
from support.virtual import VirtualClock

from poller.core.model import ShardId
from poller.sources.pace import ReadPace

rule = pytest.mark.rule

A, B = ShardId("a"), ShardId("b")


async def turns(pace: ReadPace, shard: ShardId, count: int, times: list[float], stream: str = STREAM_ARN) -> None:
    """Takes turns one after the other, and notes when."""
    for _ in range(count):
        await pace.turn(stream, shard)
        times.append(now())


def busiest_second(times: list[float]) -> int:
    """How many of these fell into any one second."""
    return max(sum(start <= at < start + 1 - 1e-6 for at in times) for start in times)


@rule("stream.poll.shared-read-rate")
@virtually
async def test_readers_of_one_shard_share_five_reads_a_second() -> None:
    pace = ReadPace(VirtualClock())
    first: list[float] = []
    second: list[float] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(turns(pace, A, 20, first))
        group.create_task(turns(pace, A, 20, second))
    assert busiest_second(first + second) == 5
    assert max(first + second) == pytest.approx(39 / 5)
    assert max(first) - max(second) == pytest.approx(0, abs=0.41)  # neither was served before the other


@virtually
async def test_turns_are_taken_in_the_order_of_asking() -> None:
    pace = ReadPace(VirtualClock())
    order: list[str] = []

    async def one(name: str) -> None:
        await pace.turn(STREAM_ARN, A)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abcde":
            group.create_task(one(name))
    assert order == list("abcde")


@virtually
async def test_shards_and_streams_do_not_wait_for_each_other() -> None:
    pace = ReadPace(VirtualClock())
    times: list[float] = []
    await turns(pace, A, 1, times)
    await turns(pace, B, 1, times)
    await turns(pace, A, 1, times, stream="another")
    assert times == [0, 0, 0]


@virtually
async def test_a_shard_that_was_idle_is_read_at_once_but_saves_nothing_up() -> None:
    pace = ReadPace(VirtualClock())
    times: list[float] = []
    await turns(pace, A, 1, times)
    await asyncio.sleep(100)
    await turns(pace, A, 3, times)
    assert times == pytest.approx([0, 100, 100.2, 100.4])


@virtually
async def test_who_is_cancelled_while_it_waits_holds_nobody_up_for_long() -> None:
    pace = ReadPace(VirtualClock())
    times: list[float] = []
    await turns(pace, A, 1, times)
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(turns(pace, A, 1, []))
        await asyncio.sleep(0.1)
        given_up.cancel()
    await turns(pace, A, 1, times)
    assert times == pytest.approx([0, 0.4])
