"""What becomes of messages that were received: hidden, released, deleted, given up. A part of `sqs_contract`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.sqs_service import ATTRIBUTES, PATIENCE, bodies, now, receipts, receives, redriving

if TYPE_CHECKING:
    from contract.sqs_service import Sqs


class SqsVisibility:
    async def test_a_message_is_hidden_for_as_long_as_the_receive_said(self, sqs: Sqs) -> None:
        arn = await sqs.queue("hello", VisibilityTimeout="600")
        began = now()
        await sqs.receive_one(arn, visibility=1)
        assert await sqs.receive(arn) == []
        assert receives(await sqs.receive_one(arn)) == 2
        assert 0.9 < now() - began < PATIENCE

    async def test_a_message_that_is_released_can_be_received_at_once(self, sqs: Sqs) -> None:
        arn = await sqs.queue("a", "b", "c")
        messages = await sqs.receive_all(arn, 3)
        began = now()
        assert await sqs.api.change_visibility(arn, receipts(messages[:2]), 0) == ()
        again = await sqs.receive_all(arn, 2)
        assert sorted(bodies(again)) == sorted(bodies(messages[:2]))
        assert [receives(message) for message in again] == [2, 2]
        assert await sqs.receive(arn) == []
        assert now() - began < 1

    async def test_a_message_that_is_hidden_for_longer_stays_hidden(self, sqs: Sqs) -> None:
        arn = await sqs.queue("hello")
        message = await sqs.receive_one(arn, visibility=1)
        assert await sqs.api.change_visibility(arn, receipts([message]), 30) == ()
        assert await sqs.receive(arn, wait=2) == []
        assert await sqs.api.delete_messages(arn, receipts([message])) == ()

    async def test_a_new_time_counts_from_now_also_where_it_is_shorter(self, sqs: Sqs) -> None:
        arn = await sqs.queue("hello")
        message = await sqs.receive_one(arn, visibility=600)
        assert await sqs.api.change_visibility(arn, receipts([message]), 1) == ()
        assert await sqs.receive(arn) == []
        assert receives(await sqs.receive_one(arn)) == 2

    async def test_a_deleted_message_is_gone_and_the_others_are_not(self, sqs: Sqs) -> None:
        arn = await sqs.queue(*"abcdefghijk")
        messages = await sqs.receive_all(arn, 11)
        assert await sqs.api.delete_messages(arn, receipts(messages[:10])) == ()
        assert await sqs.other.depth(arn) == 1
        assert await sqs.api.change_visibility(arn, receipts(messages[10:]), 0) == ()
        assert (await sqs.receive_one(arn))["Body"] == messages[10]["Body"]

    async def test_a_receipt_that_nobody_gave_out_fails_alone_and_for_good(self, sqs: Sqs) -> None:
        arn = await sqs.queue("a", "b")
        first, second = receipts(await sqs.receive_all(arn, 2))
        for failed in (
            await sqs.api.change_visibility(arn, [first, "nonsense", second], 20),
            await sqs.api.delete_messages(arn, [first, "nonsense", second]),
        ):
            assert [(failure.index, failure.gone) for failure in failed] == [(1, True)]
            assert failed[0].detail
        assert await sqs.other.depth(arn) == 0

    async def test_a_message_that_is_deleted_cannot_be_hidden_and_deleting_it_again_is_not_worth_a_retry(self, sqs: Sqs) -> None:
        arn = await sqs.queue("hello")
        handle = receipts([await sqs.receive_one(arn)])
        assert await sqs.api.delete_messages(arn, handle) == ()
        assert all(failure.gone for failure in await sqs.api.delete_messages(arn, handle))
        (failure,) = await sqs.api.change_visibility(arn, handle, 0)
        assert failure.gone

    async def test_the_receipt_of_an_earlier_receive_does_not_touch_the_message(self, sqs: Sqs) -> None:
        arn = await sqs.queue("hello")
        stale = receipts([await sqs.receive_one(arn, visibility=0)])
        fresh = receipts([await sqs.receive_one(arn)])
        (failure,) = await sqs.api.change_visibility(arn, stale, 0)
        assert failure.gone
        assert all(failure.gone for failure in await sqs.api.delete_messages(arn, stale))
        assert await sqs.other.depth(arn) == 1
        assert await sqs.receive(arn) == []
        assert await sqs.api.delete_messages(arn, fresh) == ()
        assert await sqs.other.depth(arn) == 0

    async def test_a_message_is_delivered_as_often_as_its_queue_says_and_then_found_unchanged_in_another(self, sqs: Sqs) -> None:
        dead_letters = await sqs.queue()
        arn = await sqs.queue(**redriving(dead_letters, after=3))
        await sqs.other.send(arn, "hello", ATTRIBUTES)
        deliveries = [await sqs.receive_one(arn, visibility=0) for _ in range(3)]
        assert [receives(message) for message in deliveries] == [1, 2, 3]
        assert await sqs.other.depth(dead_letters) == 0
        assert await sqs.receive(arn) == []
        dead = await sqs.receive_one(dead_letters)
        same = ("Body", "MD5OfBody", "MessageAttributes", "MD5OfMessageAttributes")
        assert {name: dead.get(name) for name in same} == {name: deliveries[0].get(name) for name in same}
        assert dead["Attributes"]["SentTimestamp"] == deliveries[0]["Attributes"]["SentTimestamp"]
        assert await sqs.other.depth(arn) == 0

    async def test_only_what_is_not_deleted_in_time_is_given_up(self, sqs: Sqs) -> None:
        dead_letters = await sqs.queue()
        arn = await sqs.queue("a", "b", **redriving(dead_letters, after=1))
        messages = await sqs.receive_all(arn, 2)
        assert await sqs.api.change_visibility(arn, receipts(messages), 0) == ()
        assert await sqs.api.delete_messages(arn, receipts(messages[:1])) == ()
        assert await sqs.receive(arn) == []
        assert (await sqs.receive_one(dead_letters))["Body"] == messages[1]["Body"]
