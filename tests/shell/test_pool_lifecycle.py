"""When workers come and go, by a virtual clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from support.pools import Plan, yard
from support.virtual import run_virtually

from poller.executors.post import Unstarted
from poller.ports import WorkerCount


def test_a_worker_is_started_when_none_is_idle_and_the_one_used_last_serves_next() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=3) as here:
            assert await here.together("returns 1", "returns 2") == ["1", "2"]
            assert [await here.use() for _ in range(3)] == ["2", "2", "2"]
            assert here.pool.count() == WorkerCount(starting=0, idle=2, busy=0)
            assert [how for _, how in here.source.started] == ["on-demand", "on-demand"]

    run_virtually(scene())


def test_idle_workers_go_to_the_last_one_each_in_its_time() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=3, idle_timeout=60) as here:
            await here.together("returns 1", "returns 2", "returns 30")
            await asyncio.sleep(61.5 - 30)
            assert here.source.living == [2, 3]  # idle since 1, 2 and 30 s after they were ready
            await asyncio.sleep(1)
            assert here.source.living == [3]
            await asyncio.sleep(28)
            assert here.source.living == []
            assert here.events.endings == ["idle"] * 3
            assert here.pool.count() == WorkerCount()
            assert await here.use() == "4"

    run_virtually(scene())


def test_a_worker_that_is_used_again_and_again_is_not_idle() -> None:
    async def scene() -> None:
        async with yard(idle_timeout=10) as here:
            for _ in range(20):
                assert await here.use() == "1"
                await asyncio.sleep(8)
            assert here.events.endings == []

    run_virtually(scene())


def test_without_an_idle_timeout_workers_stay() -> None:
    async def scene() -> None:
        async with yard(idle_timeout=None) as here:
            await here.use()
            await asyncio.sleep(1e6)
            assert await here.use() == "1"

    run_virtually(scene())


@pytest.mark.rule("function.provisioned-concurrency")
def test_provisioned_workers_are_ready_before_the_first_invocation_and_stay_when_others_go() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=4, provisioned_concurrency=2, idle_timeout=60) as here:
            assert here.source.started == []  # entering is cheap
            assert await here.pool.warm() is None
            assert asyncio.get_running_loop().time() == pytest.approx(0.2)  # side by side
            assert here.pool.count() == WorkerCount(starting=0, idle=2, busy=0)
            await here.together("returns 1", "returns 1", "returns 5", "returns 5")
            await asyncio.sleep(1000)
            assert here.pool.count() == WorkerCount(starting=0, idle=2, busy=0)
            assert [how for _, how in here.source.started] == ["provisioned-concurrency"] * 2 + ["on-demand"] * 2
            assert here.events.endings == ["idle", "idle"]

    run_virtually(scene())


def test_provisioned_workers_are_started_one_by_one_so_that_others_have_the_loop_in_between() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=50, provisioned_concurrency=50) as here:
            here.source.plans.append(FileNotFoundError(2, "no such program", "python"))
            warm, started = here.pool.warm(), [len(here.source.started)]
            for _ in range(200):
                await asyncio.sleep(0)
                started.append(len(here.source.started))
            assert started[-1] == 51
            assert max(after - before for before, after in pairwise([0, *started])) == 1
            assert not warm.done()
            assert isinstance(await warm, Unstarted)

    run_virtually(scene())


def test_a_provisioned_worker_that_dies_is_replaced_at_once_and_not_by_an_invocation() -> None:
    async def scene() -> None:
        async with yard(provisioned_concurrency=1) as here:
            await here.pool.warm()
            assert await here.use("dies 1") == "itself"
            await asyncio.sleep(0.3)
            assert here.pool.count() == WorkerCount(starting=0, idle=1, busy=0)
            assert [how for _, how in here.source.started] == ["provisioned-concurrency"] * 2
            here.source.workers[1].stop("itself")  # while it is idle
            await asyncio.sleep(0.3)
            assert here.source.living == [3]

    run_virtually(scene())


def test_there_are_never_more_workers_than_the_maximum_also_while_provisioned_ones_are_on_their_way() -> None:
    async def scene() -> None:
        async with yard(lambda it: it.source.plans.append(Plan(after=3.0)), provisioned_concurrency=1) as here:
            here.pool.warm()
            assert await here.use() == "1"
            assert asyncio.get_running_loop().time() == pytest.approx(4.0)
            assert len(here.source.started) == 1

    run_virtually(scene())


@pytest.mark.parametrize("provisioned", [0, 1])
def test_a_worker_is_replaced_after_so_many_invocations(provisioned: int) -> None:
    async def scene() -> None:
        async with yard(maximum_invocations=3, provisioned_concurrency=provisioned) as here:
            await here.pool.warm()
            assert [await here.use() for _ in range(7)] == ["1", "1", "1", "2", "2", "2", "3"]
            assert here.events.endings == ["recycled", "recycled"]

    run_virtually(scene())


def test_a_worker_is_replaced_at_an_age_but_not_in_the_middle_of_an_invocation() -> None:
    async def scene() -> None:
        async with yard(maximum_age=100) as here:
            assert await here.use("returns 50") == "1"
            assert await here.use("returns 500") == "1"
            assert here.source.living == [1]  # it was asked to end just now
            assert await here.use("returns 10") == "2"
            await asyncio.sleep(85)
            assert here.source.living == [2]
            await asyncio.sleep(10)
            assert here.source.living == []  # an idle one need not wait for somebody to look
            assert here.events.endings == ["recycled", "recycled"]

    run_virtually(scene())


def test_provisioned_workers_that_grow_too_old_are_replaced_while_they_are_idle() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=2, provisioned_concurrency=2, maximum_age=100) as here:
            await here.pool.warm()
            await asyncio.sleep(150)
            assert here.source.living == [3, 4]
            assert here.pool.count() == WorkerCount(starting=0, idle=2, busy=0)

    run_virtually(scene())


def test_a_worker_that_is_not_ready_again_yet_is_waited_for_a_moment() -> None:
    async def scene() -> None:
        async with yard(lambda it: it.source.plans.append(Plan(pause=0.05)), maximum_concurrency=2) as here:
            assert await here.use() == "1"
            assert here.pool.count() == WorkerCount(starting=0, idle=0, busy=1)
            assert await here.use() == "1"

    run_virtually(scene())


def test_a_worker_that_takes_long_to_be_ready_again_is_waited_for_only_where_there_can_be_no_other() -> None:
    async def scene() -> None:
        for most, served in ((2, "2"), (1, "1")):
            async with yard(lambda it: it.source.plans.append(Plan(pause=2.0)), maximum_concurrency=most) as here:
                await here.use()
                began = asyncio.get_running_loop().time()
                assert await here.use() == served
                waited = asyncio.get_running_loop().time() - began - 1.0
                assert waited == pytest.approx(0.1 + 0.2 if most == 2 else 2.0)

    run_virtually(scene())


def test_a_worker_that_dies_before_it_is_ready_again_is_waited_for_no_longer() -> None:
    async def scene() -> None:
        async with yard(lambda it: it.source.plans.append(Plan(pause=60.0))) as here:
            await here.use()
            asyncio.get_running_loop().call_later(3.0, here.source.workers[0].stop, "timeout")
            assert await here.use() == "2"
            assert here.events.endings == ["timeout"]

    run_virtually(scene())


def test_workers_that_do_not_want_to_end_are_ended_all_at_the_same_time() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with yard(maximum_concurrency=9) as here:
            here.source.usual = Plan(stubborn=True)
            await here.together(*["returns 1"] * 9)
            began = loop.time()
        assert loop.time() - began == pytest.approx(0.5)
        assert here.events.endings == ["reload"] * 9

    run_virtually(scene())


def test_what_is_under_way_when_the_pool_is_closed_gets_an_answer() -> None:
    async def scene() -> None:
        async with asyncio.TaskGroup() as group, yard(maximum_concurrency=2, provisioned_concurrency=1) as here:
            warm = here.pool.warm()
            working = group.create_task(here.use("returns 50"))
            waiting = group.create_task(here.use("returns 50"))
            beginning = group.create_task(here.use("returns 50"))
            await asyncio.sleep(0.1)
        assert warm.cancelled()
        assert sorted([await working, await waiting, await beginning]) == ["refused", "refused", "stopped"]

    run_virtually(scene())


def test_a_cancelled_start_ends_the_worker_first() -> None:
    async def scene() -> None:
        async with yard() as here:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(here.use())
                await asyncio.sleep(0.1)
                starting.cancel()
            assert here.source.living == []
            assert here.events.endings == []
            assert await here.use() == "2"

    run_virtually(scene())
