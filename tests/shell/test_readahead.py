"""Read-ahead: bounded in records and bytes, for the shard and for the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import record, records
from support.stage import Buffer, later, now, virtually
from support.virtual import run_virtually

from poller.checkpointer import MAX_PENDING
from poller.readahead import MemoryBudget

if TYPE_CHECKING:
    from poller.core.model import Record


def sized(number: int, size: int) -> Record:
    return record(number, payload=b"x" * size)


@virtually
async def test_the_reader_waits_while_the_shard_holds_as_many_records_as_it_may() -> None:
    buffer = Buffer(records=3)
    buffer.ahead.deal(records(1, 2))
    assert not await buffer.is_full()
    buffer.ahead.deal(records(3))
    assert await buffer.is_full()
    await buffer.settle(1)
    assert not await buffer.is_full()


@virtually
async def test_the_reader_waits_while_the_shard_holds_as_many_bytes_as_it_may() -> None:
    buffer = Buffer(bytes=100)
    buffer.ahead.deal([sized(1, 60), sized(2, 39)])
    assert not await buffer.is_full()
    buffer.ahead.deal([sized(3, 1)])
    assert await buffer.is_full()
    await buffer.settle(1)
    assert not await buffer.is_full()


@virtually
async def test_a_shard_that_waits_for_room_goes_on_as_soon_as_something_is_settled() -> None:
    buffer = Buffer(records=2)
    buffer.ahead.deal(records(1, 2))
    async with asyncio.TaskGroup() as group:
        group.create_task(buffer.ahead.space())
        await asyncio.sleep(50)
        assert buffer.ahead.stopped
        await buffer.settle(1)
    assert now() == 50
    assert not buffer.ahead.stopped


@virtually
async def test_the_reader_waits_while_no_lane_will_run_dry_soon() -> None:
    buffer = Buffer(soon=3)
    buffer.ahead.deal(records(1, 2, 3))
    assert await buffer.is_full()
    async with asyncio.TaskGroup() as group:
        group.create_task(buffer.ahead.space())
        await asyncio.sleep(50)
        assert buffer.ahead.stopped
        await buffer.ahead.lanes[0].read(1, 0)  # it is not settled yet, but taken
    assert now() == 51


@virtually
async def test_settling_out_of_order_makes_no_room_until_the_oldest_is_settled() -> None:
    buffer = Buffer(records=3)
    buffer.ahead.deal(records(1, 2, 3))
    await buffer.settle(2, 3)
    assert await buffer.is_full()
    assert buffer.ahead.oldest == 0.0
    await buffer.settle(1)
    assert not await buffer.is_full()
    assert buffer.ahead.bytes == 0
    assert buffer.ahead.oldest is None


@virtually
async def test_a_shard_waits_while_the_process_holds_as_much_as_it_may_and_goes_on_when_another_shard_settles() -> None:
    budget = MemoryBudget(100)
    big, small = Buffer(budget), Buffer(budget)
    big.ahead.deal([sized(1, 75)])
    small.ahead.deal([sized(1, 15), sized(2, 10)])
    assert await big.is_full()
    assert await small.is_full()
    async with asyncio.TaskGroup() as group:
        group.create_task(small.ahead.space())
        await asyncio.sleep(50)
        await big.settle(1)
    assert now() == 52
    assert budget.used == 25


@virtually
async def test_shards_that_are_stuck_with_all_the_memory_of_the_process_stop_no_other() -> None:
    budget = MemoryBudget(100)
    stuck = [Buffer(budget) for _ in range(4)]
    for each in stuck:
        each.ahead.deal([sized(1, 25)])
    free = Buffer(budget)
    for number in range(1, 100):
        assert not await free.is_full()
        free.ahead.deal([sized(number, 4)])  # it holds two at the most, below its share, which is a fifth of 50
        await free.settle(number - 1)
    assert [await each.is_full() for each in stuck] == [True] * 4


@virtually
async def test_a_share_of_the_memory_grows_when_a_shard_goes() -> None:
    budget = MemoryBudget(100)
    stuck, gone, other = Buffer(budget), Buffer(budget), Buffer(budget)
    stuck.ahead.deal([sized(1, 200)])
    other.ahead.deal([sized(1, 20)])
    async with asyncio.TaskGroup() as group:
        group.create_task(other.ahead.space())
        await asyncio.sleep(50)
        assert other.ahead.stopped  # a third of 50 is its share
        gone.ahead.close()
    assert now() == 50
    assert budget.used == 220


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40)), max_size=80))
@settings(max_examples=50, deadline=None)
def test_all_shards_together_hold_half_as_much_again_as_the_process_may_and_a_read_each(steps: list[tuple[int, int]]) -> None:
    async def story() -> None:
        budget = MemoryBudget(200)
        shards = [Buffer(budget) for _ in range(5)]
        numbers = [0] * 5
        for which, size in steps:
            shard = shards[which]
            if size == 0:
                await shard.settle(*range(1, numbers[which] + 1))
            elif shard.ahead._may_read():
                numbers[which] += 1
                shard.ahead.deal([sized(numbers[which], size)])
            assert budget.used == sum(each.ahead.bytes for each in shards) < 300 + 5 * 40

    run_virtually(story())


@virtually
async def test_a_shard_that_holds_nothing_may_always_read() -> None:
    budget = MemoryBudget(100)
    big, idle = Buffer(budget), Buffer(budget, records=1, bytes=1)
    big.ahead.deal([sized(1, 1000)])
    assert not await idle.is_full()
    idle.ahead.deal([sized(1, 1000)])
    assert await idle.is_full()


@virtually
async def test_a_shard_that_has_settled_all_it_held_goes_on_though_the_process_holds_too_much() -> None:
    budget = MemoryBudget(100)
    big, small = Buffer(budget), Buffer(budget)
    big.ahead.deal([sized(1, 1000)])
    small.ahead.deal([sized(1, 5)])
    async with asyncio.TaskGroup() as group:
        group.create_task(small.ahead.space())
        await asyncio.sleep(50)
        await small.settle(1)
    assert now() == 50


@virtually
async def test_a_shard_that_is_closed_gives_its_memory_back_and_others_go_on() -> None:
    budget = MemoryBudget(100)
    lost, other = Buffer(budget), Buffer(budget)
    lost.ahead.deal([sized(1, 100)])
    other.ahead.deal([sized(1, 10)])
    async with asyncio.TaskGroup() as group:
        group.create_task(other.ahead.space())
        await asyncio.sleep(50)
        lost.ahead.close()
    assert now() == 50
    assert (budget.used, lost.ahead.bytes) == (10, 0)
    lost.ahead.close()
    assert budget.used == 10


@virtually
async def test_a_shard_that_is_closed_while_it_waits_for_room_is_forgotten() -> None:
    budget = MemoryBudget(100)
    buffer = Buffer(budget)
    buffer.ahead.deal([sized(1, 100), sized(2, 100)])
    assert await buffer.is_full()  # and gave up waiting
    buffer.ahead.close()
    assert budget.used == 0
    assert not budget._waiting


@virtually
async def test_a_drain_ends_the_wait_for_room() -> None:
    buffer = Buffer(records=1)
    buffer.ahead.deal(records(1))
    later(5, buffer.drain.start)
    await buffer.ahead.space()
    assert now() == 5


@virtually
async def test_settling_waits_while_too_much_is_not_durable() -> None:
    buffer = Buffer(records=10**6)
    buffer.ahead.deal(records(*range(MAX_PENDING)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await buffer.settle(*range(MAX_PENDING))
    assert buffer.ahead.progress.drained  # it is recorded all the same


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_memory_counts_exactly_what_the_checkpoint_has_not_passed(sizes: list[int], rnd: object) -> None:
    async def story() -> None:
        buffer = Buffer()
        made = [sized(number, size) for number, size in enumerate(sizes, start=1)]
        buffer.ahead.deal(made)
        order = list(made)
        rnd.shuffle(order)  # type: ignore[attr-defined]
        for one in order:
            await buffer.ahead.settle([one])
            left = [each for each in made if each.position > buffer.ahead.progress.reached]
            assert buffer.ahead.bytes == buffer.budget.used == sum(len(each.payload) for each in left)
            assert (buffer.ahead.oldest is None) == (not left)
        assert buffer.ahead.progress.drained
        assert buffer.ahead.bytes == 0

    run_virtually(story())
