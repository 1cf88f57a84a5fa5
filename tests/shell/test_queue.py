"""A queue mapping as a whole: its states, its figures, who gives a message up, and how it shares a function."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.doubles import RAISES, ScriptedExecutor, in_turn
from support.queueing import Poller, QueueWorld, bodies, polling
from support.stage import later, now, virtually

from poller.core.batching import BatchLimits
from poller.core.permits import Ticket
from poller.core.queue_policy import QueuePolicy
from poller.drain import Drain
from poller.errors import Unavailable
from poller.ports import QueueDescription
from poller.queue import visibility_of

if TYPE_CHECKING:
    from poller.services import SqsAttribute

rule = pytest.mark.rule

ATTRIBUTES: dict[str, SqsAttribute] = {
    "Author": {"DataType": "String", "StringValue": "Jürgen"},
    "Blob": {"DataType": "Binary.png", "BinaryValue": "AAEC/w=="},
}


# ---------------------------------------------------------------------------------------------- how long a receive hides messages

VISIBILITY = [
    pytest.param(30, 0, 3, 30, marks=rule("queue.visibility.of-the-queue"), id="the queue's"),
    pytest.param(30, 0, 900, 30, marks=rule("queue.visibility.no-minimum"), id="though the function may take longer"),
    pytest.param(0, 0, 3, 5, marks=rule("queue.visibility.of-the-queue"), id="0"),
    pytest.param(4, 0, 3, 5, marks=rule("queue.visibility.of-the-queue"), id="shorter than a heartbeat can be"),
    pytest.param(60, 20, 30, 60, marks=rule("queue.visibility.window"), id="window and function fit in"),
    pytest.param(50, 20, 30, 50, marks=rule("queue.visibility.window"), id="just so"),
    pytest.param(49, 20, 30, 80, marks=rule("queue.visibility.window"), id="window and function need longer"),
    pytest.param(30, 0.5, 30, 61, marks=rule("queue.visibility.window"), id="whole seconds"),
    pytest.param(30, 300, 43_000, 43_200, marks=rule("queue.visibility.twelve-hours"), id="12 hours at the most"),
    pytest.param(43_200, 0, 3, 43_200, marks=rule("queue.visibility.of-the-queue"), id="12 hours"),
]


@pytest.mark.parametrize(("of_queue", "window", "timeout", "seconds"), VISIBILITY)
def test_messages_are_hidden_for_the_queues_own_time_or_long_enough_for_window_and_function(
    of_queue: float, window: float, timeout: float, seconds: int
) -> None:
    description = QueueDescription(visibility_timeout=of_queue, retention=60)
    assert visibility_of(description, window, timeout) == seconds


@rule("queue.visibility.window")
@virtually
async def test_receives_ask_for_that_time() -> None:
    world = QueueWorld()
    limits = BatchLimits(count=100, window=10)
    poller = Poller(world=world, arn=world.queue(VisibilityTimeout=35), limits=limits)  # the function may take 30 s
    async with polling(poller):
        await asyncio.sleep(1)
        assert poller.api.receives[0][1].visibility == 70


# ------------------------------------------------------------------------------------------------------------------------- states


@virtually
async def test_a_mapping_is_enabled_once_its_queue_is_found_and_disabled_after_the_drain() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), slots=3)
    with capture_logs() as log:
        async with polling(poller):
            await asyncio.sleep(1)
            assert poller.count("mapping_state", state="Enabled") == 1
            assert poller.count("pollers") == 3
    assert [line["state"] for line in log if line["event"] == "state"] == ["Creating", "Enabled", "Disabled"]
    assert poller.count("pollers") == 0


@virtually
async def test_a_mapping_whose_queue_is_missing_says_so_and_begins_when_it_is_there() -> None:
    world = QueueWorld()
    arn = world.queue()
    world.queues.delete_queue(arn)
    poller = Poller(world=world, arn=arn)
    with capture_logs() as log:
        async with polling(poller):
            await asyncio.sleep(100)
            assert poller.count("mapping_state", state="Creating") == 1
            world.queue()
            world.send(arn, "a")
            await asyncio.sleep(40)
            assert poller.seen == [["a"]]
            assert poller.count("mapping_state", state="Enabled") == 1
    told = [line for line in log if line["event"] == "failing"]
    assert told[0].items() >= {"what": "mapping", "kind": "SourceGone", "log_level": "warning"}.items()
    assert arn in told[0]["error"]
    assert len(poller.calls("GetQueueAttributes")) < 40


@virtually
async def test_a_drain_does_not_wait_for_a_queue_that_is_missing() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    world.queues.delete_queue(poller.arn)
    later(100, poller.drain.start)
    await poller.run()
    assert now() == 100


@virtually
async def test_a_crash_of_what_all_slots_share_starts_the_mapping_again() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(), slots=2)
    world.send(poller.arn, "a", "b")
    poller.trouble.refuse(ValueError("a bug"), "DeleteMessageBatch")
    later(1, poller.trouble.heal)
    with capture_logs() as log:
        async with polling(poller):
            await asyncio.sleep(100)
            assert world.bodies(poller.arn) == []
    assert {line["what"] for line in log if line["event"] == "crashed"} == {"mapping"}
    assert set(poller.all_seen) == {"a", "b"}


# ------------------------------------------------------------------------------------------------------------------------ figures


@virtually
async def test_the_depth_of_the_queue_is_asked_every_minute() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue(MessageRetentionPeriod=3600), executor=ScriptedExecutor(seconds=100))
    world.send(poller.arn, *"abc")

    def depth() -> list[float | None]:
        return [poller.count("queue_messages", state=state) for state in ("visible", "in_flight", "delayed")]

    async with polling(poller):
        await asyncio.sleep(59)
        assert depth() == [3, 0, 0]
        assert poller.count("source_retention_seconds") == 3600
        assert (poller.count("buffered_bytes") or 0) > 300
        world.send(poller.arn, "d")
        await asyncio.sleep(2)
        assert depth() == [1, 3, 0]
        await asyncio.sleep(200)
        assert depth() == [0, 0, 0]
        assert poller.count("buffered_bytes") == 0
    assert len(poller.calls("GetQueueAttributes")) == 5


@virtually
async def test_where_the_depth_cannot_be_asked_that_is_all() -> None:
    world = QueueWorld()
    poller = Poller(world=world, arn=world.queue())
    with capture_logs() as log:
        async with polling(poller):
            await asyncio.sleep(1)
            poller.trouble.refuse(Unavailable("GetQueueAttributes", "throttled"), "GetQueueAttributes")
            await asyncio.sleep(200)
            world.send(poller.arn, "a")
            await asyncio.sleep(1)
            assert poller.seen == [["a"]]
    assert {line["what"] for line in log if line["event"] == "failing"} == {"depth"}
    assert poller.count("supervised_restarts_total") == 0
    assert poller.count("source_api_errors_total", operation="GetQueueAttributes", error="throttled") == 3


# ------------------------------------------------------------------------------------------------------------- giving messages up


@rule("queue.redrive.queue-policy")
@rule("queue.redrive.unchanged")
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("own", [None, 1, 9])
@virtually
async def test_with_a_redrive_policy_a_failing_message_is_the_queues_to_give_up_after_exactly_so_many_deliveries(
    limit: int, own: int | None
) -> None:
    world = QueueWorld()
    arn = world.queue(redrive=limit)
    executor = ScriptedExecutor(lambda _: RAISES)
    poller = Poller(world=world, arn=arn, executor=executor, policy=QueuePolicy(max_receives=own), slots=2)
    world.queues.send(arn, "bad", ATTRIBUTES)
    async with polling(poller):
        await asyncio.sleep(100)
    assert poller.receive_counts == list(range(1, limit + 1))
    (dead,) = world.queues.messages(world.dead_letters)
    assert (dead.body, dead.attributes) == ("bad", ATTRIBUTES)
    assert world.bodies(arn) == []
    assert poller.count("events_sent_to_destination_total", destination="sqs") == 0


@rule("queue.redrive.own-limit")
@rule("queue.redrive.unchanged")
@pytest.mark.parametrize("limit", [1, 3])
@virtually
async def test_without_one_the_mappings_own_limit_counts_and_its_destination_gets_the_message(limit: int) -> None:
    world = QueueWorld()
    arn = world.queue()
    executor = ScriptedExecutor(lambda _: RAISES)
    poller = Poller(world=world, arn=arn, executor=executor, policy=QueuePolicy(max_receives=limit), slots=2)
    world.queues.send(arn, "bad", ATTRIBUTES)
    async with polling(poller):
        await asyncio.sleep(100)
    assert poller.receive_counts == list(range(1, limit + 1))
    (dead,) = world.queues.messages(world.dead_letters)
    assert (dead.body, dead.attributes) == ("bad", ATTRIBUTES)
    assert world.bodies(arn) == []
    assert poller.count("events_sent_to_destination_total", destination="sqs") == 1


@rule("queue.redrive.kept-until-delivered")
@virtually
async def test_while_the_destination_is_down_the_message_is_kept_and_hidden_and_reported_once() -> None:
    world = QueueWorld()
    arn = world.queue()
    policy = QueuePolicy(max_receives=1)
    poller = Poller(world=world, arn=arn, executor=ScriptedExecutor(in_turn(RAISES)), policy=policy)
    world.send(arn, "a", "b")
    poller.trouble.refuse(Unavailable("SendMessage", "connection"), "SendMessage")
    later(300, poller.trouble.heal)
    async with polling(poller):
        await asyncio.sleep(299)
        assert world.states(arn) == {"a": "in_flight", "b": "in_flight"}
        await asyncio.sleep(100)
    assert world.bodies(arn) == []
    assert sorted(world.bodies(world.dead_letters)) == ["a", "b"]
    assert poller.seen == [["a", "b"]]


# ------------------------------------------------------------------------------------------------------------- sharing a function


def mappings(world: QueueWorld, names: list[str], *, concurrency: int, seconds: float) -> list[Poller]:
    """Mappings of one process that share a function."""
    executor = ScriptedExecutor(seconds=seconds)
    slots = min(5, concurrency)
    arn = world.queue(names[0])
    first = Poller(world=world, arn=arn, name=names[0], executor=executor, concurrency=concurrency, slots=slots)
    others = [Poller(world=world, arn=world.queue(name), name=name, slots=slots, beside=first) for name in names[1:]]
    return [first, *others]


@rule("queue.poll.idle-holds-nothing")
@virtually
async def test_a_busy_queue_has_all_of_a_function_that_it_shares_with_idle_ones() -> None:
    world = QueueWorld()
    idle, busy, idle_too = mappings(world, ["idle", "busy", "idle too"], concurrency=2, seconds=1)
    async with polling(idle, busy, idle_too):
        await asyncio.sleep(30)
        world.send(busy.arn, *map(str, range(400)))
        for second in range(20):
            await asyncio.sleep(30.5 + second - now())
            assert busy.executor.running == 2
        await asyncio.sleep(1)
        assert world.bodies(busy.arn) == []
    assert len(busy.seen) == 40
    assert set(busy.receive_counts) == {1}


@rule("queue.poll.idle-holds-nothing")
@virtually
async def test_a_hundred_idle_queues_hold_no_permit() -> None:
    world = QueueWorld()
    pollers = mappings(world, [f"idle-{n}" for n in range(100)], concurrency=5, seconds=1)
    permits = pollers[0].stage.permits
    async with polling(*pollers):
        for second in range(0, 100, 3):
            await asyncio.sleep(second - now())
            assert permits._ledger.in_use("handle") == 0
            async with asyncio.TaskGroup() as group:
                for n in range(5):
                    group.create_task(_hold(pollers[0], f"other {n}"))
            assert now() == second
        for poller in pollers[::10]:
            world.send(poller.arn, "a")
        await asyncio.sleep(5)
        assert len(pollers[0].seen) == 10
    assert all(len(poller.api.receives) < 100 for poller in pollers)


async def _hold(poller: Poller, name: str) -> None:
    async with poller.stage.permits.hold(Ticket(name, "handle"), Drain()) as permitted:
        assert permitted


@rule("queue.poll.only-with-a-free-permit")
@virtually
async def test_a_backlog_before_a_slow_function_is_delivered_and_not_dead_lettered() -> None:
    world = QueueWorld()
    arn = world.queue(redrive=3)
    poller = Poller(world=world, arn=arn, executor=ScriptedExecutor(seconds=40), concurrency=2, slots=5)
    sent = [str(number) for number in range(2000)]
    world.send(arn, *sent)
    async with polling(poller):
        await asyncio.sleep(200 / 2 * 40 + 50)
        assert world.bodies(arn) == world.bodies(world.dead_letters) == []
    assert sorted(poller.all_seen) == sorted(sent)
    assert len(poller.seen) == 200
    assert set(poller.receive_counts) == {1}


@virtually
async def test_two_busy_queues_share_a_function_evenly() -> None:
    world = QueueWorld()
    one, two = mappings(world, ["one", "two"], concurrency=2, seconds=1)
    for poller in (one, two):
        world.send(poller.arn, *(f"{poller.name} {n}" for n in range(300)))
    async with polling(one, two):
        await asyncio.sleep(20)
        seen = [bodies(call)[0].split()[0] for call in one.executor.calls]
        assert one.executor.running == 2
        assert abs(seen.count("one") - seen.count("two")) <= 4
