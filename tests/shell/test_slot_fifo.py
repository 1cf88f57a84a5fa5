"""Slots of a FIFO queue: order in every group, also over batches of one receive."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from support.build import ids
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor, in_turn, reports
from support.queueing import MAILS, ObedientQueue, Poller, QueueWorld, bodies, message, polling
from support.stage import Stage, now, virtually

from poller.apis.memory_queues import QueueBehaviour
from poller.breaking import CircuitBreaker
from poller.core.batching import BatchLimits
from poller.core.model import Attempt, Release
from poller.core.queue_policy import QueuePolicy
from poller.core.scaling import PollerLimits, PollerScale
from poller.deleter import Deleter
from poller.errors import Unavailable
from poller.slot import OpenQueue, QueueLane
from poller.visibility import Visibility

if TYPE_CHECKING:
    from poller.core.model import Answer

rule = pytest.mark.rule

SMALL = BatchLimits(count=10, event_bytes=1700)
"""Two or three messages are all that an event takes."""


def hand(*, fifo: bool) -> tuple[QueueLane, ObedientQueue]:
    """The hand of a slot, whose messages are hidden for 30 seconds and have no heartbeat."""
    stage, queue = Stage(facts=MAILS), ObedientQueue()
    visibility = Visibility(queue, 30, stage.observe, stage.clock, stage.rng)
    deleter = Deleter(queue, visibility, stage.observe, stage.rng)
    opened = OpenQueue(
        source=queue,
        visibility=visibility,
        deleter=deleter,
        receive_wait=20,
        fifo=fifo,
        work=stage.work(),
        scale=PollerScale(PollerLimits(polls=1, batches=1)),
        breaker=CircuitBreaker(None, stage.observe, stage.clock),
    )
    return QueueLane(opened, stage.drain), queue


def reports_once(*bad: str) -> ScriptedExecutor:
    """A function that reports each of these bodies the first time it sees it."""
    seen: set[str] = set()

    def script(call: Call) -> Answer:
        failed = [one["messageId"] for one in call.records if one["body"] in bad and one["body"] not in seen]
        seen.update(bodies(call))
        return reports(*failed) if failed else ACCEPTS

    return ScriptedExecutor(script)


def firsts(of: list[str], group: str) -> list[str]:
    """The messages of a group in the order in which they were last seen: what counts where some came again."""
    return [body for at, body in enumerate(of) if body.startswith(group) and body not in of[at + 1 :]]


@rule("queue.fifo.order")
@rule("queue.fifo.several-groups")
@virtually
async def test_a_batch_may_hold_several_groups_each_in_its_order() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue("mails.fifo"))
    world.send(poller.arn, "a1", "b1", "a2", "c1", "b2")
    async with polling(poller):
        await asyncio.sleep(1)
        assert poller.seen == [["a1", "b1", "a2", "c1", "b2"]]
        assert world.bodies(poller.arn) == []


@rule("queue.fifo.guard")
@virtually
async def test_after_a_failed_message_its_group_comes_again_in_order_and_others_are_done() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue("mails.fifo"), executor=reports_once("a2"), partial_answers=True)
    world.send(poller.arn, "a1", "b1", "a2", "b2", "a3")
    async with polling(poller):
        await asyncio.sleep(0.5)
        assert world.bodies(poller.arn) == ["a2", "a3"]
        await asyncio.sleep(10)
        assert poller.seen == [["a1", "b1", "a2", "b2", "a3"], ["a2", "a3"]]
        assert poller.began == [0, 1]


@rule("queue.fifo.without-guard")
@virtually
async def test_without_the_guard_what_is_not_reported_is_deleted_and_a_message_comes_again_behind_its_followers() -> None:
    world = QueueWorld()
    executor = reports_once("a1")
    poller = Poller(world=world, arn=world.queue("mails.fifo"), executor=executor, partial_answers=True, guard=False)
    world.send(poller.arn, "a1", "a2", "a3")
    async with polling(poller):
        await asyncio.sleep(10)
        assert poller.seen == [["a1", "a2", "a3"], ["a1"]]


@rule("queue.fifo.guard")
@pytest.mark.parametrize("mode", ["backoff", "at_once", "lapse"])
@virtually
async def test_a_group_that_goes_back_takes_its_messages_in_later_batches_with_it(mode: str) -> None:
    world = QueueWorld()
    executor = ScriptedExecutor(in_turn(RAISES))
    policy = QueuePolicy(release=mode)  # type: ignore[arg-type]
    poller = Poller(world=world, arn=world.queue("mails.fifo"), executor=executor, limits=SMALL, policy=policy)
    world.send(poller.arn, "a1", "b1", "a2", "c1", "a3", "b2", "c2", "a4")
    async with polling(poller):
        await asyncio.sleep(100)
    first = set(poller.seen[0])
    again = [body for some in poller.seen[1:] for body in some]
    assert 2 <= len(first) < 4
    assert len(poller.api.receives) > 1
    assert sorted(again) == ["a1", "a2", "a3", "a4", "b1", "b2", "c1", "c2"]  # nothing of a broken group in between
    for group in "abc":
        own = [body for body in again if body.startswith(group)]
        assert own == sorted(own)
    assert world.bodies(poller.arn) == []


@virtually
async def test_a_broken_group_is_whole_again_once_nothing_of_it_is_in_hand() -> None:
    """Also in a slot whose hands are never empty, because a message of another group is always left for the next batch."""
    world = QueueWorld()
    executor = ScriptedExecutor(in_turn(RAISES), seconds=0.3)
    limits = BatchLimits(count=10, event_bytes=1700, window=1)
    poller = Poller(world=world, arn=world.queue("mails.fifo"), executor=executor, limits=limits)
    world.send(poller.arn, "a1", "x1", "a2", "y1")

    async def pour() -> None:
        for number in range(400):
            world.send(poller.arn, f"z{number}")
            await asyncio.sleep(0.1)

    async with polling(poller), asyncio.TaskGroup() as group:
        group.create_task(pour())
        await asyncio.sleep(30)
        assert firsts(poller.all_seen, "a") == ["a1", "a2"]
        counts = {one["body"]: int(one["attributes"]["ApproximateReceiveCount"]) for c in executor.calls for one in c.records}
        assert counts["a1"] <= 2
        assert counts["a2"] <= 2


@rule("queue.fifo.group-not-twice")
@virtually
async def test_a_group_is_never_in_two_batches_at_once() -> None:
    world = QueueWorld()
    running: set[str] = set()

    def script(call: Call) -> Answer:
        groups = {body[0] for body in bodies(call)}
        assert not groups & running
        return ACCEPTS

    executor = ScriptedExecutor(script, seconds=1)
    poller = Poller(world=world, arn=world.queue("mails.fifo"), executor=executor, slots=5, limits=BatchLimits(count=2))
    world.send(poller.arn, *(f"{group}{n}" for n in range(8) for group in "abc"))
    async with polling(poller):
        await asyncio.sleep(60)
    spans = [(call.began, call.ended, {body[0] for body in bodies(call)}) for call in executor.calls]
    for began, _, groups in spans:
        assert sum(bool(groups & others) for since, until, others in spans if since <= began < (until or 0)) == 1
    assert executor.most > 1
    for group in "abc":
        assert [body for body in poller.all_seen if body.startswith(group)] == [f"{group}{n}" for n in range(8)]


@pytest.mark.parametrize(("fifo", "gone"), [(True, ["m1", "m3"]), (False, ["m1"])], ids=["fifo", "standard"])
@virtually
async def test_what_is_lost_of_a_group_takes_the_rest_of_it_along(gone: list[str], *, fifo: bool) -> None:
    """What came first of it may be somebody else's by now, and what follows must not be ahead of it."""
    lane, queue = hand(fifo=fifo)
    first, *later = message(1, "a"), message(2, "b"), message(3, "a"), message(4, "c")
    queue.arrivals = [(first,), tuple(later)]
    await lane.read(10, None)
    await asyncio.sleep(20)
    await lane.read(10, None)
    of = Attempt(records=(first, *later))
    assert lane.lost(of) == ()
    await asyncio.sleep(11)
    assert ids(lane.lost(of)) == gone
    assert ids(lane.lost(Attempt(records=tuple(later)))) == []  # asking changes nothing


@pytest.mark.parametrize(("fifo", "gone"), [(True, ["m3"]), (False, [])], ids=["fifo", "standard"])
@virtually
async def test_what_goes_back_of_a_group_takes_what_is_still_in_hand_of_it_along(gone: list[str], *, fifo: bool) -> None:
    lane, queue = hand(fifo=fifo)
    some = message(1, "a"), message(2, "b"), message(3, "a")
    queue.arrivals = [some]
    await lane.read(10, None)
    await lane.release(Release(records=some[:1], delay=4.0))
    assert [(call.ids, call.seconds) for call in queue.of("hide")] == [(["m1"], 4)]
    assert ids(lane.lost(Attempt(records=some[1:]))) == gone
    await lane.release(Release(records=some[2:], delay=0.0))
    queue.arrivals = [(message(4, "a"),)]
    await lane.read(10, None)
    assert lane.lost(Attempt(records=(message(4, "a"),))) == ()  # the group has begun anew


@rule("queue.poll.fifo-lost-answer")
@virtually
async def test_messages_whose_receive_lost_its_answer_come_at_once_with_the_next() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue("mails.fifo", VisibilityTimeout=600))
    world.send(poller.arn, "a1", "a2")
    poller.trouble.lose(Unavailable("ReceiveMessage", "timeout"), "ReceiveMessage")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0.01)).add_done_callback(lambda _: poller.trouble.heal())
        async with polling(poller):
            await asyncio.sleep(2)
            assert poller.seen == [["a1", "a2"]]
            first, second = (receive.attempt_id for _, receive in poller.api.receives[:2])
            assert first == second != poller.api.receives[2][1].attempt_id


@rule("queue.fifo.order")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("partial_answers", [True, False])
@virtually
async def test_whatever_fails_every_group_is_done_in_its_order(seed: int, *, partial_answers: bool) -> None:
    """Of each message the last delivery counts: none after it, and those of its group in the order in which they were sent."""
    chance = Random(seed)
    world = QueueWorld(QueueBehaviour(fail_every=7, fewer_every=3))

    def script(call: Call) -> Answer:
        bad = [one["messageId"] for one in call.records if chance.random() < 0.15]
        if not bad:
            return ACCEPTS
        return reports(*bad) if partial_answers else RAISES

    executor = ScriptedExecutor(script, seconds=lambda _: chance.choice((0.1, 1, 40)))
    limits = chance.choice((BatchLimits(count=10), SMALL, BatchLimits(count=3)))
    poller = Poller(
        world=world,
        arn=world.queue("mails.fifo"),
        executor=executor,
        slots=3,
        limits=limits,
        partial_answers=partial_answers,
    )
    sent = [f"{group}{n:02}" for n in range(12) for group in "abcdef"]
    world.send(poller.arn, *sent)
    async with polling(poller):
        while world.bodies(poller.arn):
            await asyncio.sleep(10)
            assert now() < 20_000
    assert set(poller.all_seen) == set(sent)
    for group in "abcdef":
        assert firsts(poller.all_seen, group) == [f"{group}{n:02}" for n in range(12)]
