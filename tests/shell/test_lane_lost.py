"""Records that may be somebody else's by now: set apart right before the invocation; and what goes back goes back first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from support.doubles import RAISES, in_turn, reports
from support.queueing import message
from support.stage import MAPPING, Scene, later, virtually

from poller.core.model import Refused
from poller.core.permits import Ticket
from poller.core.queue_policy import FifoPolicy, QueuePolicy
from poller.core.report import message_report
from poller.drain import Drain
from poller.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.doubles import Call

    from poller.core.model import Answer, Record
    from poller.core.policy import Policy

OTHER = Ticket("another mapping", "handle")


def messages_of(*numbers: int, receives: int = 1, group: str = "") -> tuple[Record, ...]:
    """Messages that the scene's journal can name."""
    payload = b'{"n":%d,"body":"%d","messageAttributes":{}}'
    return tuple(message(n, group, receives=receives, payload=payload % (n, n))._replace(id=str(n)) for n in numbers)


def scene(script: Callable[[Call], Answer], policy: Policy) -> Scene:
    """A scene whose lane is of a queue."""
    made = Scene(script, policy=policy, partial_answers=True)
    made.work = replace(made.work, report=partial(message_report, MAPPING))
    return made


@virtually
async def test_what_is_lost_is_released_unseen_and_the_rest_goes_on_under_another_request_id() -> None:
    it = scene(in_turn(), QueuePolicy())
    it.lane.not_ours = {"2"}
    await it.run(messages_of(1, 2, 3))
    assert it.events == ["release 2", "invoke 1 3", "settle 1 3"]
    assert it.stage.count("events_invoked_total") == 2


@virtually
async def test_where_all_is_lost_nothing_is_invoked() -> None:
    it = scene(in_turn(), QueuePolicy())
    it.lane.not_ours = {"1", "2"}
    await it.run(messages_of(1, 2))
    assert it.events == ["release 1 2"]


@virtually
async def test_it_is_asked_with_the_permit_in_hand() -> None:
    it = scene(in_turn(), QueuePolicy())
    async with asyncio.TaskGroup() as group, it.stage.permits.hold(OTHER, Drain()):
        group.create_task(it.run(messages_of(1, 2)))
        await asyncio.sleep(50)
        it.lane.not_ours = {"1"}
    assert it.events == ["release 1", "invoke 2", "settle 2"]


@virtually
async def test_it_is_asked_again_before_each_try() -> None:
    it = scene(in_turn(*[Refused("throttled")] * 6), QueuePolicy())
    later(10, lambda: it.lane.not_ours.add("1"))
    await it.run(messages_of(1, 2))
    assert it.events == [*["invoke 1 2"] * 5, "release 1", "invoke 2", "invoke 2", "settle 2"]
    ids = {call.invocation.request_id for call in it.stage.executor.calls}
    assert len(ids) == 2  # one for both, another for what is left


@virtually
async def test_what_was_delivered_too_often_is_given_up_before_the_others_are_invoked() -> None:
    it = scene(in_turn(), QueuePolicy(max_receives=2))
    await it.run((*messages_of(1, receives=3), *messages_of(2)))
    assert it.events == ["send", "settle 1", "invoke 2", "settle 2"]


@virtually
async def test_what_is_lost_is_not_given_up() -> None:
    it = scene(in_turn(), QueuePolicy(max_receives=2))
    it.lane.not_ours = {"1"}
    await it.run((*messages_of(1, receives=3), *messages_of(2)))
    assert it.events == ["release 1", "invoke 2", "settle 2"]


@virtually
async def test_what_goes_back_does_not_wait_for_a_destination_that_is_down() -> None:
    it = scene(in_turn(reports("1", "2")), QueuePolicy(max_receives=3))
    it.courier.refuse(Unavailable("SendMessage", "connection"), "SendMessage")
    later(50, lambda: it.journal.append(("later", ())))
    later(100, it.courier.heal)
    await it.run((*messages_of(1, receives=3), *messages_of(2), *messages_of(3)))
    assert it.events == ["invoke 1 2 3", "settle 3", "release 2", "later", "send", "settle 1"]


@virtually
async def test_each_message_that_is_given_up_is_reported_and_settled_before_the_next_is_reported() -> None:
    it = scene(in_turn(RAISES), QueuePolicy(max_receives=1))
    await it.run(messages_of(1, 2))
    assert it.events == ["invoke 1 2", "send", "settle 1", "send", "settle 2"]


@virtually
async def test_what_goes_back_does_not_wait_for_the_destination_of_what_is_given_up() -> None:
    it = scene(in_turn(RAISES), FifoPolicy(each=QueuePolicy(max_receives=1)))
    await it.run(messages_of(1, 2, group="a"))
    assert it.events == ["invoke 1 2", "release 2", "send", "settle 1"]


@virtually
async def test_a_drain_while_the_destination_is_down_hands_the_message_back() -> None:
    it = scene(in_turn(RAISES), QueuePolicy(max_receives=1))
    it.courier.refuse(Unavailable("SendMessage", "connection"), "SendMessage")
    later(100, it.drain.start)
    await it.run(messages_of(1, 2))
    assert it.events == ["invoke 1 2", "release 1", "release 2"]
