"""Workers that die one after the other: how the pool holds back, and what it says, by a virtual clock."""

from __future__ import annotations

import asyncio
import errno
import itertools
from typing import TYPE_CHECKING

import pytest
from support.pools import Plan, Yard, yard
from support.virtual import run_virtually

from poller.core.model import Refused
from poller.executors.crashloop import CrashLoop

if TYPE_CHECKING:
    from collections.abc import Callable

DIES = Plan(how="dies")


def dying(here: Yard) -> None:
    here.source.usual = DIES


# ---------------------------------------------------------------------------------------------------------------- the waits


def test_the_third_failure_in_a_row_makes_wait_and_each_one_more_twice_as_long_up_to_half_a_minute() -> None:
    crashes, now, waits = CrashLoop(), 0.0, []
    for _ in range(12):
        waits.append(crashes.failed(now, now + 0.1, "x"))
        now += 0.1 + crashes.left(now + 0.1)
    assert waits == [None, None, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, None, None, None]  # told where it begins or grows
    assert crashes.left(now - 0.1) == pytest.approx(0.1)
    assert crashes.failures == 12


def test_failures_of_workers_that_were_started_before_the_last_one_that_counted_tell_nothing_new() -> None:
    crashes = CrashLoop()
    for started in (0.0, 0.5, 0.9):
        crashes.failed(started, 1.0, "x")
    assert crashes.failures == 1
    crashes.failed(1.0, 2.0, "x")
    assert crashes.failures == 2


def test_only_a_worker_that_is_newer_than_the_last_failure_shows_that_all_is_well() -> None:
    crashes = CrashLoop()
    for at in (1.0, 2.0, 3.0):
        crashes.failed(at, at, "x")
    crashes.answered(0.5)
    assert crashes.left(3.2) == pytest.approx(0.3)
    crashes.answered(3.0)
    assert (crashes.left(3.2), crashes.failures) == (0.0, 0)
    assert [crashes.failed(at, at, "x") for at in (4.0, 5.0, 6.0)] == [None, None, 0.5]


# ----------------------------------------------------------------------------------------------------------------- the pool


@pytest.mark.rule("function.crash-loop")
def test_while_the_pool_waits_invocations_are_refused_with_what_is_left_and_why() -> None:
    async def scene() -> None:
        async with yard(dying) as here:
            assert [await here.use() for _ in range(3)] == ["itself"] * 3
            await asyncio.sleep(0.2)
            refused = await here.pool.take()
            assert isinstance(refused, Refused)
            assert refused.reason == "unavailable"
            assert refused.retry_after == pytest.approx(0.3)
            assert refused.detail == (
                "3 workers in a row died or did not become ready, the last: exit status 1; none is started now"
            )
            assert len(here.source.started) == 3
            await asyncio.sleep(0.3)
            assert await here.use() == "itself"
            assert here.events.pauses == [(3, 0.5), (4, 1.0)]
            assert here.events.not_ready == ["failed"] * 4
            assert here.events.endings == ["crash"] * 4

    run_virtually(scene())


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan(how="raises"), "the last: ImportError: no module;"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/python"), "No such file or directory: /no/python;"),
        (ValueError("embedded null byte"), "the last: embedded null byte;"),
    ],
)
def test_every_kind_of_failed_start_counts_and_is_named(plan: Plan | Exception, why: str) -> None:
    async def scene() -> None:
        async with yard() as here:
            here.source.usual = plan
            for _ in range(3):
                await here.use()
            refused = await here.pool.take()
            assert isinstance(refused, Refused)
            assert why in refused.detail

    run_virtually(scene())


def test_workers_that_die_of_their_invocations_count_and_those_that_ran_out_of_time_do_not() -> None:
    async def scene() -> None:
        async with yard() as here:
            assert [await here.use("dies 1") for _ in range(4)] == ["itself", "itself", "itself", "refused"]
        async with yard() as here:
            assert [await here.use("hangs 3") for _ in range(9)] == ["timeout"] * 9
            assert here.events.pauses == []

    run_virtually(scene())


def test_after_the_wait_everybody_may_try_and_what_fails_together_counts_once() -> None:
    async def scene() -> None:
        async with yard(dying, maximum_concurrency=5) as here:
            for expected in ([], [], [(3, 0.5)]):
                assert await here.together(*["returns 1"] * 5) == ["itself"] * 5
                assert here.events.pauses == expected
            await asyncio.sleep(0.5)
            assert await here.together(*["returns 1"] * 5) == ["itself"] * 5
            assert here.events.pauses == [(3, 0.5), (4, 1.0)]

    run_virtually(scene())


def test_an_answer_of_a_new_worker_ends_it_whatever_the_answer() -> None:
    async def scene() -> None:
        for well in ("returns 1", "raises 1"):
            async with yard() as here:
                here.source.plans.extend([DIES] * 3)
                assert [await here.use() for _ in range(3)] == ["itself"] * 3
                await asyncio.sleep(0.5)
                assert await here.use(well) == "4"
                assert [await here.use("dies 1") for _ in range(3)] == ["itself"] * 3
                assert here.events.pauses == [(3, 0.5), (3, 0.5)]

    run_virtually(scene())


def test_idle_workers_serve_on_while_none_is_started() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=2) as here:
            here.source.plans.append(Plan())
            dying(here)
            await here.use()
            async with asyncio.TaskGroup() as group:
                group.create_task(here.use("returns 2"))
                await asyncio.sleep(0)
                assert [await here.use() for _ in range(4)] == ["itself", "itself", "itself", "refused"]
            assert [await here.use() for _ in range(3)] == ["1"] * 3
            assert here.events.pauses == [(3, 0.5)]

    run_virtually(scene())


def test_want_of_descriptors_is_no_failure_of_the_function() -> None:
    async def scene() -> None:
        async with yard() as here:
            here.source.usual = OSError(errno.EMFILE, "Too many open files")
            for _ in range(9):
                refused = await here.pool.take()
                assert isinstance(refused, Refused)
                assert "Too many open files" in refused.detail
            assert here.events.not_ready == ["refused"] * 9
            assert here.events.pauses == []

    run_virtually(scene())


# ------------------------------------------------------------------------------------------------------- provisioned workers


@pytest.mark.parametrize(
    "ill",
    [
        pytest.param(lambda: DIES, id="they die"),
        pytest.param(lambda: Plan(how="raises"), id="their handler cannot be loaded"),
        pytest.param(lambda: FileNotFoundError(errno.ENOENT, "No such file", "/python"), id="there is no interpreter"),
        pytest.param(lambda: OSError(errno.EMFILE, "Too many open files"), id="there are no descriptors"),
    ],
)
def test_warming_ends_after_one_failed_round_and_the_pool_goes_on_trying(ill: Callable[[], Plan | Exception]) -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=9, provisioned_concurrency=9) as here:
            here.source.usual = ill()
            async with asyncio.timeout(0.3):
                assert await here.pool.warm() is not None
            here.source.usual = Plan()
            await asyncio.sleep(5.0)
            assert here.pool.count().idle == 9

    run_virtually(scene())


def test_a_slow_one_of_the_first_round_is_waited_for_although_others_have_failed() -> None:
    async def scene() -> None:
        async with yard(maximum_concurrency=2, provisioned_concurrency=2) as here:
            here.source.plans.extend([DIES, Plan(after=7.0)])
            assert await here.pool.warm() is not None
            assert asyncio.get_running_loop().time() == pytest.approx(7.0)
            assert here.pool.count().idle == 2

    run_virtually(scene())


def test_provisioned_workers_that_never_become_ready_are_tried_ever_more_rarely() -> None:
    async def scene() -> None:
        async with yard(dying, provisioned_concurrency=1) as here:
            here.pool.warm()
            await asyncio.sleep(300.0)
            starts = [at for at, _ in here.source.started]
            gaps = [round(later - sooner, 1) for sooner, later in itertools.pairwise(starts)]
            assert gaps == [0.2, 0.2, 0.7, 1.2, 2.2, 4.2, 8.2, 16.2] + [30.2] * (len(gaps) - 8)
            assert [wait for _, wait in here.events.pauses] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]

    run_virtually(scene())


def test_an_invocation_does_not_wait_for_a_provisioned_worker_that_never_comes() -> None:
    async def scene() -> None:
        async with yard(dying, provisioned_concurrency=1) as here:
            here.pool.warm()
            assert await here.use() == "refused"
            assert asyncio.get_running_loop().time() == pytest.approx(0.6)  # three tries

    run_virtually(scene())
