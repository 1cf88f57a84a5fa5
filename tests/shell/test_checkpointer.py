"""One serial writer for each shard: at once, coalescing, bounded, and never silent about what it could not write."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from support.doubles import Trouble
from support.stage import MAPPING, SHARD, Stage, later, now, virtually
from support.virtual import EPOCH

from poller.checkpointer import MAX_PENDING, Checkpointer
from poller.core.extra import unpack
from poller.core.memo import Cut, Memo
from poller.core.model import BEGINNING, Position, StreamId, position
from poller.core.remembered import Remembered
from poller.errors import LeaseLost, Unavailable
from poller.stores.memory import MemoryContents, MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from poller.core.model import Checkpoint

SPLIT = Memo(cuts=(Cut(last=Position("7")),))
SILENT = Unavailable("advance", "connection")


def at(number: int) -> Position:
    return position(str(number))


class Desk:
    """A checkpointer on a store in memory, under a lease of its own."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.trouble = Trouble()
        self.contents = MemoryContents()
        self.store = MemoryStore(self.contents, self.stage.clock, self.trouble)

    @asynccontextmanager
    async def open(self, *, run: bool = True) -> AsyncIterator[Checkpointer]:
        """A checkpointer, at work for as long as the context lasts; it goes on with what the store has."""
        await self.store.enroll(MAPPING, StreamId(arn="stream", created_at=EPOCH), {})
        lease = await self.store.acquire(MAPPING, SHARD, "me", 1000)
        assert lease is not None
        left = Remembered(await self.store.load(lease))
        checkpointer = Checkpointer(self.store, lease, self.stage.observe, self.stage.rng, left)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(checkpointer.run()) if run else None
            yield checkpointer
            if running is not None:
                running.cancel()

    @property
    def stored(self) -> Checkpoint | None:
        """What the store has."""
        return self.contents.shards(MAPPING, now())[SHARD].checkpoint

    @property
    def writes(self) -> list[float]:
        """When it was written to."""
        return self.trouble.calls["advance"]


@virtually
async def test_a_settlement_is_written_at_once_when_nothing_else_is() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        await asyncio.sleep(10)
        checkpointer.advance(at(5), 1)
        await checkpointer.flush()
        assert now() == 10
        assert desk.stored is not None
        assert desk.stored.position == checkpointer.durable == at(5)
    assert desk.stage.count("checkpoints_total", outcome="ok") == 1


@virtually
async def test_what_is_remembered_is_written_at_once_though_nothing_more_is_settled() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        checkpointer.advance(at(5), 1)
        await checkpointer.flush()
    async with desk.open() as checkpointer:
        assert checkpointer.durable == at(5)
        checkpointer.remembered.memos[0] = SPLIT
        checkpointer.touch()
        await checkpointer.flush()
        assert desk.stored is not None
        assert desk.stored.position == at(5)
        assert unpack(desk.stored.extra).memos == (SPLIT,)


@virtually
async def test_what_is_remembered_and_settled_at_one_moment_becomes_durable_in_one_write() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        for number in range(1, 6):
            checkpointer.remembered.memos[0] = Memo(cuts=(Cut(last=at(number)),))
            checkpointer.touch()
            checkpointer.advance(at(number), 1)
            desk.trouble.slow(0.5, "advance")
            await asyncio.sleep(0.1)
            if desk.stored is not None and desk.stored.extra:
                assert unpack(desk.stored.extra).memos[0].cuts[0].last == desk.stored.position
        await checkpointer.flush()
        assert desk.stored is not None
        assert (unpack(desk.stored.extra).memos[0].cuts[0].last, desk.stored.position) == (at(5), at(5))
        assert len(desk.writes) < 5


@virtually
async def test_a_flush_waits_for_what_is_remembered() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.slow(3, "advance")
        checkpointer.touch()
        await checkpointer.flush()
        assert now() == 3


@virtually
async def test_what_is_settled_during_a_write_gathers_into_one_next_write() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.slow(1, "advance")
        for number in range(1, 8):
            checkpointer.advance(at(number), 1)
            await asyncio.sleep(0.1)
        await checkpointer.flush()
        assert checkpointer.durable == at(7)
        assert desk.writes == [0, 1]  # 1 alone, then 2 to 7; never two at a time
        assert now() == 2


@virtually
async def test_nothing_counts_as_durable_before_the_store_has_confirmed_it() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.slow(5, "advance")
        checkpointer.advance(at(1), 1)
        await asyncio.sleep(4.9)
        assert checkpointer.durable == BEGINNING
        await asyncio.sleep(0.2)
        assert checkpointer.durable == at(1)


@virtually
async def test_flush_waits_for_what_was_settled_during_the_write_under_way() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.slow(10, "advance")
        checkpointer.advance(at(1), 1)
        await asyncio.sleep(5)
        checkpointer.advance(at(2), 1)
        await checkpointer.flush()
        assert now() == 20
        assert checkpointer.durable == at(2)


@virtually
async def test_flush_with_nothing_settled_returns_at_once() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        await checkpointer.flush()
    assert now() == 0
    assert desk.writes == []


@virtually
async def test_who_settles_too_much_ahead_of_the_store_has_to_wait() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.slow(10, "advance")
        checkpointer.advance(at(1), MAX_PENDING - 1)
        await checkpointer.room()
        await asyncio.sleep(1)
        checkpointer.advance(at(2), 1)
        await asyncio.gather(*[checkpointer.room() for _ in range(3)])  # several lanes wait
        assert now() == 10
        await asyncio.sleep(1)
        checkpointer.advance(at(3), MAX_PENDING)
        await checkpointer.room()
        assert now() == 30  # the write under way does not hold these yet: they are in the next
        assert checkpointer.durable == at(3)


@virtually
async def test_while_the_store_is_down_the_write_is_tried_again_ever_more_slowly_until_it_succeeds() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.refuse(SILENT, "advance")
        later(60, desk.trouble.heal)
        checkpointer.advance(at(1), 1)
        await asyncio.sleep(30)
        checkpointer.advance(at(2), 1)
        await checkpointer.flush()
        assert 60 <= now() <= 90
        assert checkpointer.durable == at(2)
    failed = len(desk.writes) - 1
    assert 5 < failed < 40
    assert desk.stage.count("checkpoints_total", outcome="error") == failed
    assert desk.stage.count("checkpoints_total", outcome="ok") == 1


@virtually
async def test_back_off_begins_anew_after_a_success() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        for number in (1, 2):
            await asyncio.sleep(1)
            desk.trouble.refuse(SILENT, "advance")
            desk.writes.clear()
            checkpointer.advance(at(number), 1)
            later(20, desk.trouble.heal)
            await checkpointer.flush()
            assert desk.writes[1] - desk.writes[0] <= 0.5


@virtually
async def test_a_write_whose_answer_was_lost_is_written_again() -> None:
    desk = Desk()
    async with desk.open() as checkpointer:
        desk.trouble.lose(SILENT, "advance")
        later(5, desk.trouble.heal)
        checkpointer.advance(at(1), 1)
        await asyncio.sleep(4)
        assert desk.stored is not None
        assert desk.stored.position == at(1)
        assert checkpointer.durable == BEGINNING
        await checkpointer.flush()
        assert checkpointer.durable == at(1)


@virtually
async def test_a_refused_lease_ends_it_and_nothing_counts_as_durable() -> None:
    desk = Desk()

    async def story() -> None:
        async with desk.open() as checkpointer:
            await asyncio.sleep(1001)
            assert await desk.store.acquire(MAPPING, SHARD, "somebody else", 1000) is not None
            checkpointer.advance(at(1), 1)
            await checkpointer.flush()

    with pytest.raises(ExceptionGroup) as raised:
        await story()
    assert raised.group_contains(LeaseLost, depth=1)
    assert desk.stored is None
    assert desk.stage.count("checkpoints_total", outcome="fenced") == 1
