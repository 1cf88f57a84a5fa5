"""The lanes of a shard: what each is handed, by key, and that none waits for another."""

from __future__ import annotations

import asyncio
from zlib import crc32

from support.build import attempt, ids, record, records
from support.stage import Buffer, later, now, virtually

from poller.core.memo import NO_MEMO, Cut, Memo
from poller.core.model import BEGINNING, Release, position

SPLIT = Memo(cuts=(Cut(last=position("7")),))
KEYS = [f"key {number}" for number in range(100)]


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
