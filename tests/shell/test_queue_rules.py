"""Rules of queues that are about no one part: how far a mapping scales, what slows it, and what FIFO queues may have."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError
from support.doubles import RAISES, ScriptedExecutor
from support.queueing import Poller, QueueWorld, polling
from support.stage import later, until, virtually

from poller.config import Config
from poller.core.batching import BatchLimits
from poller.core.queue_policy import QueuePolicy
from poller.core.scaling import PollerLimits

rule = pytest.mark.rule

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:mails"
MANY = PollerLimits(polls=1500, batches=1500)


def said(**fields: object) -> list[str]:
    """What is wrong with a mapping."""
    mapping = {"name": "m", "event_source_arn": QUEUE, "function_name": "f"} | fields
    functions = {"f": {"executor": "inline", "handler": "app.handler"}}
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"functions": functions, "event_source_mappings": [mapping]})
    return [error["msg"] for error in caught.value.errors()]


@rule("queue.scaling.up-to-the-function")
@virtually
async def test_a_mapping_runs_as_many_batches_as_its_function_may() -> None:
    world = QueueWorld()
    one = Poller(world=world, arn=world.queue(), concurrency=1500, scaling=MANY, limits=BatchLimits(count=1))
    one.executor.seconds = 5.0
    world.send(one.arn, *map(str, range(1500)))
    async with polling(one):
        await until(lambda: one.executor.running == 1500, step=0.01, within=5)


@rule("queue.scaling.errors-do-not-slow")
@virtually
async def test_a_function_that_fails_is_invoked_as_often_as_one_that_does_not() -> None:
    world = QueueWorld()
    failing = ScriptedExecutor(lambda _: RAISES, seconds=1.0)
    one = Poller(world=world, arn=world.queue(), concurrency=20, scaling=PollerLimits(polls=20, batches=20), executor=failing)
    one.policy = QueuePolicy(release="at_once")
    world.send(one.arn, *map(str, range(200)))
    async with polling(one):
        for _ in range(8):
            await asyncio.sleep(1.5)
            assert one.executor.running == 20


@rule("queue.fifo.concurrency-by-groups")
@virtually
async def test_no_more_batches_of_a_fifo_queue_run_than_it_has_groups() -> None:
    world = QueueWorld()
    one = Poller(world=world, arn=world.queue("mails.fifo"), scaling=MANY, limits=BatchLimits(count=1))
    one.executor.seconds = 1.0
    world.send(one.arn, *[f"{group}{number}" for number in range(10) for group in "abc"])
    async with polling(one):
        await until(lambda: not world.bodies(one.arn))
    assert one.executor.most == 3


@rule("queue.batch.window-on-a-quiet-queue")
@virtually
async def test_what_comes_to_a_queue_that_was_quiet_for_longer_than_the_window_is_invoked_at_once() -> None:
    world = QueueWorld()
    one = Poller(world=world, arn=world.queue(), limits=BatchLimits(count=10, window=5))
    later(17, lambda: world.send(one.arn, "a"))
    async with polling(one):
        await asyncio.sleep(30)
    assert one.began == [17]


@rule("queue.fifo.batch-limits")
def test_a_fifo_queue_has_no_window_and_batches_of_ten() -> None:
    assert said(event_source_arn=f"{QUEUE}.fifo", batch_size=11, maximum_batching_window_in_seconds=1) == [
        '"batch_size" must be from 1 to 10 for a FIFO queue',
        '"maximum_batching_window_in_seconds" must be 0 for a FIFO queue',
    ]


@rule("queue.batch.large-needs-a-window")
@pytest.mark.parametrize("window", [{}, {"maximum_batching_window_in_seconds": 0}])
def test_a_batch_of_more_than_ten_needs_a_window(window: dict[str, object]) -> None:
    [problem] = said(batch_size=11, **window)
    assert problem.startswith("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")


@rule("queue.filter.on-filtered")
def test_what_is_not_wanted_is_not_released_at_once() -> None:
    """It would come again at once, and again."""
    pattern = {"filters": [{"pattern": {"body": {"a": [1]}}}]}
    assert said(on_filtered="release", release="at_once", filter_criteria=pattern) == [
        '"on_filtered" cannot be release where "release" is at_once: what nobody wants would be received again without a pause'
    ]
