"""Looking into a dead-letter queue: each message once, everything back at once, and nothing spent that cannot be spared."""

from __future__ import annotations

import asyncio

import pytest
from support.dead_letters import PAID, Morgue, orders
from support.stage import now, virtually

from poller.apis.memory_queues import QueueBehaviour
from poller.dlq import work
from poller.dlq.desk import CannotDo
from poller.dlq.hands import HIDDEN
from poller.dlq.reading import Course, reading
from poller.dlq.wish import Wish
from poller.errors import SourceGone, Unavailable

ALL = Wish()


def ids(look: work.Look) -> list[str]:
    return [letter.id for letter in look.letters]


@virtually
async def test_every_message_is_shown_once_and_can_be_received_again_at_once() -> None:
    morgue = Morgue()
    sent = morgue.send(*orders(57))
    look = await work.look(morgue.desk, ALL)
    assert sorted(ids(look)) == sorted(sent)
    assert (look.about, look.tally.seen, look.tally.meant) == (57, 57, 57)
    assert morgue.states() == {"visible"}
    assert {message.receives for message in morgue.queues.messages(morgue.dead)} == {1}


@virtually
async def test_a_queue_that_takes_longer_than_messages_are_hidden_is_still_seen_once() -> None:
    morgue = Morgue()
    sent = morgue.send(*orders(500))
    morgue.trouble.slow(2.0, "ReceiveMessage")
    look = await work.look(morgue.desk, Wish(limit=None, pattern='{"body": {"id": [{"exists": true}]}}'))
    assert now() > HIDDEN
    assert sorted(ids(look)) == sorted(sent)
    assert {message.receives for message in morgue.queues.messages(morgue.dead)} == {1}


@virtually
async def test_messages_that_come_again_are_not_shown_again() -> None:
    morgue = Morgue(behaviour=QueueBehaviour(duplicate_every=2, fewer_every=3))
    sent = morgue.send(*orders(80))
    look = await work.look(morgue.desk, ALL)
    assert sorted(ids(look)) == sorted(sent)
    assert morgue.states() == {"visible"}


@virtually
async def test_a_pattern_chooses_and_a_limit_ends_it() -> None:
    morgue = Morgue()
    morgue.send(*orders(40), "no json")
    look = await work.look(morgue.desk, PAID)
    assert {letter.body for letter in look.letters} == set(orders(40)[::2])
    assert look.tally.unwanted == 21
    few = await work.look(morgue.desk, Wish(limit=3))
    assert len(few.letters) == 3
    assert morgue.states() == {"visible"}


@virtually
async def test_a_cancelled_look_gives_everything_back() -> None:
    morgue = Morgue()
    morgue.send(*orders(100))
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(_look_and_stay(morgue))
        await asyncio.sleep(3 * HIDDEN)
        assert morgue.states() == {"in_flight", "visible"}
        looking.cancel()
    assert morgue.states() == {"visible"}


async def _look_and_stay(morgue: Morgue) -> None:
    async with reading(morgue.desk, Course()) as course:
        assert await course.more()
        await asyncio.sleep(1000)


@virtually
async def test_what_a_killed_look_had_is_back_within_the_time_that_it_asked_for() -> None:
    morgue = Morgue()
    morgue.send(*orders(10))
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(_look_and_stay(morgue))
        await asyncio.sleep(1)
        morgue.api.cut()
        looking.cancel()
    assert morgue.states() == {"in_flight"}
    await asyncio.sleep(HIDDEN)
    assert morgue.states() == {"visible"}


@virtually
async def test_messages_that_somebody_has_in_hand_are_counted_not_shown() -> None:
    morgue = Morgue()
    morgue.send(*orders(5))
    async with reading(morgue.desk, Course(size=2)) as course:
        await course.more()
        await asyncio.sleep(5)
        other = await work.look(morgue.desk, ALL)
    assert other.letters == []
    assert other.tally.left == {"is in somebody's hands at this moment": 5}


@virtually
async def test_of_a_fifo_queue_the_first_ten_of_each_group_are_seen_and_the_rest_is_counted() -> None:
    morgue = Morgue(fifo=True)
    morgue.send(*[f"a{number}" for number in range(25)], *[f"b{number}" for number in range(5)])
    look = await work.look(morgue.desk, ALL)
    assert [letter.body for letter in look.letters] == [f"a{n}" for n in range(10)] + [f"b{n}" for n in range(5)]
    assert look.tally.left == {"is behind others of its group: SQS shows the first ten or so of each": 15}
    assert morgue.states() == {"visible"}


@virtually
async def test_a_queue_with_a_redrive_policy_of_its_own_is_not_looked_into_once_that_costs_messages() -> None:
    morgue = Morgue(own_policy=3)
    morgue.send(*orders(25))
    assert len((await work.look(morgue.desk, ALL)).letters) == 25
    with pytest.raises(CannotDo, match=r"was received 2 times, and after 3 goes to deader\b.*--force"):
        await work.look(morgue.desk, ALL)
    assert morgue.states() == {"visible"}
    assert len(morgue.bodies(morgue.dead)) == 25
    forced = await work.look(morgue.desk, Wish(force=True))
    assert len(forced.letters) == 25


@virtually
async def test_one_message_is_found_by_its_id_with_all_that_it_says() -> None:
    morgue = Morgue()
    sent = morgue.send(*orders(30), attributes={"kind": {"DataType": "String", "StringValue": "x"}})
    letter = await work.find(morgue.desk, sent[17], force=False)
    assert letter is not None
    assert (letter.id, letter.body, letter.size) == (sent[17], orders(30)[17], len(orders(30)[17]) + len("kindStringx"))
    assert await work.find(morgue.desk, "nobody", force=False) is None
    assert morgue.states() == {"visible"}


@virtually
async def test_calls_that_fail_for_reasons_that_pass_are_made_again() -> None:
    morgue = Morgue()
    morgue.send(*orders(5))
    morgue.trouble.refuse(Unavailable("ReceiveMessage", "throttled"), "ReceiveMessage")
    asyncio.get_running_loop().call_later(1, morgue.heal)
    assert len((await work.look(morgue.desk, ALL)).letters) == 5


@pytest.mark.parametrize(
    "error", [Unavailable("ReceiveMessage", "auth"), SourceGone("ReceiveMessage: gone")], ids=["auth", "gone"]
)
@virtually
async def test_errors_that_do_not_pass_are_raised_as_they_are(error: Exception) -> None:
    morgue = Morgue()
    morgue.trouble.refuse(error, "ReceiveMessage")
    with pytest.raises(type(error)) as caught:
        await work.look(morgue.desk, ALL)
    assert caught.value is error
