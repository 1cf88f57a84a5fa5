"""FIFO queues: order by group, and one holder of a group at a time. A part of `sqs_contract`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from contract.sqs_service import bodies, now, receipts, receives, redriving

if TYPE_CHECKING:
    from contract.sqs_service import Sqs


class SqsOrder:
    async def test_a_message_of_a_group_tells_its_place(self, sqs: Sqs) -> None:
        arn = await sqs.fifo("a1", "a2")
        messages = await sqs.receive(arn)
        attributes = [message["Attributes"] for message in messages]
        assert [(one["MessageGroupId"], bool(one["MessageDeduplicationId"])) for one in attributes] == [("a", True)] * 2
        assert int(attributes[0]["SequenceNumber"]) < int(attributes[1]["SequenceNumber"])

    async def test_a_group_comes_in_the_order_in_which_it_was_sent(self, sqs: Sqs) -> None:
        arn = await sqs.fifo(*(f"{group}{number:02}" for number in range(12) for group in "ab"))
        received: list[str] = []
        while len(received) < 24:
            messages = await sqs.receive(arn, wait=5)
            assert messages
            received += bodies(messages)
            assert await sqs.api.delete_messages(arn, receipts(messages)) == ()
        for group in "ab":
            assert [body for body in received if body[0] == group] == [f"{group}{number:02}" for number in range(12)]

    async def test_nobody_gets_more_of_a_group_while_some_of_it_is_in_flight(self, sqs: Sqs) -> None:
        arn = await sqs.fifo("a1", "a2", "b1")
        first = await sqs.receive(arn, 1)
        assert bodies(first) == ["a1"]
        assert bodies(await sqs.receive(arn)) == ["b1"]
        assert await sqs.receive(arn) == []
        assert await sqs.api.delete_messages(arn, receipts(first)) == ()
        assert bodies(await sqs.receive(arn)) == ["a2"]

    async def test_a_long_poll_ends_as_soon_as_a_group_is_free(self, sqs: Sqs) -> None:
        arn = await sqs.fifo("a1", "a2")
        first = await sqs.receive(arn, 1)
        async with asyncio.TaskGroup() as group:
            polling = group.create_task(sqs.receive(arn, wait=20))
            assert await sqs.receive(arn, wait=1) == []  # by now the other poll is waiting
            began = now()
            await sqs.api.delete_messages(arn, receipts(first))
            messages = await polling
        assert bodies(messages) == ["a2"]
        assert now() - began < 5

    async def test_what_is_released_comes_back_in_order_and_before_what_follows(self, sqs: Sqs) -> None:
        arn = await sqs.fifo("a1", "a2", "a3", "a4")
        messages = await sqs.receive(arn, 3)
        assert bodies(messages) == ["a1", "a2", "a3"]
        assert await sqs.api.change_visibility(arn, receipts([messages[2], messages[0], messages[1]]), 0) == ()
        again = await sqs.receive(arn)
        assert bodies(again) == ["a1", "a2", "a3", "a4"]
        assert [receives(message) for message in again] == [2, 2, 2, 1]

    async def test_a_group_waits_for_its_first_message_although_the_second_is_released(self, sqs: Sqs) -> None:
        arn = await sqs.fifo("a1", "a2")
        messages = await sqs.receive(arn)
        assert await sqs.api.change_visibility(arn, receipts(messages[1:]), 0) == ()
        assert await sqs.receive(arn) == []
        assert await sqs.api.change_visibility(arn, receipts(messages[:1]), 0) == ()
        assert bodies(await sqs.receive(arn)) == ["a1", "a2"]

    async def test_what_is_sent_twice_under_one_id_is_one_message(self, sqs: Sqs) -> None:
        arn = await sqs.fifo()
        sent = [await sqs.other.send(arn, body, group="a", deduplication=id_) for body, id_ in ("1x", "1x", "2y", "1x")]
        assert sent[0] == sent[1] == sent[3] != sent[2]
        messages = await sqs.receive(arn)
        assert bodies(messages) == ["1", "2"]
        await sqs.api.delete_messages(arn, receipts(messages))
        await sqs.other.send(arn, "1", group="a", deduplication="x")
        assert await sqs.receive(arn) == []

    async def test_equal_bodies_are_one_message_where_the_queue_is_set_so(self, sqs: Sqs) -> None:
        arn = await sqs.fifo(ContentBasedDeduplication="true")
        for body in ("same", "same", "other"):
            await sqs.other.send(arn, body, group="a", deduplication="")
        assert bodies(await sqs.receive(arn)) == ["same", "other"]

    async def test_what_is_given_up_makes_way_for_what_follows(self, sqs: Sqs) -> None:
        dead_letters = await sqs.fifo()
        arn = await sqs.fifo("a1", "a2", **redriving(dead_letters, after=1))
        await sqs.receive(arn, 1, visibility=0)
        assert bodies(await sqs.receive(arn, wait=5)) == ["a2"]
        (dead,) = await sqs.receive(dead_letters)
        assert (dead["Body"], dead["Attributes"]["MessageGroupId"]) == ("a1", "a")
