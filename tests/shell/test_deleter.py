"""Deletes: at once when little is to do, ten in a call when it is busy, and for as long as it takes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.queueing import MAILS, ObedientQueue, message, messages
from support.stage import Stage, later, now, virtually

from poller.deleter import CALLS, MAX_PENDING, Deleter
from poller.errors import SourceGone, Unavailable
from poller.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

rule = pytest.mark.rule

DOWN = Unavailable("DeleteMessageBatch", "connection")


class Desk:
    """A deleter, the heartbeat of what it is to delete, and a queue that does what it is told."""

    def __init__(self) -> None:
        self.stage = Stage(facts=MAILS)
        self.queue = ObedientQueue()
        self.visibility = Visibility(self.queue, 30, self.stage.observe, self.stage.clock, self.stage.rng)
        self.deleter = Deleter(self.queue, self.visibility, self.stage.observe, self.stage.rng)

    @asynccontextmanager
    async def open(self, *, beat: bool = True) -> AsyncIterator[Deleter]:
        """Both at work for as long as the context lasts."""
        async with asyncio.TaskGroup() as group:
            jobs = [self.deleter.run(), *([self.visibility.run()] if beat else [])]
            running = [group.create_task(job) for job in jobs]
            await asyncio.sleep(0)
            yield self.deleter
            for task in running:
                task.cancel()

    async def settle(self, *numbers: int) -> None:
        """These are in hand, and done."""
        self.visibility.hold(messages(*numbers), now())
        await self.deleter.delete(messages(*numbers))

    @property
    def deletes(self) -> list[tuple[float, int]]:
        """When deletes were asked for, and of how many."""
        return [(call.at, len(call.ids)) for call in self.queue.of("delete")]

    @property
    def pending(self) -> list[str]:
        return [one.id for one in self.deleter.pending]

    def count(self, name: str, **labels: str) -> float | None:
        return self.stage.count(name, **labels)


# ----------------------------------------------------------------------------------------------------------------- when, how many


@rule("queue.outcome.success")
@virtually
async def test_what_is_done_is_deleted_at_once_while_nothing_else_is() -> None:
    desk = Desk()
    async with desk.open() as deleter:
        for at in (0, 10, 20):
            await asyncio.sleep(at - now())
            await desk.settle(at)
            assert now() == at
            await deleter.flush()
            assert now() == at
    assert desk.deletes == [(0, 1), (10, 1), (20, 1)]
    assert (desk.visibility.held, desk.pending) == ([], [])
    assert desk.count("events_deleted_total") == 3


@virtually
async def test_while_all_calls_are_under_way_what_is_done_gathers_into_tens() -> None:
    desk = Desk()
    desk.queue.late = 1
    async with desk.open() as deleter:
        for number in range(100):
            await desk.settle(number)
            await asyncio.sleep(0.01)
        await deleter.flush()
    assert desk.deletes[:CALLS] == [(0, 1), *[(pytest.approx(n / 100), 1) for n in range(1, CALLS)]]
    assert [size for _, size in desk.deletes[CALLS:]] == [10] * 9 + [6]
    assert desk.queue.most == CALLS


@virtually
async def test_many_that_are_done_together_go_in_calls_of_ten_side_by_side() -> None:
    desk = Desk()
    async with desk.open() as deleter:
        await desk.settle(*range(35))
        await deleter.flush()
        assert desk.deletes == [(0, 10), (0, 10), (0, 10), (0, 5)]
        assert now() == 0


@virtually
async def test_a_message_stays_in_the_heartbeat_until_the_queue_has_confirmed_its_delete() -> None:
    desk = Desk()
    desk.queue.late = 5
    async with desk.open() as deleter:
        await desk.settle(1)
        await asyncio.sleep(4.9)
        assert desk.visibility.ours(message(1))
        await deleter.flush()
        assert now() == 5
        assert desk.visibility.held == []


# --------------------------------------------------------------------------------------------------------------------- what fails


@rule("queue.outcome.delete-fails")
@virtually
async def test_only_the_entries_that_failed_are_deleted_again() -> None:
    desk = Desk()
    desk.queue.failing = {"m2": False, "m7": False}
    later(10, desk.queue.failing.clear)
    async with desk.open() as deleter:
        await desk.settle(*range(10))
        await asyncio.sleep(0.001)
        assert desk.pending == ["m2", "m7"]
        await deleter.flush()
        assert 10 <= now() <= 40
    first, *again = [call.ids for call in desk.queue.of("delete")]
    assert first == [f"m{number}" for number in range(10)]
    assert again
    assert all(ids == ["m2", "m7"] for ids in again)
    assert desk.count("events_deleted_total") == 10
    assert desk.count("visibility_extensions_total", outcome="lost") == 0


@rule("queue.outcome.delete-fails")
@virtually
async def test_what_is_gone_is_given_up_at_once_and_counted_as_lost() -> None:
    desk = Desk()
    desk.queue.failing = {"m2": True}
    async with desk.open() as deleter:
        await desk.settle(1, 2, 3)
        await deleter.flush()
        assert now() == 0
        assert desk.visibility.held == []
        await asyncio.sleep(100)
    assert len(desk.queue.calls) == 1
    assert desk.count("events_deleted_total") == 2
    assert desk.count("visibility_extensions_total", outcome="lost") == 1


@virtually
async def test_an_entry_that_fails_is_tried_again_only_while_the_message_is_ours() -> None:
    desk = Desk()
    desk.queue.failing = {"m1": False}
    async with desk.open(beat=False) as deleter:
        await desk.settle(1)
        await deleter.flush()
        assert 30 <= now() <= 60
    assert desk.queue.of("delete")[-2].at < 30
    assert desk.count("visibility_extensions_total", outcome="lost") == 1


@rule("queue.outcome.delete-fails")
@virtually
async def test_a_call_that_fails_as_a_whole_is_repeated_ever_more_slowly_for_as_long_as_it_takes() -> None:
    desk = Desk()
    desk.queue.error = DOWN
    later(2000, lambda: setattr(desk.queue, "error", None))
    async with desk.open() as deleter:
        await desk.settle(1, 2)
        await deleter.flush()
        assert 2000 <= now() <= 2030
    at = [at for at, _ in desk.deletes]
    waits = [after - before for before, after in pairwise(at)]
    assert waits[0] <= 0.5
    assert max(waits) <= 30
    assert 60 <= len(at) <= 250
    assert all(call.ids == ["m1", "m2"] for call in desk.queue.of("delete"))
    assert desk.count("events_deleted_total") == 2


@virtually
async def test_a_queue_that_stays_gone_has_nothing_left_to_delete_and_a_drain_does_not_wait_for_it() -> None:
    desk = Desk()
    desk.queue.error = SourceGone("no such queue")
    async with desk.open() as deleter:
        await desk.settle(1, 2)
        await deleter.flush()
        assert now() <= 5
    assert len(desk.queue.of("delete")) == 3
    assert desk.count("events_deleted_total") == 0
    assert desk.count("visibility_extensions_total", outcome="lost") == 2


@virtually
async def test_entries_that_never_work_do_not_stop_those_that_do() -> None:
    desk = Desk()
    desk.queue.failing = {f"m{number}": False for number in range(4)}
    async with desk.open():
        for number in range(60):
            await desk.settle(number)
            await asyncio.sleep(0.1)
        await asyncio.sleep(20)
    assert desk.count("events_deleted_total") == 56


@virtually
async def test_back_off_begins_anew_with_other_messages() -> None:
    desk = Desk()
    async with desk.open() as deleter:
        for number in (1, 2):
            desk.queue.error = DOWN
            later(60, lambda: setattr(desk.queue, "error", None))
            began, before = now(), len(desk.deletes)
            await desk.settle(number)
            await deleter.flush()
            assert desk.deletes[before][0] == began
            assert desk.deletes[before + 1][0] - began <= 0.5


@virtually
async def test_a_delete_that_fails_holds_up_no_other() -> None:
    desk = Desk()
    desk.queue.failing = {"m1": False}
    async with desk.open():
        await desk.settle(1)
        await asyncio.sleep(20)
        await desk.settle(2)
        await asyncio.sleep(0.001)
        assert desk.pending == ["m1"]


# ------------------------------------------------------------------------------------------------------------------ back-pressure


@virtually
async def test_who_settles_too_much_ahead_of_the_deletes_has_to_wait() -> None:
    desk = Desk()
    desk.queue.error = DOWN
    async with desk.open() as deleter:
        await desk.settle(*range(MAX_PENDING - 1))
        assert now() == 0
        async with asyncio.TaskGroup() as slots:
            late = [slots.create_task(desk.settle(MAX_PENDING + n)) for n in range(3)]
            await asyncio.sleep(100)
            assert not any(task.done() for task in late)
            desk.queue.error = None
        assert len(desk.pending) < MAX_PENDING
        await deleter.flush()
    assert desk.count("events_deleted_total") == MAX_PENDING + 2


@virtually
async def test_flush_with_nothing_pending_returns_at_once_and_else_waits_for_everybody() -> None:
    desk = Desk()
    desk.queue.late = 5
    async with desk.open() as deleter:
        await deleter.flush()
        assert now() == 0
        await desk.settle(1)
        await asyncio.sleep(3)
        await desk.settle(2)
        async with asyncio.TaskGroup() as several:
            several.create_task(deleter.flush())
            several.create_task(deleter.flush())
        assert now() == 8
        assert desk.pending == []


@virtually
async def test_what_is_cut_off_stays_pending() -> None:
    desk = Desk()
    desk.queue.late = 5
    async with desk.open():
        await desk.settle(*range(50))
        await asyncio.sleep(1)
    assert len(desk.pending) == 50
    assert len(desk.visibility) == 50
