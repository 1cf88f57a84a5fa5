"""What is done about memory, by a virtual clock: when it is looked at, and what follows."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import pytest
from support.pools import Plan, Scale, yard
from support.virtual import run_virtually

from poller.executors.memory import MEBIBYTE, MemoryWatch, Sample, killed_for_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT = 100 * MEBIBYTE


@pytest.mark.rule("function.error.out-of-memory")
def test_a_worker_above_its_limit_is_killed_at_the_next_look_and_the_next_invocation_gets_another() -> None:
    async def scene() -> None:
        async with yard(memory_size=100) as here:
            here.scale.sizes[1] = LIMIT + 1
            assert await here.use("returns 50") == "oom"
            assert asyncio.get_running_loop().time() == pytest.approx(0.25)
            assert await here.use() == "2"
            assert here.events.endings == ["oom"]

    run_virtually(scene())


def test_a_worker_at_its_limit_lives() -> None:
    async def scene() -> None:
        async with yard(memory_size=100) as here:
            here.scale.sizes[1] = LIMIT
            assert await here.use("returns 50") == "1"
            assert here.events.endings == []

    run_virtually(scene())


def test_initialisation_is_looked_at_as_well() -> None:
    async def scene() -> None:
        async with yard(memory_size=100) as here:
            here.source.usual = Plan(after=5.0)
            here.scale.sizes[1] = LIMIT + 1
            assert await here.use() == "oom"
            assert here.events.not_ready == ["failed"]
            assert here.events.endings == ["oom"]

    run_virtually(scene())


def test_nobody_looks_while_nothing_works() -> None:
    async def scene() -> None:
        async with yard(memory_size=100) as here:
            await here.use("returns 10")
            looks = len(here.scale.looks)
            assert looks == pytest.approx(10.2 / 0.25, abs=1)
            await asyncio.sleep(500)
            assert len(here.scale.looks) <= looks + 1
            await here.use("returns 1")
            assert len(here.scale.looks) >= looks + 3

    run_virtually(scene())


def test_one_look_serves_all_and_a_costly_one_is_taken_more_rarely() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=5) as here:
            here.scale.seconds = 0.02
            await here.together(*["returns 50"] * 5)
            assert len(here.scale.looks) == pytest.approx(50 / (50 * 0.02), abs=2)
            here.scale.seconds = 1.0
            await here.together(*["returns 50"] * 5)
            assert len(here.scale.looks) == pytest.approx(50 / 1.0 + 50 / (2.0 + 1.0), abs=3)

    run_virtually(scene())


def test_a_group_that_is_gone_when_the_result_comes_is_left_alone() -> None:
    async def scene() -> None:
        scale = Scale(sizes={7: LIMIT + 1}, seconds=1.0)
        told: list[int] = []
        watch = MemoryWatch(scale.measure)
        watched = watch.enter(7, LIMIT, told.append)
        watch.work(watched)
        await asyncio.sleep(0.5)
        watch.leave(watched)
        await watch.settled()
        await asyncio.sleep(0)
        assert (len(scale.looks), told) == (1, [])

    run_virtually(scene())


@pytest.mark.parametrize("trouble", [RuntimeError("can't start new thread"), OSError(errno.EMFILE, "too many open files")])
def test_a_look_that_fails_for_want_of_a_thread_or_a_descriptor_is_taken_again(trouble: Exception) -> None:
    async def scene() -> None:
        scale, failed = Scale(sizes={7: LIMIT + 1}), False
        told: list[int] = []

        def measure(limits: Mapping[int, int]) -> asyncio.Future[Sample]:
            nonlocal failed
            if failed:
                return scale.measure(limits)
            failed = True
            if isinstance(trouble, RuntimeError):
                raise trouble
            looking: asyncio.Future[Sample] = asyncio.get_running_loop().create_future()
            looking.set_exception(trouble)
            return looking

        watch = MemoryWatch(measure)
        watch.work(watch.enter(7, LIMIT, told.append))
        await asyncio.sleep(0.6)
        assert told == [LIMIT + 1]

    run_virtually(scene())


@pytest.mark.parametrize(("size", "for_memory"), [(LIMIT, True), (LIMIT * 0.91, True), (LIMIT * 0.5, False)])
def test_a_worker_that_somebody_killed_was_out_of_memory_if_it_was_near_its_limit(size: float, *, for_memory: bool) -> None:
    watched = MemoryWatch(Scale().measure).enter(7, LIMIT, lambda _: None)
    watched.size = int(size)
    assert killed_for_memory(watched) is for_memory
