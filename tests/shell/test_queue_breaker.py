"""The circuit breaker of a queue mapping at work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.doubles import ACCEPTS, RAISES, ScriptedExecutor
from support.queueing import Poller, QueueWorld, polling
from support.stage import now, until, virtually

from poller.core.breaker import BreakerLimits
from poller.core.queue_policy import QueuePolicy
from poller.core.scaling import PollerLimits

if TYPE_CHECKING:
    from support.doubles import Call

    from poller.core.model import Answer

pytestmark = pytest.mark.rule("queue.breaker")

LIMITS = BreakerLimits(failures=5, probe_interval=10)
SLOTS = 4


def broken_until(seconds: float) -> ScriptedExecutor:
    def script(call: Call) -> Answer:
        return RAISES if call.began < seconds else ACCEPTS

    return ScriptedExecutor(script, seconds=0.1)


def poller(world: QueueWorld, executor: ScriptedExecutor) -> Poller:
    return Poller(
        world=world,
        arn=world.queue(),
        executor=executor,
        breaker=LIMITS,
        scaling=PollerLimits(polls=SLOTS, batches=SLOTS),
        policy=QueuePolicy(release="at_once"),
    )


@virtually
async def test_a_function_that_fails_for_a_minute_uses_up_a_few_receives_and_work_goes_on_with_the_next_probe() -> None:
    world = QueueWorld()
    one = poller(world, broken_until(60))
    async with polling(one):
        world.send(one.arn, *map(str, range(1000)))
        await until(lambda: one.count("circuit_breaker", state="open") == 1)
        received = len(one.api.receives)
        assert received <= LIMITS.failures + 2 * SLOTS  # type: ignore[operator]  # it is 5
        await asyncio.sleep(59 - now())
        assert len(one.api.receives) <= received + 6  # a probe every ten seconds
        counts = [each.receives for each in world.queues.messages(one.arn)]
        assert sum(counts) <= 10 * (received + 6)
        assert counts.count(0) >= 1000 - 10 * (received + 6)
        await until(lambda: not world.bodies(one.arn))
        assert now() < 60 + LIMITS.probe_interval + 30
        assert one.count("circuit_breaker", state="closed") == 1


@virtually
async def test_what_it_does_is_in_the_log() -> None:
    world = QueueWorld()
    one = poller(world, broken_until(5))
    with capture_logs() as log:
        async with polling(one):
            world.send(one.arn, *map(str, range(100)))
            await until(lambda: not world.bodies(one.arn))
    told = [(line["state"], line["log_level"]) for line in log if line["event"] == "circuit_breaker"]
    assert told == [("open", "warning"), ("half_open", "info"), ("closed", "info")]


@virtually
async def test_a_mapping_without_one_has_no_state_to_tell() -> None:
    world = QueueWorld()
    one = poller(world, broken_until(0))
    one.breaker = None
    async with polling(one):
        world.send(one.arn, "a")
        await until(lambda: one.seen)
        assert one.count("circuit_breaker", state="closed") is None


@virtually
async def test_a_drain_does_not_wait_for_it() -> None:
    world = QueueWorld()
    one = poller(world, broken_until(1000))
    async with polling(one):
        world.send(one.arn, *map(str, range(100)))
        await until(lambda: one.count("circuit_breaker", state="open") == 1)
        await asyncio.sleep(3)
        began = now()
    assert now() - began < 1
