"""What the filter does not let through: done with at once, counted, and in nobody's way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.build import records
from support.doubles import RAISES, in_turn
from support.processes import Process, World, running
from support.queueing import Poller, QueueWorld, polling
from support.stage import Scene, later, until, virtually
from support.virtual import run_virtually

from poller.core.batching import BatchLimits
from poller.core.filters import KINESIS, SQS, compile_filter
from poller.core.model import position
from poller.core.policy import StreamPolicy
from poller.core.queue_policy import QueuePolicy
from poller.core.unwanted import unwanted
from poller.lane import run_lane

if TYPE_CHECKING:
    from poller.core.model import Record
    from poller.core.unwanted import OnFiltered

rule = pytest.mark.rule


def odd(record: Record) -> bool:
    return bool(orjson.loads(record.payload)["n"] % 2)


def filtering(scene: Scene) -> Scene:
    """The same scene, whose mapping wants odd numbers only."""
    scene.work = replace(scene.work, wants=odd)
    return scene


@rule("filter.unwanted-is-done")
@virtually
async def test_what_is_not_wanted_is_settled_before_the_rest_is_invoked() -> None:
    scene = filtering(Scene())
    await scene.run(records(1, 2, 3, 4))
    assert scene.events == ["settle 2 4", "invoke 1 3", "settle 1 3"]
    assert scene.stage.count("events_filtered_total") == 2
    assert scene.stage.count("events_invoked_total") == 2


@rule("filter.batch-size-not-used-up")
@virtually
async def test_what_is_not_wanted_uses_nothing_of_the_batch_size_up() -> None:
    scene = filtering(Scene(limits=BatchLimits(count=3, window=100)))
    await scene.run(records(*range(1, 13)))
    invoked = [event for event in scene.events if event.startswith("invoke")]
    assert invoked == ["invoke 1 3 5", "invoke 7 9 11"]


@rule("filter.unwanted-is-done")
@virtually
async def test_where_nothing_is_wanted_nothing_is_invoked() -> None:
    scene = filtering(Scene())
    await scene.run(records(2, 4))
    assert scene.events == ["settle 2 4"]


@virtually
async def test_where_all_is_wanted_nothing_is_counted() -> None:
    scene = filtering(Scene())
    await scene.run(records(1, 3))
    assert scene.events == ["invoke 1 3", "settle 1 3"]
    assert scene.stage.count("events_filtered_total") == 0


@virtually
async def test_what_arrives_at_the_drain_is_filtered_too_and_only_what_is_wanted_goes_back() -> None:
    scene = filtering(Scene(limits=BatchLimits(count=10, window=100)))
    scene.lane.put(records(1, 2))
    later(1, lambda: scene.lane.put(records(3, 4)))
    later(1, scene.drain.start)
    await run_lane(scene.lane, scene.work, scene.drain)
    assert scene.events == ["settle 2", "settle 4", "release 1 3"]


@virtually
async def test_retries_are_not_filtered_again() -> None:
    scene = filtering(Scene(in_turn(RAISES), policy=StreamPolicy(max_retries=3)))
    await scene.run(records(1, 2))
    assert scene.events == ["settle 2", "invoke 1", "invoke 1", "settle 1"]
    assert scene.stage.count("events_filtered_total") == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 99), max_size=40), st.integers(1, 7))
def test_every_record_is_invoked_or_filtered_and_settled_once(numbers: list[int], size: int) -> None:
    async def play() -> None:
        scene = filtering(Scene(limits=BatchLimits(count=size)))
        await scene.run(records(*numbers))
        seen = [name for what, names in scene.journal if what == "invoke" for name in names]
        assert seen == [str(number) for number in numbers if number % 2]
        assert sorted(scene.lane.all("settle")) == sorted(map(str, numbers))
        assert scene.stage.count("events_filtered_total") == len(numbers) - len(seen)

    run_virtually(play())


# ------------------------------------------------------------------------------------------------------------------ with a source


@rule("filter.unwanted-is-done")
@virtually
async def test_a_streams_checkpoint_passes_what_is_not_wanted() -> None:
    world = World()
    process = Process(world=world)
    process.work = replace(process.work, wants=compile_filter(({"partitionKey": ["b"]},), KINESIS).wants)
    async with running(process):
        world.put("a", "b")
        last = world.put("c")[0]
        await asyncio.sleep(5)
        assert process.all_seen == ["b"]
        (shard,) = world.shards.values()
        assert shard.checkpoint is not None
        assert shard.checkpoint.position == position(last)
        assert process.count("iterator_age_seconds", shard="shardId-000000000000") == 0


@rule("filter.unwanted-is-done")
@pytest.mark.parametrize("name", ["mails", "mails.fifo"])
@virtually
async def test_a_queues_unwanted_messages_are_deleted_and_the_others_are_delivered_unchanged(name: str) -> None:
    world = QueueWorld()
    wanted = compile_filter(({"body": {"kind": ["order"]}},), SQS)
    poller = Poller(world=world, arn=world.queue(name, redrive=1), wants=wanted.wants)
    world.send(poller.arn, "plain", '{"kind": "order",  "n": 1}', '{"kind": "other"}', '{"kind": "order", "n": 2}')
    async with polling(poller):
        await asyncio.sleep(1)
        assert poller.seen == [['{"kind": "order",  "n": 1}', '{"kind": "order", "n": 2}']]
    assert world.bodies(poller.arn) == world.bodies(world.dead_letters) == []
    assert poller.count("events_filtered_total") == 2
    assert poller.count("events_deleted_total") == 4
    assert poller.count("events_polled_total") == 4


# ------------------------------------------------------------------------------------------------ what else may become of it


def picky(world: QueueWorld, mode: OnFiltered) -> Poller:
    wanted, policy = compile_filter(['{"body": {"kind": ["wanted"]}}'], SQS), QueuePolicy()
    dismissed = partial(unwanted, mode=mode, policy=policy)
    return Poller(world=world, arn=world.queue(), wants=wanted.wants, policy=policy, unwanted=dismissed)


WANTED, OTHER = '{"kind": "wanted"}', '{"kind": "other"}'


@rule("queue.filter.on-filtered")
@virtually
async def test_what_is_not_wanted_can_go_back_for_another_consumer() -> None:
    world = QueueWorld()
    one = picky(world, "release")
    async with polling(one):
        world.send(one.arn, WANTED, OTHER)
        await asyncio.sleep(20)
        (left,) = world.queues.messages(one.arn)
        assert (left.body, left.receives) == (OTHER, 5)  # at 0 s, 1 s, 3 s, 7 s and 15 s
    assert one.all_seen == [WANTED]


@rule("queue.filter.on-filtered")
@virtually
async def test_what_is_not_wanted_can_go_where_given_up_messages_go() -> None:
    world = QueueWorld()
    one = picky(world, "destination")
    async with polling(one):
        world.send(one.arn, WANTED, OTHER)
        await until(lambda: not world.bodies(one.arn))
        assert world.bodies(world.dead_letters) == [OTHER]
        assert one.count("events_sent_to_destination_total", destination="sqs") == 1
    assert one.all_seen == [WANTED]
