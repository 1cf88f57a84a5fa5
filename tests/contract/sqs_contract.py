"""What every `SqsApi` does, whatever is behind it: one suite for the memory and for real servers.

This file has what goes in and what comes out; `sqs_visibility` and `sqs_order` have the rest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from contract.sqs_dead_letters import SqsDeadLetters
from contract.sqs_order import SqsOrder
from contract.sqs_service import ATTRIBUTES, PATIENCE, bodies, names, now, receipts, receives, redriving
from contract.sqs_visibility import SqsVisibility

from poller.errors import SourceGone
from poller.services import Outgoing, Receive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from contract.sqs_service import Sqs

    from poller.services import DeadLetterApi

EVERY_CALL: dict[str, Callable[[DeadLetterApi, str], Awaitable[object]]] = {
    "send": lambda api, arn: api.send_message(arn, "hello"),
    "describe": lambda api, arn: api.describe_queue(arn),
    "receive": lambda api, arn: api.receive_messages(arn, Receive(limit=1, wait=0, visibility=1)),
    "poll": lambda api, arn: api.receive_messages(arn, Receive(limit=1, wait=20, visibility=1)),
    "delete": lambda api, arn: api.delete_messages(arn, ["receipt"]),
    "change-visibility": lambda api, arn: api.change_visibility(arn, ["receipt"], 0),
    "send-together": lambda api, arn: api.send_messages(arn, [Outgoing(body="hello")]),
    "purge": lambda api, arn: api.purge_queue(arn),
}
every_call = pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL)


class SqsSending:
    async def test_a_message_that_was_sent_is_in_its_queue(self, sqs: Sqs) -> None:
        arn, other = await sqs.queue(), await sqs.queue()
        await sqs.api.send_message(arn, "hello")
        assert await sqs.other.take(arn, 1) == ["hello"]
        assert await sqs.other.depth(other) == 0

    @pytest.mark.parametrize(
        "body",
        ['{"a": [1, "ä", null]}', " ", "<&>\"'", "\N{PILE OF POO}", "a\tb\r\nc", "x" * 200_000],
        ids=["json", "space", "markup", "emoji", "lines", "large"],
    )
    async def test_a_body_arrives_as_it_was_sent(self, sqs: Sqs, body: str) -> None:
        arn = await sqs.queue()
        await sqs.api.send_message(arn, body)
        assert (await sqs.receive_one(arn))["Body"] == body

    async def test_message_attributes_arrive_as_they_were_sent(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        await sqs.api.send_message(arn, "hello", ATTRIBUTES)
        message = await sqs.receive_one(arn)
        assert message["MessageAttributes"] == ATTRIBUTES

    async def test_what_was_received_can_be_sent_on(self, sqs: Sqs) -> None:
        arn, onward = await sqs.queue(), await sqs.queue()
        await sqs.other.send(arn, "hello", ATTRIBUTES)
        first = await sqs.receive_one(arn)
        await sqs.api.send_message(onward, first["Body"], first["MessageAttributes"])
        second = await sqs.receive_one(onward)
        assert [second["Body"], second["MessageAttributes"]] == ["hello", ATTRIBUTES]
        assert second["MD5OfMessageAttributes"] == first["MD5OfMessageAttributes"]

    async def test_each_send_is_a_message_of_its_own(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        for _ in range(3):
            await sqs.api.send_message(arn, "same")
        assert await sqs.other.take(arn, 3) == ["same"] * 3
        assert await sqs.other.depth(arn) == 0


class SqsQueues:
    @every_call
    async def test_a_queue_that_does_not_exist_is_gone(
        self, sqs: Sqs, call: Callable[[DeadLetterApi, str], Awaitable[object]]
    ) -> None:
        arn = await sqs.queue() + "-not"
        with pytest.raises(SourceGone, match=arn):
            await call(sqs.api, arn)

    @every_call
    async def test_a_queue_that_is_deleted_is_gone_until_it_is_made_anew(
        self, sqs: Sqs, call: Callable[[DeadLetterApi, str], Awaitable[object]]
    ) -> None:
        name = next(names)
        arn = await sqs.other.create(name)
        await sqs.api.send_message(arn, "lost")
        await sqs.other.delete(arn)
        with pytest.raises(SourceGone, match=arn):
            await call(sqs.api, arn)
        assert await sqs.other.create(name) == arn
        await sqs.api.send_message(arn, "again")
        assert await sqs.other.take(arn, 1) == ["again"]

    async def test_a_queue_tells_how_it_was_made(self, sqs: Sqs) -> None:
        dead_letters = await sqs.queue()
        arn = await sqs.queue(VisibilityTimeout="77", MessageRetentionPeriod="3600", **redriving(dead_letters, after=4))
        found = await sqs.api.describe_queue(arn)
        assert (found.visibility_timeout, found.retention, found.maximum_receive_count) == (77, 3600, 4)

    async def test_a_queue_of_which_nothing_was_said_is_as_the_service_makes_them(self, sqs: Sqs) -> None:
        found = await sqs.api.describe_queue(await sqs.queue())
        assert (found.visibility_timeout, found.retention, found.maximum_receive_count) == (30, 345_600, None)

    async def test_a_queue_tells_how_many_messages_it_has_by_state(self, sqs: Sqs) -> None:
        arn = await sqs.queue("one", "two", "three")
        await sqs.receive(arn, 1)
        found = await sqs.api.describe_queue(arn)
        assert (found.visible, found.in_flight, found.delayed) == (2, 1, 0)

    async def test_messages_of_a_queue_that_delays_are_counted_apart_and_cannot_be_received(self, sqs: Sqs) -> None:
        arn = await sqs.queue("one", "two", DelaySeconds="600")
        found = await sqs.api.describe_queue(arn)
        assert (found.visible, found.in_flight, found.delayed) == (0, 0, 2)
        assert await sqs.receive(arn) == []


class SqsReceiving:
    async def test_a_message_comes_with_all_that_is_known_of_it(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        sent = await sqs.other.send(arn, "hello")
        message = await sqs.receive_one(arn)
        attributes = message.pop("Attributes")
        assert message == {
            "MessageId": sent,
            "ReceiptHandle": message["ReceiptHandle"],
            "Body": "hello",
            "MD5OfBody": "5d41402abc4b2a76b9719d911017c592",
        }
        assert set(attributes) == {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"}
        assert attributes["ApproximateReceiveCount"] == "1"
        assert 1_600_000_000_000 < int(attributes["SentTimestamp"]) <= int(attributes["ApproximateFirstReceiveTimestamp"])

    async def test_message_attributes_come_with_their_digest(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        await sqs.other.send(arn, "hello", ATTRIBUTES)
        message = await sqs.receive_one(arn)
        assert message["MessageAttributes"] == ATTRIBUTES
        assert message["MD5OfMessageAttributes"] == "f7fe5aef6afa09f0f76e914a302f8d28"

    async def test_the_count_of_receives_rises_and_each_has_a_receipt_of_its_own(self, sqs: Sqs) -> None:
        arn = await sqs.queue("hello")
        messages = [await sqs.receive_one(arn, visibility=0) for _ in range(3)]
        assert [receives(message) for message in messages] == [1, 2, 3]
        assert len(set(receipts(messages))) == 3
        assert len({message["Attributes"]["ApproximateFirstReceiveTimestamp"] for message in messages}) == 1

    async def test_a_receive_brings_no_more_than_was_asked_for(self, sqs: Sqs) -> None:
        arn = await sqs.queue(*"abcde")
        first = await sqs.receive(arn, 2)
        assert 1 <= len(first) <= 2
        rest = await sqs.receive_all(arn, 5 - len(first))
        assert sorted(bodies([*first, *rest])) == [*"abcde"]

    async def test_an_empty_queue_answers_at_once_unless_told_to_wait(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        began = now()
        assert await sqs.receive(arn) == []
        assert now() - began < 0.5
        assert await sqs.receive(arn, wait=1) == []
        assert 0.9 < now() - began < 3

    async def test_a_long_poll_ends_as_soon_as_a_message_comes(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        async with asyncio.TaskGroup() as group:
            polling = group.create_task(sqs.receive_one(arn, wait=20))
            assert await sqs.receive(arn, wait=1) == []  # by now the other poll is waiting
            began = now()
            await sqs.other.send(arn, "hello")
            message = await polling
        assert message["Body"] == "hello"
        assert now() - began < PATIENCE / 2

    async def test_two_polls_never_bring_the_same_message(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        async with asyncio.TaskGroup() as group:
            polls = [group.create_task(sqs.receive(arn, 1, wait=2)) for _ in range(3)]
            for body in "ab":
                await sqs.other.send(arn, body)
        assert sorted([bodies(poll.result()) for poll in polls]) == [[], ["a"], ["b"]]


class SqsContract(SqsSending, SqsQueues, SqsReceiving, SqsVisibility, SqsOrder, SqsDeadLetters):
    """The suite. A module with a subclass has the fixture `sqs`."""
