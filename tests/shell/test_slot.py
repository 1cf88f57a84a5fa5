"""A poll slot: when it receives, for how long it waits, and what it does with what it holds."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from support.doubles import ACCEPTS, RAISES, Call, ScriptedExecutor, in_turn
from support.queueing import Poller, QueueWorld, polling
from support.stage import later, now, stand_still, virtually

from poller.core.batching import BatchLimits
from poller.core.model import Answer, Refused
from poller.core.permits import Ticket
from poller.core.queue_policy import QueuePolicy, ReleaseMode
from poller.drain import Drain
from poller.errors import Unavailable

rule = pytest.mark.rule

DOWN = Unavailable("ReceiveMessage", "connection")
OTHER = Ticket("another mapping", "handle")


def waits(poller: Poller) -> list[tuple[float, int]]:
    """When the slot received, and for how long it would have waited."""
    return [(at, receive.wait) for at, receive in poller.api.receives]


# ----------------------------------------------------------------------------------------------------------------------- permits


@rule("queue.poll.only-with-a-free-permit")
@virtually
async def test_nothing_is_received_while_the_function_has_no_free_permit() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1)
    world.send(poller.arn, "a")
    async with poller.stage.permits.hold(OTHER, Drain()), asyncio.TaskGroup() as group:
        group.create_task(poller.run())
        await asyncio.sleep(1000)
        assert poller.api.receives == []
        later(10, poller.drain.start)
    assert poller.seen == []


@rule("queue.poll.only-with-a-free-permit")
@virtually
async def test_the_moment_a_permit_is_free_the_slot_receives() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1)
    world.send(poller.arn, "a")
    async with polling(poller):
        async with poller.stage.permits.hold(OTHER, Drain()):
            await asyncio.sleep(100)
        await asyncio.sleep(1)
        assert poller.began == [100]
        assert poller.receive_counts == [1]


@rule("queue.poll.idle-holds-nothing")
@virtually
async def test_no_permit_is_held_while_the_slot_waits_for_messages() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1)
    async with polling(poller):
        for at in range(1, 100, 7):
            await asyncio.sleep(at - now())
            async with poller.stage.permits.hold(OTHER, Drain()):
                assert now() == at


@rule("queue.poll.only-with-a-free-permit")
@virtually
async def test_what_arrived_when_another_was_quicker_waits_under_the_heartbeat_and_nothing_more_is_received() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1)
    async with polling(poller):
        await asyncio.sleep(1)
        async with poller.stage.permits.hold(OTHER, Drain()):
            world.send(poller.arn, "a", "b")
            await asyncio.sleep(200)
            assert len(poller.api.receives) == 1
        await asyncio.sleep(0.01)
        assert (poller.seen, poller.receive_counts) == ([["a", "b"]], [1])


# -------------------------------------------------------------------------------------------------------------- how long it waits


@rule("queue.poll.long-poll")
@virtually
async def test_an_empty_queue_is_asked_one_long_poll_after_the_other() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    async with polling(poller):
        await asyncio.sleep(61)
        assert waits(poller) == [(0, 20), (20, 20), (40, 20), (60, 20)]
        assert [receive.limit for _, receive in poller.api.receives] == [10] * 4
        assert poller.count("polls_total", outcome="empty") == 3
        assert poller.count("poll_duration_seconds_sum") == 60


@rule("queue.poll.long-poll")
@pytest.mark.parametrize(("visibility", "longest"), [(0, 3), (5, 3), (12, 8), (29, 19), (30, 20), (300, 20)])
@virtually
async def test_a_poll_never_lasts_so_long_that_what_it_brings_may_be_visible_again(visibility: int, longest: int) -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=visibility), executor=ScriptedExecutor(seconds=60))
    async with polling(poller):
        await asyncio.sleep(longest - 0.1)
        world.send(poller.arn, "a")
        await asyncio.sleep(100)
        assert waits(poller)[0] == (0, longest)
        assert (poller.seen, poller.receive_counts) == ([["a"]], [1])
        assert world.bodies(poller.arn) == []
        assert poller.count("visibility_extensions_total", outcome="lost") == 0


@virtually
async def test_without_long_polls_an_empty_queue_is_asked_once_a_second() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), receive_wait=0)
    async with polling(poller):
        await asyncio.sleep(60)
        assert 60 <= len(poller.api.receives) <= 61
        assert poller.count("poll_duration_seconds_sum") == 0


@virtually
async def test_a_service_that_does_not_wait_though_it_was_asked_to_is_no_reason_for_a_hot_loop() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    poller.api.impatient = True
    async with polling(poller):
        await asyncio.sleep(60)
        assert 60 <= len(poller.api.receives) <= 61


@virtually
async def test_a_backlog_is_received_without_pauses() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), receive_wait=0, executor=ScriptedExecutor(seconds=0.001))
    world.send(poller.arn, *map(str, range(100)))
    async with polling(poller):
        await asyncio.sleep(0.5)
        assert [len(some) for some in poller.seen] == [10] * 10
        assert poller.count("events_polled_total") == 100


@virtually
async def test_no_more_is_received_than_the_batch_takes() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=3))
    world.send(poller.arn, *"abcdefg")
    async with polling(poller):
        await asyncio.sleep(1)
        assert {receive.limit for _, receive in poller.api.receives} == {3}
        assert [len(some) for some in poller.seen] == [3, 3, 1]


@rule("queue.poll.errors-spend-nothing")
@virtually
async def test_a_receive_that_fails_is_repeated_ever_more_slowly() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    world.send(poller.arn, "a")
    poller.trouble.refuse(DOWN, "ReceiveMessage")
    later(300, poller.trouble.heal)
    async with polling(poller):
        await asyncio.sleep(350)
        tried = [at for at in poller.calls("ReceiveMessage") if at < 300]
        between = [after - before for before, after in pairwise(tried)]
        assert between[0] <= 0.5
        assert max(between) <= 30
        assert 12 <= len(tried) <= 80
        assert poller.receive_counts == [1]
        assert poller.count("polls_total", outcome="error") == len(tried)
        assert poller.count("source_api_errors_total", operation="ReceiveMessage", error="connection") == len(tried)


# ------------------------------------------------------------------------------------------------------------------------ windows


@rule("queue.batch.window")
@virtually
async def test_a_window_is_waited_for_in_whole_seconds_and_its_end_is_slept() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=10, window=2.5))
    for at, body in ((0.0, "a"), (1.2, "b"), (2.1, "c"), (2.3, "late")):
        later(at, lambda body=body: world.send(poller.arn, body))  # type: ignore[misc]
    async with polling(poller):
        await asyncio.sleep(2.6)
        assert poller.seen == [["a", "b", "c"]]
        assert poller.began == [2.5]
        assert waits(poller)[:3] == [(0, 20), (0, 2), (1.2, 1)]


@rule("queue.batch.count")
@rule("queue.batch.window")
@pytest.mark.parametrize("receive_wait", [0, 20])
@virtually
async def test_a_larger_batch_is_gathered_from_several_receives_and_goes_when_it_is_full(receive_wait: int) -> None:
    world = QueueWorld()
    limits = BatchLimits(count=25, window=30)
    poller = Poller(world=world, arn=world.queue(), limits=limits, receive_wait=receive_wait)
    world.send(poller.arn, *map(str, range(20)))
    later(5.5, lambda: world.send(poller.arn, *map(str, range(20, 30))))
    async with polling(poller):
        await asyncio.sleep(10)
        assert poller.seen == [list(map(str, range(25)))]
        assert 5.5 <= poller.began[0] <= 6.5


@rule("queue.batch.window")
@pytest.mark.parametrize("window", [1, 1.9])
@virtually
async def test_a_window_of_a_second_gathers_too(window: float) -> None:
    """Less than a second is left of it after the first receive, and a receive waits for whole seconds."""
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=100, window=window))
    poller.trouble.slow(0.05, "ReceiveMessage")
    world.send(poller.arn, *map(str, range(45)))
    async with polling(poller):
        await asyncio.sleep(window + 0.5)
        assert len(poller.seen[0]) == 45
        assert window <= poller.began[0] <= window + 0.1


@rule("queue.batch.window")
@virtually
async def test_while_there_is_no_free_permit_the_window_goes_on() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1, limits=BatchLimits(count=10, window=10))
    world.send(poller.arn, "a")
    async with polling(poller):
        await asyncio.sleep(1)
        later(5, lambda: world.send(poller.arn, "b"))
        async with poller.stage.permits.hold(OTHER, Drain()):
            await asyncio.sleep(6)
        await asyncio.sleep(10)
        assert (poller.seen, poller.began) == ([["a", "b"]], [10])


@rule("queue.batch.bytes")
@virtually
async def test_a_batch_is_closed_before_it_is_too_large() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=10, event_bytes=1500))
    world.send(poller.arn, *("x" * 100 for _ in range(10)))
    async with polling(poller):
        await asyncio.sleep(1)
        sizes = [len(call.invocation.event) for call in poller.executor.calls]
        assert len(sizes) > 1
        assert max(sizes) <= 1500
        assert sum(len(some) for some in poller.seen) == 10


# ------------------------------------------------------------------------------------------------------------- what becomes of it


@rule("queue.outcome.success")
@virtually
async def test_what_the_function_accepts_is_deleted() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    world.send(poller.arn, *"abc")
    async with polling(poller):
        await asyncio.sleep(1)
        assert world.bodies(poller.arn) == []
        assert poller.count("events_deleted_total") == 3


MODES: dict[ReleaseMode, list[float]] = {
    "backoff": [0, 1, 3, 7, 15, 31, 63, 123, 183],
    "at_once": [0] * 9,
    "lapse": [0, 30, 60, 90, 120, 150, 180, 210, 240],
}


@rule("queue.release.backoff")
@rule("queue.release.at-once")
@rule("queue.release.lapse")
@pytest.mark.parametrize(("mode", "times"), MODES.items(), ids=MODES)
@virtually
async def test_a_failed_message_comes_again_when_its_mapping_says(mode: ReleaseMode, times: list[float]) -> None:
    world = QueueWorld()
    executor = ScriptedExecutor(in_turn(*[RAISES] * 8))
    poller = Poller(world=world, arn=world.queue(), executor=executor, policy=QueuePolicy(release=mode))
    world.send(poller.arn, "a")
    async with polling(poller):
        await asyncio.sleep(300)
        assert poller.began == pytest.approx(times, abs=0.01)
        assert poller.receive_counts == list(range(1, 10))
        assert world.bodies(poller.arn) == []
        assert poller.count("events_redelivered_total") == 8


@virtually
async def test_a_queue_that_does_not_hear_that_a_message_goes_back_hands_it_out_when_its_time_out_ends() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=60), executor=ScriptedExecutor(in_turn(RAISES)))
    world.send(poller.arn, "a")
    poller.trouble.refuse(Unavailable("ChangeMessageVisibilityBatch", "timeout"), "ChangeMessageVisibilityBatch")
    async with polling(poller):
        await asyncio.sleep(100)
        assert poller.began == [0, 60]
        assert len(poller.calls("ChangeMessageVisibilityBatch")) == 3
        assert poller.count("visibility_extensions_total", outcome="error") == 1


@rule("queue.outcome.refused")
@virtually
async def test_what_nobody_runs_is_kept_hidden_and_tried_again_without_another_receive() -> None:
    world = QueueWorld()

    def busy(call: Call) -> Answer:
        return Refused("throttled") if now() < 200 else ACCEPTS

    poller = Poller(world=world, arn=world.queue(redrive=1), executor=ScriptedExecutor(busy))
    world.send(poller.arn, "a", "b")
    async with polling(poller):
        await asyncio.sleep(300)
        assert len(poller.seen) > 5
        assert poller.seen == [["a", "b"]] * len(poller.seen)
        assert set(poller.receive_counts) == {1}
        assert world.bodies(poller.arn) == world.bodies(world.dead_letters) == []


@rule("queue.visibility.heartbeat")
@rule("queue.visibility.no-minimum")
@pytest.mark.parametrize("visibility", [5, 30])
@virtually
async def test_a_handler_five_times_slower_than_the_time_out_runs_each_message_once(visibility: int) -> None:
    world = QueueWorld()
    executor = ScriptedExecutor(seconds=5.0 * visibility)
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=visibility), executor=executor, slots=3)
    world.send(poller.arn, *map(str, range(60)))
    async with polling(poller):
        await asyncio.sleep(30 * visibility)
    assert sorted(poller.all_seen) == sorted(map(str, range(60)))
    assert set(poller.receive_counts) == {1}
    assert world.bodies(poller.arn) == []
    assert poller.count("visibility_extensions_total", outcome="lost") == 0


@rule("queue.visibility.lost-is-not-invoked")
@virtually
async def test_what_may_be_somebody_elses_by_now_is_not_invoked_and_comes_again() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), concurrency=1)
    async with polling(poller):
        await asyncio.sleep(1)
        async with poller.stage.permits.hold(OTHER, Drain()):
            world.send(poller.arn, "a")
            await asyncio.sleep(1)
            stand_still(31)
        await asyncio.sleep(1)
        assert (poller.seen, poller.receive_counts) == ([["a"]], [2])
        await asyncio.sleep(100)
        assert len(poller.seen) == 1
    assert poller.count("visibility_extensions_total", outcome="lost") == 1
