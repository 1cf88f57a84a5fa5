"""The drain, and the waits that it ends."""

from __future__ import annotations

import asyncio

import pytest
from support.stage import later, now, virtually

from poller.drain import Drain


def future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@virtually
async def test_a_wait_ends_with_what_it_waits_for_and_leaves_it_as_it_is() -> None:
    drain, wanted = Drain(), future()
    later(3, lambda: wanted.set_result(None))
    assert await drain.wait(wanted, seconds=10) is True
    assert now() == 3
    assert wanted.done()
    assert not wanted.cancelled()


@virtually
async def test_a_wait_ends_with_its_seconds_and_leaves_what_it_waited_for_open() -> None:
    drain, wanted = Drain(), future()
    assert await drain.wait(wanted, seconds=10) is False
    assert now() == 10
    assert not wanted.done()
    wanted.set_result(None)
    await asyncio.sleep(0)


@virtually
async def test_a_wait_ends_with_the_drain() -> None:
    drain, wanted = Drain(), future()
    later(4, drain.start)
    assert await drain.wait(wanted, seconds=10) is False
    assert now() == 4
    assert not wanted.done()


@virtually
async def test_a_wait_for_the_drain_alone_ends_with_it() -> None:
    drain = Drain()
    later(4, drain.start)
    assert await drain.wait() is False
    assert now() == 4


@virtually
async def test_what_is_there_already_is_not_waited_for() -> None:
    drain, wanted = Drain(), future()
    wanted.set_result(None)
    assert await drain.wait(wanted, seconds=10) is True
    assert now() == 0


@virtually
async def test_once_the_drain_has_started_nothing_waits() -> None:
    drain, wanted = Drain(), future()
    drain.start()
    wanted.set_result(None)
    assert await drain.wait(wanted, seconds=10) is False
    await drain.sleep(100)
    assert now() == 0


@virtually
async def test_the_drain_wakes_all_who_wait_and_starting_it_again_changes_nothing() -> None:
    drain = Drain()
    woken = []

    async def waiter(name: str) -> None:
        await drain.sleep(100)
        woken.append((name, now()))

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(waiter(name))
        later(5, drain.start)
        later(5, drain.start)
        later(6, drain.start)
    assert woken == [("a", 5), ("b", 5), ("c", 5)]
    assert drain.started


@virtually
async def test_sleep_ends_by_itself() -> None:
    await Drain().sleep(7)
    assert now() == 7


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_time_is_not_slept_at_all(seconds: float) -> None:
    with pytest.raises(StopIteration):
        Drain().sleep(seconds).send(None)  # ends without a loop: it never yields


@virtually
async def test_a_wait_that_was_cancelled_leaves_nothing_behind() -> None:
    drain, wanted = Drain(), future()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(drain.wait(wanted, seconds=50))
        later(2, waiting.cancel)
    assert waiting.cancelled()
    assert now() == 2
    assert drain._waiters == {}
    assert not wanted.done()
    assert not wanted._callbacks  # nobody is called when it is done one day
    assert all(timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]


@virtually
async def test_every_wait_that_ends_takes_its_waiter_with_it() -> None:
    drain = Drain()
    done = future()
    done.set_result(None)
    await drain.wait(done)
    await drain.wait(future(), seconds=1)
    await drain.sleep(1)
    assert drain._waiters == {}
