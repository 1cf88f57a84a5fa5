"""Redrive to a queue: sent first, deleted after, at a rate, by a pattern; cut off anywhere and started again, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.dead_letters import PAID, Morgue, Tally, orders
from support.stage import now, virtually

from poller.apis.memory_queues import Extras
from poller.dlq import work
from poller.dlq.wish import Route, Wish
from poller.errors import SourceGone, Unavailable
from poller.services import Receive

if TYPE_CHECKING:
    from poller.services import SqsAttribute

ALL = Wish()
ATTRIBUTES: dict[str, SqsAttribute] = {
    "n": {"DataType": "Number", "StringValue": "7"},
    "b": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
}


async def redriven(morgue: Morgue, wish: Wish = ALL, route: Route | None = None) -> Tally:
    tally = Tally()
    await work.redrive(morgue.desk, wish, route or morgue.route, tally)
    return tally


async def cut_off(morgue: Morgue, after: float, wish: Wish) -> Tally:
    """A redrive that is killed after so many seconds: from then on nothing that it does reaches SQS."""
    tally, first = Tally(), morgue.api
    async with asyncio.TaskGroup() as group:
        running = group.create_task(work.redrive(morgue.desk, wish, morgue.route, tally))
        await asyncio.sleep(after)
        first.cut()
        running.cancel()
    morgue.api = first.connect(morgue.trouble)
    return tally


@virtually
async def test_everything_goes_back_as_it_was_sent() -> None:
    morgue = Morgue()
    morgue.send(*orders(25), attributes=ATTRIBUTES)
    tally = await redriven(morgue)
    assert (tally.done, tally.clean, morgue.bodies(morgue.dead)) == (25, True, [])
    messages = morgue.queues.messages(morgue.source)
    assert sorted(message.body for message in messages) == sorted(orders(25))
    assert all(message.attributes == ATTRIBUTES for message in messages)
    assert any("moving the messages here" in line for line in morgue.said)


@virtually
async def test_the_order_group_and_identity_of_fifo_messages_are_kept() -> None:
    morgue = Morgue(fifo=True)
    bodies = [f"{group}{number:02}" for number in range(24) for group in "ab"]
    morgue.send(*bodies)
    tally = await redriven(morgue)
    assert (tally.done, tally.clean) == (48, True)
    moved = morgue.queues.messages(morgue.source)
    for group in "ab":
        assert [message.body for message in moved if message.group == group] == [f"{group}{n:02}" for n in range(24)]
    received = morgue.queues.receive(morgue.source, Receive(limit=1, wait=0, visibility=30))
    assert received[0]["Attributes"]["MessageDeduplicationId"] == "a00-0"


@virtually
async def test_only_what_the_pattern_wants_goes_and_the_rest_can_be_received_at_once() -> None:
    morgue = Morgue()
    morgue.send(*orders(50))
    tally = await redriven(morgue, PAID)
    assert (tally.done, tally.unwanted, tally.clean) == (25, 25, True)
    assert sorted(morgue.bodies(morgue.source)) == sorted(orders(50)[::2])
    assert sorted(morgue.bodies(morgue.dead)) == sorted(orders(50)[1::2])
    assert morgue.states() == {"visible"}


@virtually
async def test_a_limit_moves_so_many_and_no_more() -> None:
    morgue = Morgue()
    morgue.send(*orders(50))
    tally = await redriven(morgue, Wish(limit=13))
    assert (tally.done, len(morgue.bodies(morgue.source)), len(morgue.bodies(morgue.dead))) == (13, 13, 37)
    assert morgue.states() == {"visible"}


@pytest.mark.parametrize("rate", [0.5, 4, 50, 500])
@virtually
async def test_never_more_go_in_a_second_than_the_rate_allows(rate: float) -> None:
    morgue = Morgue()
    count = int(rate * 20) if rate < 100 else 2_000
    morgue.send(*orders(count))
    began = now()
    await redriven(morgue, Wish(rate=rate))
    sent = sorted(message.sent_at - morgue.clock.skew - began for message in morgue.queues.messages(morgue.source))
    assert len(sent) == count
    batch = min(10, max(1, int(rate)))
    for second in range(int(sent[-1]) + 1):
        assert sum(second <= at < second + 1 for at in sent) <= rate + 2 * batch
    assert 0.9 * count / rate - batch / rate <= sent[-1] <= 1.1 * count / rate + 2


@virtually
async def test_a_dry_run_counts_and_moves_nothing() -> None:
    morgue = Morgue()
    sent = morgue.send(*orders(50))
    tally = await work.survey(morgue.desk, PAID, morgue.route.why_not)
    assert (tally.meant, tally.unwanted, tally.done) == (25, 25, 0)
    assert set(tally.samples) <= set(sent[::2])
    assert (len(morgue.bodies(morgue.dead)), morgue.bodies(morgue.source)) == (50, [])
    assert morgue.states() == {"visible"}
    assert "SendMessageBatch" not in morgue.trouble.calls
    assert "DeleteMessageBatch" not in morgue.trouble.calls


@virtually
async def test_ctrl_c_finishes_the_ten_that_are_under_way() -> None:
    morgue = Morgue()
    morgue.send(*orders(200))
    morgue.trouble.late(0.3, "SendMessageBatch")
    tally = Tally()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(work.redrive(morgue.desk, ALL, morgue.route, tally))
        await asyncio.sleep(1)
        running.cancel()
    assert running.cancelled()
    moved, left = morgue.bodies(morgue.source), morgue.bodies(morgue.dead)
    assert tally.done == len(moved) > 0
    assert sorted(moved + left) == sorted(orders(200))
    assert morgue.states() == {"visible"}


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.11, 0.13, 0.17, 0.31, 1.03, 2.5])
@virtually
async def test_killed_anywhere_and_started_again_nothing_is_lost_and_ten_are_twice_at_the_most(
    *, after: float, fifo: bool
) -> None:
    morgue = Morgue(fifo=fifo)
    bodies = [f"{'abcdefg'[number % 7]}{number}" for number in range(120)]
    morgue.send(*bodies)
    morgue.trouble.slow(0.02, "SendMessageBatch", "DeleteMessageBatch", "ReceiveMessage")
    morgue.trouble.late(0.02, "SendMessageBatch", "DeleteMessageBatch", "ReceiveMessage")
    await cut_off(morgue, after, Wish(rate=100))
    tally = await redriven(morgue, Wish(rate=100))
    assert tally.clean
    assert morgue.bodies(morgue.dead) == []
    copies = Counter(morgue.bodies(morgue.source))
    assert set(copies) == set(bodies)
    assert sum(count - 1 for count in copies.values()) <= (0 if fifo else 10)


@virtually
async def test_what_a_killed_redrive_had_in_hand_is_waited_for() -> None:
    morgue = Morgue()
    morgue.send(*orders(30))
    await cut_off(morgue, 0.0, Wish(rate=1))
    await redriven(morgue)
    assert sorted(morgue.bodies(morgue.source)) == sorted(orders(30))


@virtually
async def test_a_lost_answer_to_a_send_is_told_and_a_lost_answer_to_a_delete_does_no_harm() -> None:
    morgue = Morgue()
    morgue.send(*orders(10))
    morgue.trouble.lose(Unavailable("SendMessageBatch", "timeout"), "SendMessageBatch")
    asyncio.get_running_loop().call_later(0.001, morgue.heal)
    tally = await redriven(morgue)
    assert (tally.done, tally.doubtful, len(morgue.bodies(morgue.source))) == (10, 10, 20)
    morgue = Morgue()
    morgue.send(*orders(10))
    morgue.trouble.lose(Unavailable("DeleteMessageBatch", "timeout"), "DeleteMessageBatch")
    asyncio.get_running_loop().call_later(0.001, morgue.heal)
    tally = await redriven(morgue)
    assert (tally.done, tally.twice, len(morgue.bodies(morgue.source)), morgue.bodies(morgue.dead)) == (10, set(), 10, [])


@virtually
async def test_what_was_sent_and_cannot_be_deleted_is_named() -> None:
    morgue = Morgue()
    sent = morgue.send(*orders(10))
    morgue.trouble.refuse(Unavailable("DeleteMessageBatch", "auth"), "DeleteMessageBatch")
    tally = Tally()
    with pytest.raises(Unavailable):
        await work.redrive(morgue.desk, ALL, morgue.route, tally)
    assert tally.twice == set(sent)
    assert not tally.clean


@virtually
async def test_a_target_that_is_gone_keeps_everything_where_it_is() -> None:
    morgue = Morgue()
    morgue.send(*orders(10))
    with pytest.raises(SourceGone):
        await redriven(morgue, route=Route(queue_arn=morgue.dead, fixed=morgue.source + "-not"))
    assert len(morgue.bodies(morgue.dead)) == 10
    assert morgue.states() == {"visible"}


@virtually
async def test_messages_of_another_queue_stay_unless_a_queue_is_named_for_all() -> None:
    morgue = Morgue()
    morgue.fail("mine")
    other = morgue.queues.create_queue(
        "other", {"RedrivePolicy": f'{{"deadLetterTargetArn":"{morgue.dead}","maxReceiveCount":1}}'}
    )
    morgue.queues.send(other, "theirs")
    while morgue.queues.receive(other, Receive(limit=1, wait=0, visibility=0)):
        pass
    tally = await redriven(morgue)
    assert tally.left == {"came from another queue, other": 1}
    assert (morgue.bodies(morgue.source), morgue.bodies(morgue.dead)) == (["mine"], ["theirs"])
    named = await redriven(morgue, route=Route(queue_arn=morgue.dead))
    assert (named.done, morgue.bodies(other)) == (1, ["theirs"])


@virtually
async def test_without_a_mapping_each_message_goes_to_where_it_says_it_came_from() -> None:
    morgue = Morgue()
    morgue.fail("known")
    morgue.send("unknown")
    tally = await redriven(morgue, route=Route(queue_arn=morgue.dead))
    assert morgue.bodies(morgue.source) == ["known"]
    assert tally.left == {"does not say which queue it came from: give it with --to ARN": 1}


@virtually
async def test_a_fifo_queue_takes_only_what_has_a_group() -> None:
    morgue = Morgue()
    target = morgue.queues.create_queue("ordered.fifo")
    morgue.send("one")
    morgue.queues.send(morgue.dead, "two", None, Extras(group="g"))
    tally = await redriven(morgue, route=Route(queue_arn=morgue.dead, fixed=target))
    assert morgue.bodies(target) == ["two"]
    assert list(tally.left.values()) == [1]


@virtually
async def test_a_fifo_queue_that_still_remembers_the_message_itself_drops_nothing() -> None:
    morgue = Morgue(fifo=True)
    morgue.fail("a1", "b1")
    tally = await redriven(morgue)
    assert tally.done == 0
    assert sum(tally.left.values()) == 2
    assert all("five minutes" in reason for reason in tally.left)
    assert sorted(morgue.bodies(morgue.dead)) == ["a1", "b1"]
    await asyncio.sleep(300)
    assert (await redriven(morgue)).done == 2
    assert sorted(morgue.bodies(morgue.source)) == ["a1", "b1"]


@virtually
async def test_what_fails_again_meanwhile_is_not_moved_for_ever() -> None:
    morgue = Morgue()
    morgue.send(*orders(40))
    async with asyncio.TaskGroup() as group:
        consumer = group.create_task(_fail_everything(morgue))
        tally = await redriven(morgue, Wish(rate=10))
        consumer.cancel()
    assert tally.done == 40
    assert list(tally.left) == ["was moved, has failed again, and came back"]
    assert sorted(morgue.bodies(morgue.dead) + morgue.bodies(morgue.source)) == sorted(orders(40))


async def _fail_everything(morgue: Morgue) -> None:
    while True:
        morgue.queues.receive(morgue.source, Receive(limit=10, wait=0, visibility=0))
        await asyncio.sleep(0.1)


@virtually
async def test_messages_that_do_not_fit_into_one_call_go_in_several() -> None:
    morgue = Morgue()
    bodies = [str(number) * 400_000 for number in range(5)]
    morgue.send(*bodies)
    assert (await redriven(morgue)).done == 5
    assert sorted(morgue.bodies(morgue.source)) == bodies
    assert len(morgue.trouble.calls["SendMessageBatch"]) == 3
