"""Waiting until a permit is free, without taking it."""

from __future__ import annotations

import asyncio

from support.stage import later, now, virtually

from poller.core.permits import PermitLedger, Ticket
from poller.drain import Drain
from poller.function import Permits


async def hold(permits: Permits, name: str, seconds: float, function: str = "f") -> None:
    async with permits.hold(Ticket(name, function), Drain()):
        await asyncio.sleep(seconds)


def leftovers(permits: Permits, drain: Drain) -> list[object]:
    return [*permits._hopeful, *permits._granted, *drain._waiters]


@virtually
async def test_a_permit_that_is_free_is_said_to_be_at_once_and_is_not_taken() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    for _ in range(3):
        assert await permits.free("f", drain)
    assert now() == 0
    assert permits._ledger.in_use("f") == 0


@virtually
async def test_all_who_wait_are_told_when_a_permit_is_free_again() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        waiting = [group.create_task(permits.free("f", drain)) for _ in range(3)]
        await asyncio.sleep(9.9)
        assert not any(task.done() for task in waiting)
        await asyncio.sleep(0.11)
        assert [task.result() for task in waiting if task.done()] == [True] * 3
    assert leftovers(permits, drain) == []


@virtually
async def test_a_permit_that_goes_to_somebody_who_asked_for_it_is_not_free() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(hold(permits, name, 10))
        await asyncio.sleep(0)
        assert await permits.free("f", drain)
        assert now() == 30


@virtually
async def test_who_waits_takes_no_turn_from_those_who_ask() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        group.create_task(permits.free("f", drain))
        await asyncio.sleep(5)
        group.create_task(hold(permits, "b", 0))
    assert now() == 10


@virtually
async def test_the_wait_ends_after_so_many_seconds() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        assert not await permits.free("f", drain, 3)
        assert now() == 3
        assert await permits.free("f", drain, 7.5)
        assert now() == 10
    assert leftovers(permits, drain) == []


@virtually
async def test_seconds_are_counted_over_all_disappointments() -> None:
    """Somebody else was quicker each time."""
    permits, drain = Permits({"f": 1}, total=1), Drain()

    async def greedy() -> None:
        for _ in range(100):
            await hold(permits, "greedy", 1)

    async with asyncio.TaskGroup() as group:
        group.create_task(greedy())
        await asyncio.sleep(0)
        began = now()
        await permits.free("f", drain, 5.5)
        assert now() - began <= 5.5


@virtually
async def test_the_wait_ends_with_the_drain() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    later(4, drain.start)
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        assert not await permits.free("f", drain)
        assert now() == 4
        assert not await permits.free("f", drain)
    assert leftovers(permits, drain) == []


@virtually
async def test_the_limit_of_the_process_counts_too() -> None:
    permits, drain = Permits({"f": 5, "g": 5}, total=1), Drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10, "g"))
        await asyncio.sleep(0)
        assert await permits.free("f", drain)
        assert now() == 10


@virtually
async def test_who_is_cancelled_waits_no_more() -> None:
    permits, drain = Permits({"f": 1}, total=1), Drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        waiting = group.create_task(permits.free("f", drain))
        later(5, waiting.cancel)
    assert waiting.cancelled()
    assert leftovers(permits, drain) == []


@virtually
async def test_a_larger_limit_sets_free() -> None:
    permits, drain = Permits({"f": 1}, total=10), Drain()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        later(3, lambda: permits.resize({"f": 2}, total=10))
        assert await permits.free("f", drain)
        assert now() == 3


@virtually
async def test_of_a_function_that_is_gone_no_permit_is_ever_free_and_others_are_not_disturbed() -> None:
    permits, drain = Permits({"f": 1, "gone": 1}, total=1), Drain()
    later(20, drain.start)
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, "a", 10))
        await asyncio.sleep(0)
        waiting = group.create_task(permits.free("gone", drain))
        later(3, lambda: permits.resize({"f": 1}, total=1))
    assert now() == 20
    assert waiting.result() is False


def test_the_ledger_knows_of_a_function_that_is_gone_or_was_never_there_that_it_has_no_permit() -> None:
    ledger = PermitLedger({"f": 1}, total=1)
    ledger.resize({"g": 1}, total=1)
    assert (ledger.free("f"), ledger.in_use("f")) == (False, 0)
    assert not ledger.ask(ticket := Ticket("mapping", "f"))
    assert ledger.give_back(ticket) == []
    assert ledger.free("g")
