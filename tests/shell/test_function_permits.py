"""Permits with reservations and priorities: who is told, who waits, what is counted, and what a stopped function costs."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from support.build import records
from support.observing import scrape
from support.queueing import Poller, QueueWorld, polling
from support.stage import Scene, Stage, later, now, virtually

from poller.core.permits import Ticket
from poller.core.policy import StreamPolicy
from poller.drain import Drain
from poller.function import Permits

rule = pytest.mark.rule


async def hold(permits: Permits, ticket: Ticket, seconds: float) -> None:
    async with permits.hold(ticket, Drain()):
        await asyncio.sleep(seconds)


@rule("function.concurrency.reserved-is-guaranteed")
@rule("function.concurrency.reserved-is-a-cap")
@virtually
async def test_what_is_reserved_is_free_while_others_wait_and_no_more_than_that() -> None:
    permits, drain = Permits({"f": 9, "kept": 9}, 3, {"kept": 1}), Drain()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(hold(permits, Ticket("a", "f", 9), 10))
        await asyncio.sleep(1)
        assert (permits.has_free("f"), permits.has_free("kept")) == (False, True)
        group.create_task(hold(permits, Ticket("b", "kept"), 3))
        assert await permits.free("kept", drain)
        await asyncio.sleep(0)
        assert not permits.has_free("kept")
        assert await permits.free("kept", drain)
        assert now() == 4
        assert not permits.has_free("f")


@rule("function.concurrency.in-turn")
@virtually
async def test_of_those_who_wait_for_a_free_permit_the_higher_priority_is_told_first_and_equals_in_order() -> None:
    permits, told = Permits({"f": 1}, 1), list[str]()

    async def wait(name: str, priority: int) -> None:
        assert await permits.free("f", Drain(), None, priority)
        told.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(hold(permits, Ticket("a", "f"), 10))
        await asyncio.sleep(0)
        for name, priority in (("low", -1), ("one", 0), ("two", 0), ("high", 5), ("three", 0)):
            group.create_task(wait(name, priority))
    assert told == ["high", "one", "two", "three", "low"]
    assert permits._hopeful == {}


@rule("function.concurrency.waiting-is-free")
@virtually
async def test_each_wait_in_hand_is_one_throttle_however_it_ends_and_none_where_nobody_waits() -> None:
    stage = Stage(concurrency=1)
    function, cut_off = stage.function, Drain()
    later(25, cut_off.start)

    async def invoke(name: str, drain: Drain, *, expected: bool) -> None:
        async with function.permit(name, 0, drain) as permitted:
            assert permitted == expected
            await asyncio.sleep(10)

    async with asyncio.TaskGroup() as group:
        group.create_task(invoke("a", Drain(), expected=True))
        await asyncio.sleep(0)
        group.create_task(invoke("b", Drain(), expected=True))
        killed = group.create_task(invoke("c", Drain(), expected=True))
        group.create_task(invoke("d", cut_off, expected=True))
        later(3, killed.cancel)
        await asyncio.sleep(11)
        group.create_task(invoke("e", cut_off, expected=False))
        group.create_task(stage.permits.free("handle", Drain()))
    page = scrape(stage.metrics)
    assert page.value("poller_throttles_total", function="handle", reason="function") == 4
    assert page.value("poller_permit_wait_seconds_count", function="handle") == 4
    assert page.value("poller_permit_wait_seconds_sum", function="handle") == 10 + 3 + 20 + (25 - 11)
    assert stage.permits._granted == {}


@rule("function.concurrency.reserved-zero-stops")
@rule("function.concurrency.waiting-is-free")
@virtually
async def test_a_stopped_function_keeps_a_streams_records_waiting_and_spends_nothing() -> None:
    scene = Scene(policy=StreamPolicy(max_retries=0))
    scene.stage.permits.resize({"handle": 1}, 1, {"handle": 0})
    later(3600, lambda: scene.stage.permits.resize({"handle": 1}, 1, {}))
    assert await scene.run(records(1, 2)) == 3600
    assert scene.events == ["invoke 1 2", "settle 1 2"]
    page = scrape(scene.stage.metrics)
    throttles = {s.labels["reason"]: s.value for s in page.samples if s.name == "poller_throttles_total" and s.value}
    assert throttles == {"reserved_zero": 1}


@rule("function.concurrency.reserved-zero-stops")
@virtually
async def test_for_a_stopped_function_nothing_is_received_until_it_goes_on() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=2, slots=2)
    poller.stage.permits.resize({"handle": 2}, 2, {"handle": 0})
    world.send(poller.arn, "a")
    async with polling(poller):
        await asyncio.sleep(3600)
        assert poller.api.receives == []
        poller.stage.permits.resize({"handle": 2}, 2, {"handle": 2})
        await asyncio.sleep(1)
    assert (poller.began, poller.receive_counts) == ([3600], [1])


@rule("function.concurrency.in-turn")
@virtually
async def test_a_queue_of_higher_priority_has_the_function_first_while_it_has_messages() -> None:
    world = QueueWorld()
    low = Poller(world=world, arn=world.queue("low"), name="low", concurrency=1)
    low.executor.seconds = 1
    high = Poller(world=world, arn=world.queue("high"), name="high", priority=1, beside=low, slots=3)
    world.send(low.arn, *["low"] * 50)
    async with polling(low, high):
        await asyncio.sleep(2.5)
        world.send(high.arn, *["high"] * 50)
        await asyncio.sleep(60)
    batches = [set(some) for some in low.seen]
    assert {"high"} in batches
    first, last = batches.index({"high"}), len(batches) - batches[::-1].index({"high"})
    assert batches[first:last].count({"low"}) <= 2, "but for what is received while nobody waits"
    assert sum(map(len, low.seen)) == 100, "in the end everything"


def test_that_it_is_stopped_is_told_by_the_limit_of_the_function() -> None:
    stage = Stage()
    with capture_logs() as log:
        stage.function.observe.limit(0)
    assert scrape(stage.metrics).value("poller_concurrency_limit", function="handle") == 0
    assert [line["event"] for line in log] == ["function_stopped"]


@virtually
async def test_a_hundred_idle_queues_wake_for_their_own_polls_only_however_often_a_permit_is_given_back() -> None:
    """No herd: a permit that comes and goes a thousand times a second wakes each of them about once a poll."""
    world = QueueWorld()
    busy = Poller(world=world, arn=world.queue("busy"), name="busy", concurrency=2, slots=2)
    idle = [Poller(world=world, arn=world.queue(f"q{n}"), name=f"q{n}", beside=busy) for n in range(100)]
    looks = 0
    free = busy.stage.permits._ledger.free

    def counting(function: str) -> bool:
        nonlocal looks
        looks += 1
        return free(function)

    busy.stage.permits._ledger.free = counting  # type: ignore[method-assign]  # nothing else tells who has looked
    busy.executor.seconds = 0.01
    async with polling(busy, *idle):
        for _ in range(100):
            world.send(busy.arn, *["x"] * 100)
            await asyncio.sleep(1)
        invocations, polls = len(busy.seen), sum(len(poller.api.receives) for poller in (busy, *idle))
    assert invocations >= 1000
    assert looks <= 6 * (invocations + polls)
