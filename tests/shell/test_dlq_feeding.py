"""Redrive straight through the function: what it does is deleted, what it fails stays."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import orjson
import pytest
from support.dead_letters import PAID, Morgue, Tally, orders
from support.doubles import RAISES, ScriptedExecutor, in_turn, reports
from support.stage import FACTS, FUNCTION_ARN, SHARD, now, virtually

from poller.core.model import Attempt, Discard, Record, Refused, position
from poller.core.report import document, stream_report
from poller.dlq import work
from poller.dlq.desk import CannotDo
from poller.dlq.feeding import Feed, why_not
from poller.dlq.hands import HIDDEN
from poller.dlq.wish import Wish
from poller.sources.sqs import SqsShape

if TYPE_CHECKING:
    from support.doubles import Call

    from poller.core.model import Answer

ALL = Wish()


def feed(
    morgue: Morgue, executor: ScriptedExecutor, *, batch_size: int = 10, stream: bool = False, reporting: bool = True
) -> Feed:
    shape = None if stream else SqsShape(queue_arn=morgue.source, region="us-east-1")
    return Feed(executor=executor, arn=FUNCTION_ARN, timeout=30, batch_size=batch_size, reports=reporting, shape=shape)


async def fed(morgue: Morgue, to: Feed, wish: Wish = ALL) -> Tally:
    tally = Tally()
    await work.through(morgue.desk, wish, to, tally)
    return tally


def fails(*bodies: str) -> ScriptedExecutor:
    """A function that reports these."""

    def script(call: Call) -> Answer:
        return reports(*[record["messageId"] for record in call.records if record["body"] in bodies])

    return ScriptedExecutor(script)


@virtually
async def test_what_the_function_does_is_deleted_and_what_it_reports_stays() -> None:
    morgue = Morgue()
    morgue.send(*orders(35))
    bad = orders(35)[3::10]
    executor = fails(*bad)
    tally = await fed(morgue, feed(morgue, executor))
    assert (tally.done, tally.left) == (31, {"was reported by the function": 4})
    assert sorted(morgue.bodies(morgue.dead)) == sorted(bad)
    assert morgue.states() == {"visible"}
    assert morgue.bodies(morgue.source) == []
    assert sum(len(call.records) for call in executor.calls) == 35
    record = executor.calls[0].records[0]
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", morgue.source, "us-east-1")


@virtually
async def test_batches_are_as_large_as_the_mapping_s() -> None:
    morgue = Morgue()
    morgue.send(*orders(60))
    executor = ScriptedExecutor()
    await fed(morgue, feed(morgue, executor, batch_size=25))
    assert max(len(call.records) for call in executor.calls) == 25
    assert morgue.bodies(morgue.dead) == []


@virtually
async def test_a_function_that_raises_keeps_the_batch_and_goes_on_with_the_next() -> None:
    morgue = Morgue()
    morgue.send(*orders(30))
    tally = await fed(morgue, feed(morgue, ScriptedExecutor(in_turn(RAISES))))
    assert (tally.done, tally.left) == (20, {"failed in the function (ValueError: no)": 10})
    assert len(morgue.bodies(morgue.dead)) == 10


@virtually
async def test_a_report_is_not_read_where_the_mapping_does_not_read_it() -> None:
    morgue = Morgue()
    morgue.send(*orders(3))
    tally = await fed(morgue, feed(morgue, fails(*orders(3)), reporting=False))
    assert (tally.done, morgue.bodies(morgue.dead)) == (3, [])


@virtually
async def test_a_slow_function_keeps_its_messages_hidden_from_others() -> None:
    morgue = Morgue()
    morgue.send(*orders(10))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fed(morgue, feed(morgue, ScriptedExecutor(seconds=5 * HIDDEN))))
        for _ in range(4 * HIDDEN):
            await asyncio.sleep(1)
            assert morgue.states() == {"in_flight"}
    assert running.result().done == 10


@virtually
async def test_a_pattern_and_a_rate_hold_here_too() -> None:
    morgue = Morgue()
    morgue.send(*orders(100))
    executor = ScriptedExecutor()
    began = now()
    tally = await fed(morgue, feed(morgue, executor), Wish(pattern=PAID.pattern, rate=5))
    assert (tally.done, tally.unwanted) == (50, 50)
    assert 8 <= executor.calls[-1].began - began <= 12


@virtually
async def test_a_busy_function_is_asked_again_and_one_that_cannot_be_reached_ends_it() -> None:
    morgue = Morgue()
    morgue.send(*orders(10))
    busy = Refused("throttled", retry_after=2.0)
    assert (await fed(morgue, feed(morgue, ScriptedExecutor(in_turn(busy, busy))))).done == 10
    morgue.send(*orders(10))
    with pytest.raises(CannotDo, match="the function cannot be asked: no route"):
        await fed(morgue, feed(morgue, ScriptedExecutor(lambda _: Refused("unavailable", detail="no route"))))
    assert (len(morgue.bodies(morgue.dead)), morgue.states()) == (10, {"visible"})


@virtually
async def test_ctrl_c_ends_the_function_and_keeps_its_messages() -> None:
    morgue = Morgue()
    morgue.send(*orders(10))
    executor = ScriptedExecutor(seconds=100)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fed(morgue, feed(morgue, executor)))
        await asyncio.sleep(10)
        running.cancel()
    assert executor.calls[0].cancelled
    assert (len(morgue.bodies(morgue.dead)), morgue.states()) == (10, {"visible"})


@virtually
async def test_after_a_failed_message_the_later_ones_of_its_group_stay() -> None:
    morgue = Morgue(fifo=True)
    morgue.send(*[f"a{number}" for number in range(25)], *[f"b{number}" for number in range(5)])
    executor = fails("a3")
    await fed(morgue, feed(morgue, executor))
    assert morgue.bodies(morgue.dead) == [f"a{number}" for number in range(3, 25)]
    assert len(executor.calls) == 2


# ------------------------------------------------------------------------------------------------------- documents of streams


def shown(number: int, *, table: bool) -> dict[str, object]:
    """A record of a stream, as far as its name goes."""
    if table:
        return {"dynamodb": {"SequenceNumber": str(number)}, "eventSource": "aws:dynamodb"}
    return {"kinesis": {"sequenceNumber": str(number)}, "eventSource": "aws:kinesis"}


def told(*, payload: bool, numbers: tuple[int, ...] = (7, 8), table: bool = False) -> str:
    """The document of records that were given up."""
    given = tuple(
        Record(
            id=str(number),
            position=position(str(number)),
            arrived_at=0.0,
            payload=orjson.dumps(shown(number, table=table)),
        )
        for number in numbers
    )
    discard = Discard(
        records=given, reason="RetryAttemptsExhausted", attempt=Attempt(records=given, request_id="r1"), invoke_count=4
    )
    return document(stream_report(FACTS, SHARD, discard, 0.0), payload=payload).decode()


@virtually
async def test_a_document_that_holds_its_event_is_invoked_with_it_alone() -> None:
    morgue = Morgue()
    morgue.send(told(payload=True), told(payload=True, numbers=(9,)))
    executor = ScriptedExecutor()
    tally = await fed(morgue, feed(morgue, executor, batch_size=100, stream=True))
    assert (tally.done, morgue.bodies(morgue.dead)) == (2, [])
    seen = sorted([record["kinesis"]["sequenceNumber"] for record in call.records] for call in executor.calls)
    assert seen == [["7", "8"], ["9"]]


@virtually
async def test_a_document_of_a_table_is_invoked_as_well() -> None:
    morgue = Morgue()
    morgue.send(told(payload=True, table=True))
    executor = ScriptedExecutor()
    tally = await fed(morgue, feed(morgue, executor, stream=True))
    assert (tally.done, morgue.bodies(morgue.dead)) == (1, [])
    assert [record["dynamodb"]["SequenceNumber"] for record in executor.calls[0].records] == ["7", "8"]


@virtually
async def test_a_document_stays_as_a_whole_where_one_of_its_records_is_reported() -> None:
    morgue = Morgue()
    morgue.send(told(payload=True))
    tally = await fed(morgue, feed(morgue, ScriptedExecutor(lambda _: reports("8")), stream=True))
    assert (tally.done, tally.left) == (0, {"failed in the function (it reported 1 records)": 1})
    assert morgue.bodies(morgue.dead) == [told(payload=True)]


@virtually
async def test_a_document_without_its_event_stays_and_says_why() -> None:
    morgue = Morgue()
    morgue.send(told(payload=False), "no document")
    executor = ScriptedExecutor()
    tally = await fed(morgue, feed(morgue, executor, stream=True))
    assert executor.calls == []
    assert sorted(reason.split(",")[0] for reason in tally.left) == ["holds no records", "is no failure document of a stream"]
    assert (await work.survey(morgue.desk, ALL, partial(why_not, None))).meant == 0


@virtually
async def test_messages_of_a_queue_that_look_like_documents_are_messages() -> None:
    morgue = Morgue()
    morgue.send(told(payload=False))
    executor = ScriptedExecutor()
    assert (await fed(morgue, feed(morgue, executor))).done == 1
    assert executor.calls[0].records[0]["body"] == told(payload=False)
