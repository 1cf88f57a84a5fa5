"""The end of poll slots: a drain that loses and delays nothing, a drain out of patience, a slot that crashes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.doubles import RAISES, Call, ScriptedExecutor, in_turn
from support.queueing import Poller, QueueWorld, polling
from support.stage import later, now, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Refused
from poller.core.permits import Ticket
from poller.core.queue_policy import QueuePolicy
from poller.drain import Drain
from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from poller.core.model import Answer

rule = pytest.mark.rule

OTHER = Ticket("another mapping", "handle")


# -------------------------------------------------------------------------------------------------------------------------- drain


@rule("queue.drain.open-polls")
@virtually
async def test_an_open_poll_is_waited_for_and_what_it_brings_goes_back_at_once() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=600))
    later(5, poller.drain.start)
    later(8, lambda: world.send(poller.arn, "a", "b"))
    await poller.run()
    assert now() == 8
    assert world.states(poller.arn) == {"a": "visible", "b": "visible"}
    assert poller.api.hidden == [(8, 2, 0)]
    assert poller.seen == []
    assert len(poller.api.receives) == 1
    assert poller.count("events_returned_total") == 2


@rule("queue.drain.open-polls")
@virtually
async def test_what_goes_back_while_other_polls_are_open_is_not_taken_by_them_again() -> None:
    """It would go round all slots, and into the dead-letter queue, and no function would have seen it."""
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(redrive=2), slots=5)
    later(5, poller.drain.start)
    later(8, lambda: world.send(poller.arn, "a", "b"))
    await poller.run()
    assert now() == 20
    assert [each.receives for each in world.queues.messages(poller.arn)] == [1, 1]
    assert len(poller.api.receives) == 5
    await asyncio.sleep(1)
    assert world.states(poller.arn) == {"a": "visible", "b": "visible"}


@rule("queue.drain.nothing-new")
@virtually
async def test_after_the_drain_has_started_nothing_is_received() -> None:
    world = QueueWorld()
    executor = ScriptedExecutor(seconds=10)
    poller = Poller(world=world, arn=world.queue(), executor=executor)
    world.send(poller.arn, *map(str, range(30)))
    later(5, poller.drain.start)
    await poller.run()
    assert now() == 10
    assert len(poller.api.receives) == 1
    assert len(world.bodies(poller.arn)) == 20


@rule("queue.drain.running-ones-finish")
@virtually
async def test_what_runs_is_finished_and_its_success_is_deleted_before_the_end() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=ScriptedExecutor(seconds=100))
    world.send(poller.arn, "a")
    poller.trouble.slow(3, "DeleteMessageBatch")
    later(50, poller.drain.start)
    await poller.run()
    assert now() == 103
    assert world.bodies(poller.arn) == []


@virtually
async def test_what_fails_during_the_drain_goes_back_as_ever() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=ScriptedExecutor(in_turn(RAISES), seconds=100))
    world.send(poller.arn, "a")
    later(50, poller.drain.start)
    await poller.run()
    assert now() == 100
    assert poller.api.hidden[-1] == (100, 1, 1)


@rule("queue.drain.waiting-ones-go-back")
@virtually
async def test_what_waits_for_a_permit_goes_back_at_once() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(poller.run())
        await asyncio.sleep(1)
        async with poller.stage.permits.hold(OTHER, Drain()):
            world.send(poller.arn, "a")
            await asyncio.sleep(100)
            poller.drain.start()
            await asyncio.sleep(0.001)
            assert world.states(poller.arn) == {"a": "visible"}
    assert poller.seen == []


@virtually
async def test_what_a_window_still_gathers_goes_back_at_once() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=100, window=300))
    world.send(poller.arn, *map(str, range(25)))
    later(30, poller.drain.start)
    await poller.run()
    assert now() <= 40
    assert set(world.states(poller.arn).values()) == {"visible"}
    assert poller.count("events_returned_total") == 25


@virtually
async def test_a_batch_that_nobody_runs_goes_back_at_once() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=ScriptedExecutor(lambda _: Refused("unavailable")))
    world.send(poller.arn, "a")
    later(100, poller.drain.start)
    await poller.run()
    assert now() == 100
    assert world.states(poller.arn) == {"a": "visible"}


@virtually
async def test_a_service_that_is_down_does_not_hold_up_the_drain_of_what_goes_back() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=100, window=300))
    world.send(poller.arn, "a")
    later(5, lambda: poller.trouble.refuse(Unavailable("x", "connection"), "ChangeMessageVisibilityBatch", "ReceiveMessage"))
    later(30, poller.drain.start)
    await poller.run()
    assert now() <= 40
    assert poller.count("visibility_extensions_total", outcome="error") is not None


# -------------------------------------------------------------------------------------------------------------- out of patience


@rule("queue.drain.out-of-patience")
@virtually
async def test_what_is_cut_off_after_a_drain_goes_back_in_haste_and_what_is_done_is_deleted() -> None:
    world = QueueWorld()
    executor = ScriptedExecutor(seconds=lambda call: 1.0 if call.number == 1 else 1000.0)
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=3000), executor=executor, slots=3)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(poller.run())
        world.send(poller.arn, *map(str, range(30)))
        poller.trouble.refuse(Unavailable("DeleteMessageBatch", "connection"), "DeleteMessageBatch")
        later(50, poller.drain.start)
        later(80, poller.trouble.heal)
        later(80, running.cancel)
    assert running.cancelled()
    assert now() == 80
    assert [call.cancelled for call in executor.calls] == [False, True, True]
    assert world.states(poller.arn) == {str(number): "visible" for number in range(10, 30)}


@virtually
async def test_the_last_word_takes_a_second_at_the_most() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=ScriptedExecutor(seconds=1000))
    world.send(poller.arn, "a")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(poller.run())
        await asyncio.sleep(1)
        poller.trouble.slow(1000, "ChangeMessageVisibilityBatch")
        poller.drain.start()
        later(10, running.cancel)
    assert running.cancelled()
    assert now() == 12


@virtually
async def test_who_is_cancelled_without_a_drain_says_nothing_more() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=ScriptedExecutor(seconds=1000))
    world.send(poller.arn, "a")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(poller.run())
        later(10, running.cancel)
    assert running.cancelled()
    assert world.states(poller.arn) == {"a": "in_flight"}


# ------------------------------------------------------------------------------------------------------------------------ crashes


class Broken(ScriptedExecutor):
    """A function whose executor crashes at these calls."""

    def __init__(self, *numbers: int, seconds: float = 0.0) -> None:
        def script(call: Call) -> Answer:
            if call.number in numbers:
                raise ValueError(f"call {call.number}")
            return in_turn()(call)

        super().__init__(script, seconds=seconds)


@virtually
async def test_a_slot_that_crashes_starts_again_and_its_messages_come_when_their_time_out_ends() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=Broken(1), policy=QueuePolicy(release="at_once"))
    world.send(poller.arn, "a")
    with capture_logs() as log:
        async with polling(poller):
            await asyncio.sleep(100)
            assert poller.began == [0, 30]
            assert world.bodies(poller.arn) == []
    (crash,) = [line for line in log if line["event"] == "crashed"]
    assert (crash["what"], crash["error"]) == ("slot 0", "ValueError: call 1")
    assert poller.count("supervised_restarts_total") == 1


@virtually
async def test_what_a_slot_held_that_crashed_while_it_drained_goes_back_at_once() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=600), executor=Broken(1, seconds=20))
    world.send(poller.arn, "a")
    later(5, poller.drain.start)
    await poller.run()
    assert now() == 20
    assert world.states(poller.arn) == {"a": "visible"}


@rule("queue.isolation.slots")
@virtually
async def test_a_crash_in_one_slot_stops_no_other() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), executor=Broken(2, seconds=20), slots=3, limits=BatchLimits(count=1))
    world.send(poller.arn, "a", "b", "c")
    async with polling(poller):
        await asyncio.sleep(25)
        assert [call.cancelled for call in poller.executor.calls[:3]] == [False] * 3
        assert len(world.bodies(poller.arn)) == 1
        await asyncio.sleep(100)
        assert world.bodies(poller.arn) == []
    assert poller.count("supervised_restarts_total") == 1


@virtually
async def test_what_a_crashed_slot_had_settled_is_still_deleted() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=600), executor=Broken(2), limits=BatchLimits(count=1))
    world.send(poller.arn, "a", "b")
    poller.trouble.slow(5, "DeleteMessageBatch")
    async with polling(poller):
        await asyncio.sleep(10)
        assert world.bodies(poller.arn) == ["b"]


@virtually
async def test_a_queue_that_vanishes_is_looked_for_again_until_it_is_back() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    with capture_logs() as log:
        async with polling(poller):
            await asyncio.sleep(25)
            world.queues.delete_queue(poller.arn)
            await asyncio.sleep(200)
            assert world.queue() == poller.arn
            world.send(poller.arn, "a")
            await asyncio.sleep(40)
            assert poller.seen == [["a"]]
    told = [line for line in log if line["event"] == "failing"]
    assert told
    assert {line["kind"] for line in told} == {SourceGone.__name__}
    assert len(told) < 30
    assert poller.count("supervised_restarts_total") == 0
