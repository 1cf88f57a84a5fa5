"""How many slots a queue has: few while it is quiet, in no time as many as may run, and few again."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from support.doubles import ScriptedExecutor
from support.queueing import Poller, QueueWorld, polling
from support.stage import now, until, virtually

from poller.core.batching import BatchLimits
from poller.core.scaling import PollerLimits
from poller.errors import Unavailable

rule = pytest.mark.rule
MANY = PollerLimits(quiet=1, polls=500, batches=500)


def poller(world: QueueWorld, *, seconds: float = 1.0, scaling: PollerLimits = MANY, **fields: object) -> Poller:
    given = {"arn": world.queue(), "concurrency": 200, "executor": ScriptedExecutor(seconds=seconds), "scaling": scaling} | fields
    return Poller(world=world, **given)  # type: ignore[arg-type]  # a test's fields


@rule("queue.poll.one-on-a-quiet-queue")
@virtually
async def test_a_quiet_queue_has_one_open_poll() -> None:
    world = QueueWorld()
    one = poller(world)
    async with polling(one):
        await asyncio.sleep(65)
        assert [at for at, _ in one.api.receives] == pytest.approx([0, 20, 40, 60], abs=0.1)
        assert one.count("pollers") == 1


@rule("queue.poll.doubles")
@virtually
async def test_a_burst_is_worked_off_by_as_many_as_may_run() -> None:
    world = QueueWorld()
    one = poller(world)
    one.trouble.slow(0.01, "ReceiveMessage")
    async with polling(one):
        await asyncio.sleep(5)
        began = now()
        world.send(one.arn, *map(str, range(4000)))
        await until(lambda: one.executor.running == 200, step=0.001)
        assert now() - began < 0.15
        await until(lambda: not world.bodies(one.arn))
    assert one.executor.most == 200
    assert sorted(one.all_seen, key=int) == list(map(str, range(4000)))


@rule("queue.poll.one-on-a-quiet-queue")
@virtually
async def test_after_a_burst_one_poll_is_left() -> None:
    world = QueueWorld()
    one = poller(world)
    async with polling(one):
        world.send(one.arn, *map(str, range(1000)))
        await until(lambda: not world.bodies(one.arn))
        assert (one.count("pollers") or 0) > 50
        await asyncio.sleep(45)
        asked = len(one.api.receives)
        await asyncio.sleep(60)
        assert one.count("pollers") == 1
        assert len(one.api.receives) - asked == 3


@virtually
async def test_what_arrives_while_a_batch_runs_is_received_at_once() -> None:
    world = QueueWorld()
    one = poller(world, seconds=100)
    async with polling(one):
        for body in "abc":
            world.send(one.arn, body)
            await asyncio.sleep(1)
        assert one.seen == [["a"], ["b"], ["c"]]
        assert one.began == pytest.approx([0, 1, 2], abs=0.1)


@rule("queue.scaling.maximum-concurrency")
@pytest.mark.parametrize("most", [1, 3])
@virtually
async def test_no_more_batches_run_than_the_mapping_may_and_no_more_is_received(most: int) -> None:
    world = QueueWorld()
    one = poller(world, scaling=PollerLimits(polls=most, batches=most))
    async with polling(one):
        world.send(one.arn, *map(str, range(200)))
        await asyncio.sleep(0.5)
        assert one.executor.running == most
        assert list(world.states(one.arn).values()).count("in_flight") == 10 * most
        await until(lambda: not world.bodies(one.arn))
    assert one.executor.most == most


@rule("queue.scaling.provisioned")
@virtually
async def test_no_more_polls_are_open_than_there_may_be() -> None:
    world = QueueWorld()
    one = poller(world, scaling=PollerLimits(quiet=2, polls=4, batches=40))
    one.trouble.slow(0.01, "ReceiveMessage")
    async with polling(one):
        await asyncio.sleep(1)
        assert one.count("pollers") == 2
        world.send(one.arn, *map(str, range(2000)))
        await until(lambda: one.executor.running == 40)
        burst = [at for at, _ in one.api.receives if at > 1]
        assert all(later_one - first > 0.009 for first, later_one in zip(burst, burst[5:], strict=False))
        await until(lambda: not world.bodies(one.arn))


@virtually
async def test_a_queue_that_cannot_be_reached_is_asked_by_one_slot() -> None:
    world = QueueWorld()
    one = poller(world)
    async with polling(one):
        world.send(one.arn, *map(str, range(500)))
        await until(lambda: not world.bodies(one.arn))
        one.trouble.refuse(Unavailable("ReceiveMessage", "connection"), "ReceiveMessage")
        await asyncio.sleep(60)
        assert one.count("pollers") == 1
        one.trouble.heal()
        world.send(one.arn, "at last")
        await until(lambda: one.all_seen[-1] == "at last")


# ------------------------------------------------------------------------------------------------- batches of many receives


@rule("queue.batch.several-receives")
@virtually
async def test_a_large_batch_is_gathered_by_receives_side_by_side() -> None:
    world = QueueWorld()
    one = poller(world, limits=BatchLimits(count=1000, window=5), scaling=PollerLimits(polls=1, batches=1))
    one.trouble.slow(0.1, "ReceiveMessage")
    async with polling(one):
        world.send(one.arn, *map(str, range(1000)))
        await until(lambda: one.executor.running == 1)
        assert [len(batch) for batch in one.seen] == [1000]
        rounds = sorted({round(at, 3) for at, _ in one.api.receives})
        assert [len([at for at, _ in one.api.receives if round(at, 3) == start]) for start in rounds] == [1, 2, 4, 8, 16, 32, 37]
        assert all(round(after - before, 3) == 0.1 for before, after in pairwise(rounds))


@rule("queue.batch.several-receives")
@virtually
async def test_none_of_them_is_visible_again_before_the_batch_is_over() -> None:
    world = QueueWorld()
    arn = world.queue(VisibilityTimeout=10)
    one = poller(world, seconds=25, arn=arn, limits=BatchLimits(count=10_000, window=20))
    async with polling(one):
        world.send(arn, *map(str, range(995)))
        for _ in range(46):
            await asyncio.sleep(1)
            assert "visible" not in world.states(arn).values()
        await until(lambda: not world.bodies(arn))
    assert one.receive_counts == [1]
    assert [len(batch) for batch in one.seen] == [995]


@virtually
async def test_a_slot_that_gathers_is_not_superfluous() -> None:
    """It would cut its window short. The other one ends that polls beside it, since the first is back from its batch."""
    world = QueueWorld()
    one = poller(world, seconds=5, limits=BatchLimits(count=100, window=30), receive_wait=5)
    async with polling(one):
        world.send(one.arn, *map(str, range(100)))
        await asyncio.sleep(5.5)
        assert (one.executor.running, one.count("pollers")) == (0, 2)
        world.send(one.arn, *map(str, range(100, 110)))
        await asyncio.sleep(10)
        assert one.count("pollers") == 1
        world.send(one.arn, *map(str, range(110, 115)))
        await until(lambda: not world.bodies(one.arn))
        assert [len(batch) for batch in one.seen] == [100, 15]


@rule("queue.poll.in-flight-limit")
@virtually
async def test_no_more_messages_are_in_hand_than_may_be() -> None:
    world = QueueWorld()
    one = poller(world, in_flight=25, seconds=10)
    async with polling(one):
        world.send(one.arn, *map(str, range(200)))
        for _ in range(60):
            await asyncio.sleep(1)
            assert list(world.states(one.arn).values()).count("in_flight") <= 25
        await until(lambda: not world.bodies(one.arn))
    assert one.executor.most >= 3
