"""Read-ahead: bounded in records and bytes, for the shard and for the process; dealt to lanes by key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import attempt, ids, record, records
from support.stage import MAPPING, SHARD, Stage, later, now, virtually
from support.virtual import run_virtually

from poller.checkpointer import MAX_PENDING, Checkpointer
from poller.core.model import BEGINNING, Lease, Record, Release
from poller.readahead import MemoryBudget, ReadAhead, ReadAheadLimits
from poller.stores.memory import MemoryContents, MemoryStore

if TYPE_CHECKING:
    from poller.drain import Drain

KEYS = [f"key {number}" for number in range(100)]


class Buffer:
    """The read-ahead of one shard, whose checkpoints nobody writes."""

    def __init__(self, budget: MemoryBudget | None = None, **limits: int) -> None:
        self.stage = Stage()
        lease = Lease(mapping=MAPPING, shard=SHARD, owner="me", epoch=1)
        store = MemoryStore(MemoryContents(), self.stage.clock)
        self.drain: Drain = self.stage.drain
        self.checkpointer = Checkpointer(store, lease, self.stage.observe, self.stage.rng)
        self.budget = budget or MemoryBudget(10**9)
        self.ahead = ReadAhead(ReadAheadLimits(**limits), self.budget, self.checkpointer, self.drain)

    async def is_full(self) -> bool:
        """Whether the reader would have to wait."""
        before = now()
        try:
            async with asyncio.timeout(1):
                await self.ahead.space()
        except TimeoutError:
            return True
        assert now() == before
        return False

    async def settle(self, *numbers: int) -> None:
        await self.ahead.lanes[0].settle(records(*numbers))


def sized(number: int, size: int) -> Record:
    return record(number, payload=b"x" * size)


# ------------------------------------------------------------------------------------------------------------------------ caps


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
async def test_a_lane_that_runs_dry_is_read_for_though_another_is_stuck_with_much() -> None:
    buffer = Buffer(soon=3, lanes=2)
    stuck = next(key for key in KEYS if crc32(key.encode()) % 2 == 0)
    other = next(key for key in KEYS if crc32(key.encode()) % 2 == 1)
    buffer.ahead.deal([record(number, group=stuck) for number in range(1, 6)])
    buffer.ahead.deal([record(number, group=other) for number in range(6, 9)])
    async with asyncio.TaskGroup() as group:
        group.create_task(buffer.ahead.space())
        await asyncio.sleep(50)
        assert buffer.ahead.stopped
        piece = await buffer.ahead.lanes[1].read(1, 0)
        await buffer.ahead.lanes[1].settle(piece.records)
    assert now() == 50


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
    big.ahead.deal([sized(1, 90)])
    small.ahead.deal([sized(1, 5), sized(2, 5)])
    assert await big.is_full()
    assert await small.is_full()
    async with asyncio.TaskGroup() as group:
        group.create_task(small.ahead.space())
        await asyncio.sleep(50)
        await big.settle(1)
    assert now() == 52
    assert budget.used == 10


@virtually
async def test_a_shard_that_holds_nothing_may_always_read() -> None:
    budget = MemoryBudget(100)
    big, idle = Buffer(budget), Buffer(budget, records=1, bytes=1)
    big.ahead.deal([sized(1, 1000)])
    assert not await idle.is_full()
    idle.ahead.deal([sized(1, 1000)])
    assert await idle.is_full()


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
@settings(max_examples=50, deadline=None)
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


# ----------------------------------------------------------------------------------------------------------------------- lanes


@virtually
async def test_a_lane_hands_out_as_many_as_are_wanted_and_says_whether_there_are_more() -> None:
    buffer = Buffer()
    (lane,) = buffer.ahead.lanes
    buffer.ahead.deal(records(1, 2, 3))
    first = await lane.read(2, None)
    assert (ids(first.records), first.more, first.ended) == (["1", "2"], True, False)
    rest = await lane.read(2, None)
    assert (ids(rest.records), rest.more, rest.ended) == (["3"], False, False)


@virtually
async def test_a_read_waits_for_records_for_so_long_and_no_longer() -> None:
    buffer = Buffer()
    (lane,) = buffer.ahead.lanes
    assert (await lane.read(10, 0)).records == ()
    assert now() == 0
    assert (await lane.read(10, 5)).records == ()
    assert now() == 5
    later(3, lambda: buffer.ahead.deal(records(1)))
    assert ids((await lane.read(10, 5)).records) == ["1"]
    assert now() == 8
    later(30, lambda: buffer.ahead.deal(records(2)))
    assert ids((await lane.read(10, None)).records) == ["2"]
    assert now() == 38


@virtually
async def test_a_read_ends_with_the_drain() -> None:
    buffer = Buffer()
    later(5, buffer.drain.start)
    assert await buffer.ahead.lanes[0].read(10, None) == await buffer.ahead.lanes[0].read(10, 0)
    assert now() == 5


@virtually
async def test_a_lane_ends_behind_its_last_record() -> None:
    buffer = Buffer()
    (lane,) = buffer.ahead.lanes
    later(5, buffer.ahead.end)
    assert (await lane.read(10, None)).ended
    assert now() == 5
    buffer.ahead.deal(records(1, 2))
    assert not (await lane.read(1, None)).ended
    assert (await lane.read(1, None)).ended


@virtually
async def test_records_of_one_key_stay_in_one_lane_and_in_order() -> None:
    buffer = Buffer(lanes=4)
    made = [record(number, group=KEYS[number % 100]) for number in range(1, 1001)]
    buffer.ahead.deal(made)
    lane_of: dict[str, int] = {}
    for index, lane in enumerate(buffer.ahead.lanes):
        dealt = (await lane.read(1000, 0)).records
        assert 100 < len(dealt) < 400
        for key in {one.group for one in dealt}:
            assert lane_of.setdefault(key, index) == index
            assert [one.id for one in dealt if one.group == key] == [one.id for one in made if one.group == key]
    assert lane_of == {key: crc32(key.encode()) % 4 for key in KEYS}  # the same in every process, whatever the hash seed


@virtually
async def test_a_lane_that_is_stuck_holds_up_no_other_until_the_cap_of_the_shard() -> None:
    buffer = Buffer(lanes=2, records=10)
    stuck = next(key for key in KEYS if crc32(key.encode()) % 2 == 0)
    other = next(key for key in KEYS if crc32(key.encode()) % 2 == 1)
    buffer.ahead.deal([record(1, group=stuck)])
    for number in range(2, 11):
        assert not await buffer.is_full()
        buffer.ahead.deal([record(number, group=other)])
        (one,) = (await buffer.ahead.lanes[1].read(10, 0)).records
        await buffer.ahead.lanes[1].settle([one])
    assert await buffer.is_full()  # the nine that are done wait for the first


@virtually
async def test_a_released_record_stays_open_for_the_next_holder() -> None:
    buffer = Buffer()
    buffer.ahead.deal(records(1, 2))
    await buffer.ahead.lanes[0].release(Release(records=records(1)))
    await buffer.settle(2)
    assert not buffer.ahead.progress.drained
    assert buffer.ahead.progress.reached == BEGINNING  # the checkpoint stays before 1


@virtually
async def test_a_shard_is_blocked_when_every_lane_waits_with_a_failed_attempt() -> None:
    buffer = Buffer(lanes=2)
    first, second = buffer.ahead.lanes
    assert not buffer.ahead.blocked
    first.waiting(attempt(1))
    assert not buffer.ahead.blocked
    second.waiting(attempt(2))
    assert buffer.ahead.blocked
    first.waiting(None)
    assert not buffer.ahead.blocked


@virtually
async def test_a_shard_is_blocked_when_one_lane_waits_with_a_failed_attempt_and_nothing_more_can_be_read() -> None:
    buffer = Buffer(lanes=2, records=1)
    buffer.ahead.deal(records(1))
    async with asyncio.TaskGroup() as group:
        group.create_task(buffer.ahead.space())
        await asyncio.sleep(1)
        assert not buffer.ahead.blocked  # it is full, but it works
        buffer.ahead.lanes[0].waiting(attempt(1))
        assert buffer.ahead.blocked
        await buffer.settle(1)
