"""What operators ask of SQS: batches of messages sent on, and purges. A part of `sqs_contract`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.sqs_service import ATTRIBUTES, bodies, receipts, redriving

from poller.ports import EntryFailure
from poller.services import Outgoing

if TYPE_CHECKING:
    from contract.sqs_service import Sqs


class SqsDeadLetters:
    async def test_a_queue_tells_where_it_gives_messages_up_to(self, sqs: Sqs) -> None:
        dead_letters = await sqs.queue()
        arn = await sqs.queue(**redriving(dead_letters, after=4))
        assert (await sqs.api.describe_queue(arn)).dead_letters == dead_letters
        assert (await sqs.api.describe_queue(dead_letters)).dead_letters is None

    async def test_a_message_that_was_given_up_tells_where_it_came_from(self, sqs: Sqs) -> None:
        dead_letters = await sqs.queue()
        arn = await sqs.queue("hello", **redriving(dead_letters, after=1))
        first = await sqs.receive_one(arn, visibility=0)
        assert await sqs.receive(arn, wait=1) == []
        dead = await sqs.receive_one(dead_letters)
        assert (dead["MessageId"], dead["Attributes"]["DeadLetterQueueSourceArn"]) == (first["MessageId"], arn)

    async def test_messages_that_are_sent_together_arrive_with_all_that_they_carry(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        sent = await sqs.api.send_messages(arn, [Outgoing(body=f"{n}", attributes=ATTRIBUTES) for n in range(10)])
        received = await sqs.receive_all(arn, 10)
        assert sorted(bodies(received)) == sorted(map(str, range(10)))
        assert {message["MessageId"] for message in received} == set(sent)
        assert all(message["MessageAttributes"] == ATTRIBUTES for message in received)

    async def test_what_a_group_is_sent_together_keeps_its_order_and_identity(self, sqs: Sqs) -> None:
        arn = await sqs.fifo()
        given = [Outgoing(body=f"a{number}", group="a", deduplication=f"id-{number}") for number in range(5)]
        await sqs.api.send_messages(arn, given)
        received = await sqs.receive(arn)
        assert bodies(received) == [f"a{number}" for number in range(5)]
        assert [message["Attributes"]["MessageDeduplicationId"] for message in received] == [f"id-{n}" for n in range(5)]

    async def test_a_fifo_queue_answers_a_second_sending_with_the_first_message(self, sqs: Sqs) -> None:
        arn = await sqs.fifo()
        given = [Outgoing(body="a1", group="a", deduplication="x")]
        first = await sqs.api.send_messages(arn, given)
        received = await sqs.receive_one(arn)
        await sqs.api.delete_messages(arn, receipts([received]))
        assert await sqs.api.send_messages(arn, given) == first
        assert await sqs.receive(arn) == []

    async def test_of_messages_that_are_sent_together_the_good_ones_arrive(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        good, bad = await sqs.api.send_messages(arn, [Outgoing(body="good"), Outgoing(body="b\x00d")])
        assert isinstance(good, str)
        assert isinstance(bad, EntryFailure)
        assert (bad.index, bad.gone) == (1, True)
        assert bodies(await sqs.receive_all(arn, 1)) == ["good"]

    async def test_a_purge_takes_everything(self, sqs: Sqs) -> None:
        arn = await sqs.queue("one", "two", "three")
        await sqs.receive(arn, 1)
        await sqs.api.purge_queue(arn)
        assert await sqs.receive(arn) == []
        assert await sqs.other.depth(arn) == 0


class SqsMoves:
    """For servers that have message move tasks."""

    async def test_a_dead_letter_queue_knows_whose_it_is(self, sqs: Sqs) -> None:
        dead_letters = await sqs.queue()
        sources = {await sqs.queue(**redriving(dead_letters, after=4)) for _ in range(2)}
        assert set(await sqs.api.dead_letter_sources(dead_letters)) == sources
        assert await sqs.api.dead_letter_sources(next(iter(sources))) == ()
