"""Where scaling, the circuit breaker, the filter and parallel receives meet permits, outages and each other."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.doubles import RAISES, ScriptedExecutor, in_turn
from support.queueing import NotedSqs, Poller, QueueWorld, message, messages, polling
from support.stage import now, until, virtually

from poller.core.batching import BatchLimits
from poller.core.breaker import BreakerLimits, failure
from poller.core.model import Attempt, Partial
from poller.core.permits import Ticket
from poller.core.queue_policy import QueuePolicy
from poller.core.scaling import PollerLimits
from poller.core.unwanted import unwanted
from poller.drain import Drain
from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.services import Receive, SqsMessage

OTHER = Ticket("another mapping", "handle")
ONE = PollerLimits(polls=1, batches=1)


@pytest.mark.rule("queue.breaker")
@virtually
async def test_a_probe_is_received_only_with_a_free_permit() -> None:
    """It had one when it began to wait for the breaker, which is long ago."""
    world = QueueWorld()
    one = Poller(
        world=world,
        arn=world.queue(),
        concurrency=1,
        scaling=ONE,
        executor=ScriptedExecutor(in_turn(RAISES)),
        breaker=BreakerLimits(failures=1, probe_interval=30),
    )
    async with polling(one):
        world.send(one.arn, "a")
        await until(lambda: one.count("circuit_breaker", state="open") == 1)
        received = len(one.api.receives)
        async with one.stage.permits.hold(OTHER, Drain()):
            await asyncio.sleep(100)
            assert len(one.api.receives) == received
        await until(lambda: one.seen == [["a"], ["a"]])
        assert now() < 102
        assert one.receive_counts == [1, 2]


@pytest.mark.rule("queue.batch.several-receives")
@virtually
async def test_no_receive_is_cut_short_because_another_is_refused_for_good() -> None:
    """The messages that it was about to bring would be hidden, and nobody would have them."""
    world = QueueWorld()
    one = Poller(world=world, arn=world.queue(), scaling=ONE, limits=BatchLimits(count=40, window=60))
    one.api.__class__ = _RefusesOnce
    one.trouble.late(0.2, "ReceiveMessage")
    async with polling(one):
        world.send(one.arn, *map(str, range(40)))
        await until(lambda: not world.bodies(one.arn))
    assert one.receive_counts == [1] * len(one.seen)
    assert {int(each["attributes"]["ApproximateReceiveCount"]) for call in one.executor.calls for each in call.records} == {1}


class _RefusesOnce(NotedSqs):
    """The second of the receives side by side is refused at once."""

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        if len(self.receives) == 2:
            self.receives.append((now(), receive))
            raise SourceGone("ReceiveMessage: not now")
        return await super().receive_messages(queue_arn, receive)


@virtually
async def test_others_poll_while_a_filtered_message_waits_for_its_destination() -> None:
    world = QueueWorld()
    one = Poller(
        world=world,
        arn=world.queue(),
        scaling=PollerLimits(polls=10, batches=10),
        wants=lambda record: b"unwanted" not in record.payload,
        unwanted=partial(unwanted, mode="destination", policy=QueuePolicy()),
    )
    one.trouble.refuse(Unavailable("SendMessage", "connection"), "SendMessage")
    async with polling(one):
        world.send(one.arn, "unwanted")
        await asyncio.sleep(60)
        world.send(one.arn, "a")
        await asyncio.sleep(5)
        assert one.seen == [["a"]]
        one.trouble.heal()
        await until(lambda: not world.bodies(one.arn))
        assert world.bodies(world.dead_letters) == ["unwanted"]


@pytest.mark.rule("queue.breaker")
def test_a_batch_has_failed_though_a_message_is_in_it_twice() -> None:
    """A standard queue hands some out twice, and several receives bring both into one batch."""
    attempt = Attempt(records=(*messages(1, 2), message(1, receives=2)))
    assert failure(attempt, Partial(frozenset({"m1", "m2"}))) is True
    assert failure(attempt, Partial(frozenset({"m1"}))) is False
