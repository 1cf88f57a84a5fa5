"""The lanes of a shard: what each is handed, by key, and that none waits for another."""

from __future__ import annotations

import asyncio
from zlib import crc32

import pytest
from support.build import attempt, ids, record, records
from support.stage import Buffer, later, now, virtually

from poller.core.memo import NO_MEMO, Cut, Memo
from poller.core.model import BEGINNING, Accepted, Failed, Release, position
from poller.shardlane import lane_of

SPLIT = Memo(cuts=(Cut(last=position("7")),))
KEYS = [f"key {number}" for number in range(100)]


def key_of(lane: int, lanes: int) -> str:
    """A key that is dealt to this lane of so many."""
    return next(key for key in KEYS if lane_of(key, lanes) == lane)


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
async def test_each_lane_remembers_what_it_is_told_and_has_it_written() -> None:
    buffer = Buffer(lanes=2)
    one, other = buffer.ahead.lanes
    assert (one.memo, other.memo) == (NO_MEMO, NO_MEMO)
    other.remember(SPLIT)
    assert (one.memo, other.memo) == (NO_MEMO, SPLIT)
    assert buffer.checkpointer.remembered.memos == [NO_MEMO, SPLIT]


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


@pytest.mark.rule("stream.lanes.stable")
@virtually
async def test_records_of_one_key_stay_in_one_lane_and_in_order() -> None:
    buffer = Buffer(lanes=4)
    made = [record(number, group=KEYS[number % 100]) for number in range(1, 1001)]
    buffer.ahead.deal(made)
    found: dict[str, int] = {}
    for index, lane in enumerate(buffer.ahead.lanes):
        dealt = (await lane.read(1000, 0)).records
        assert 100 < len(dealt) < 400
        for key in {one.group for one in dealt}:
            assert found.setdefault(key, index) == index
            assert [one.id for one in dealt if one.group == key] == [one.id for one in made if one.group == key]
    assert found == {key: crc32(key.encode()) % 4 for key in KEYS}  # the same in every process, whatever the hash seed


@virtually
async def test_a_lane_that_is_stuck_holds_up_no_other_until_the_cap_of_the_shard() -> None:
    buffer = Buffer(lanes=2, records=10)
    stuck = key_of(0, 2)
    other = key_of(1, 2)
    buffer.ahead.deal([record(1, group=stuck)])
    for number in range(2, 11):
        assert not await buffer.is_full()
        buffer.ahead.deal([record(number, group=other)])
        (one,) = (await buffer.ahead.lanes[1].read(10, 0)).records
        await buffer.ahead.lanes[1].settle([one])
    assert await buffer.is_full()  # the nine that are done wait for the first


@virtually
async def test_a_lane_that_runs_dry_is_read_for_though_another_is_stuck_with_much() -> None:
    buffer = Buffer(soon=3, lanes=2)
    stuck = key_of(0, 2)
    other = key_of(1, 2)
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


def failing(buffer: Buffer, *lanes: int) -> None:
    for lane in lanes:
        buffer.ahead.lanes[lane].judged(attempt(1), Failed("function_error", "ValueError: no"))


@virtually
async def test_a_shard_is_blocked_when_no_lane_with_records_gets_on_and_nothing_more_can_be_read() -> None:
    buffer = Buffer(lanes=3, records=2)
    buffer.ahead.deal([record(1, group=key_of(0, 3)), record(2, group=key_of(1, 3))])
    async with asyncio.TaskGroup() as group:
        group.create_task(buffer.ahead.space())
        await asyncio.sleep(1)
        assert not buffer.ahead.blocked  # it is full, but it works
        failing(buffer, 0)
        assert not buffer.ahead.blocked  # the second lane works
        failing(buffer, 1)
        assert buffer.ahead.blocked  # the third has nothing to do, and gets nothing
        buffer.drain.start()
    assert not buffer.ahead.blocked  # nothing keeps it from reading for the third


@virtually
async def test_a_shard_that_has_ended_is_blocked_when_its_last_records_fail() -> None:
    buffer = Buffer(lanes=2)
    buffer.ahead.deal([record(1, group=key_of(0, 2))])
    failing(buffer, 0)
    assert not buffer.ahead.blocked
    buffer.ahead.end()
    assert buffer.ahead.blocked


@virtually
async def test_a_lane_is_failing_until_something_of_it_is_settled_also_while_it_tries_again() -> None:
    buffer = Buffer()
    (lane,) = buffer.ahead.lanes
    buffer.ahead.deal(records(1))
    await lane.read(10, None)
    await asyncio.sleep(3)
    failing(buffer, 0)
    assert lane.failing_since == 3
    lane.waiting(attempt(1, retries=1))
    await asyncio.sleep(1)
    lane.waiting(None)
    failing(buffer, 0)
    assert lane.failing
    assert lane.failing_since == 3
    await lane.settle(records(1))
    assert not lane.failing
    assert (lane.failure, lane.failing_since, lane.held) == (None, None, 0)
    failing(buffer, 0)
    lane.judged(attempt(1), Accepted())
    assert not lane.failing


@virtually
async def test_each_lane_knows_its_oldest_record_that_is_not_settled() -> None:
    buffer = Buffer(lanes=3)
    first, second, _ = (key_of(lane, 3) for lane in range(3))
    made = [record(number, group=key, arrived_at=float(number)) for number, key in enumerate((first, second, second, first), 1)]
    buffer.ahead.deal(made)
    assert buffer.ahead.oldest_of_lanes() == [1, 2, None]
    for lane in buffer.ahead.lanes:
        await lane.read(10, 0)
    await buffer.ahead.lanes[1].settle(made[1:2])
    assert buffer.ahead.oldest_of_lanes() == [1, 3, None]
    await buffer.ahead.lanes[1].settle(made[2:3])
    assert buffer.ahead.oldest_of_lanes() == [1, None, None]
    assert [lane.held for lane in buffer.ahead.lanes] == [2, 0, 0]
