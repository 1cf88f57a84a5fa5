"""Reading a shard of a table's stream: from every start, through expired iterators, failures and repeats."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.stage import virtually
from support.tables import Reading, names_of, read_all, source
from support.virtual import EPOCH

from poller.apis.memory_dynamodb import MemoryDynamoDbStreams
from poller.core.model import Start
from poller.errors import IteratorExpired, SourceGone, Unavailable
from poller.services import DynamoDbPage
from poller.sources.dynamodb import APART, READ_LIMIT

if TYPE_CHECKING:
    from poller.core.model import StartType

rule = pytest.mark.rule

STARTS: tuple[StartType, ...] = ("TRIM_HORIZON", "LATEST", "AFTER_SEQUENCE_NUMBER")
EXPIRED = IteratorExpired("GetRecords: ExpiredIteratorException")
THROTTLED = Unavailable("GetRecords", "throttled")
MINUTES = 60.0


# ----------------------------------------------------------------------------------------------------------------------- starts


@rule("dynamodb.start.positions")
@pytest.mark.parametrize("kind", STARTS)
@virtually
async def test_a_reader_begins_where_it_should(kind: StartType) -> None:
    reading = Reading()
    reader = await reading.begin(kind)
    assert await read_all(reader) == []
    reading.put("3", "4")
    assert await read_all(reader) == ["3", "4"]


@rule("dynamodb.start.latest-is-lossless")
@virtually
async def test_latest_is_exact_for_the_process_that_set_the_boundary() -> None:
    reading = Reading()
    reading.put("1")
    start = await reading.source.boundary(reading.shard)
    reading.put("2")  # in the same moment: no time could tell them apart
    assert await read_all(reading.source.reader(reading.shard, start)) == ["2"]
    assert reading.iterators == 1


@rule("dynamodb.start.latest-is-lossless")
@pytest.mark.parametrize("kind", ["LATEST", "AT_TIMESTAMP"])  # what a mapping makes of another process's boundary
@pytest.mark.parametrize("wait", [0.0, 0.4, 5.5, 3_600])
@virtually
async def test_a_later_process_loses_nothing_after_the_boundary_and_repeats_what_is_seconds_old(
    kind: StartType, wait: float
) -> None:
    reading = Reading()
    await asyncio.sleep(0.123)
    reading.put(*[f"long before {index}" for index in range(2 * READ_LIMIT)])
    await asyncio.sleep(APART + 1.5)
    start = await reading.source.boundary(reading.shard)
    await asyncio.sleep(wait)
    reading.put("after")
    reader = reading.another().reader(reading.shard, Start(type=kind, timestamp=start.timestamp))
    pages = [await reader.read() for _ in range(4)]
    assert [names_of(page) for page in pages] == [[], [], ["after"], []]
    assert not any(page.ended or page.trimmed or page.repeated for page in pages)
    reading.put("later")
    assert await read_all(reader) == ["later"]


@rule("dynamodb.start.latest-is-lossless")
@virtually
async def test_behind_the_first_record_after_the_boundary_no_time_counts() -> None:
    reading = Reading()
    reader = reading.another().reader(reading.shard, Start(type="AT_TIMESTAMP", timestamp=EPOCH + 100))
    await asyncio.sleep(50)
    reading.put("before")
    await asyncio.sleep(60)
    reading.put("after")
    assert await read_all(reader) == ["after"]
    reading.clock.jump(-1_000)
    reading.put("by a clock that was set back")
    assert await read_all(reader) == ["by a clock that was set back"]


@virtually
async def test_an_interrupted_search_for_the_boundary_goes_on_where_it_was() -> None:
    reading = Reading()
    reading.put(*[f"old {index}" for index in range(READ_LIMIT)])
    await asyncio.sleep(100)
    reader = reading.source.reader(reading.shard, Start(type="AT_TIMESTAMP", timestamp=EPOCH + 50))
    assert names_of(await reader.read()) == []
    reading.trouble.refuse(EXPIRED, "GetRecords")
    with pytest.raises(Unavailable):
        await reader.read()
    reading.trouble.heal()
    reading.put("new")
    page = await reader.read()
    assert (names_of(page), page.repeated) == (["new"], 0)


@rule("dynamodb.start.latest-is-lossless")
@virtually
async def test_a_shard_that_was_closed_before_has_nothing_for_anybody() -> None:
    reading = Reading()
    reading.put("1", "2")
    reading.tables.roll_all(reading.arn)
    await reading.source.shards()
    reading.trouble.calls.clear()
    start = await reading.source.boundary(reading.shard)
    assert not reading.trouble.calls  # many shards are closed: none of them costs a call
    for kind in ("LATEST", "AT_TIMESTAMP"):
        page = await reading.another().reader(reading.shard, Start(type=kind, timestamp=start.timestamp)).read()
        assert (names_of(page), page.ended) == ([], True)


@virtually
async def test_a_reader_makes_no_call_before_its_first_read() -> None:
    reading = Reading()
    await reading.begin("TRIM_HORIZON")
    await asyncio.sleep(1)
    assert not reading.trouble.calls


# ------------------------------------------------------------------------------------------------------------ expired iterators


@rule("dynamodb.poll.expired-iterator")
@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("read_before", [True, False])
@virtually
async def test_an_iterator_that_has_expired_costs_and_repeats_nothing(kind: StartType, *, read_before: bool) -> None:
    reading = Reading()
    reader = await reading.begin(kind)
    if read_before:
        reading.put("3", "4")
        assert await read_all(reader) == ["3", "4"]
    reading.put("5")
    reading.trouble.refuse(EXPIRED, "GetRecords")
    with pytest.raises(Unavailable) as raised:
        await reader.read()
    assert raised.value.kind == "expired_iterator"
    reading.trouble.heal()
    assert await read_all(reader) == ["5"]


@rule("dynamodb.poll.expired-iterator")
@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("read_before", [True, False])
@virtually
async def test_an_iterator_that_is_too_old_is_replaced_before_it_is_used(kind: StartType, *, read_before: bool) -> None:
    reading = Reading()
    reader = await reading.begin(kind)
    assert await read_all(reader) == []
    if read_before:
        reading.put("3", "4")
        assert await read_all(reader) == ["3", "4"]
    before = reading.iterators
    await asyncio.sleep(15 * MINUTES - 1)
    reading.put("5")
    assert await read_all(reader) == ["5"]
    assert reading.iterators == before + 1


@virtually
async def test_a_shard_that_is_read_regularly_keeps_its_iterator_for_ever() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    for _ in range(50):
        await reader.read()
        await asyncio.sleep(10 * MINUTES)
    assert reading.iterators == 1


# --------------------------------------------------------------------------------------------------------------------- failures


@virtually
async def test_a_read_that_failed_or_whose_answer_was_lost_is_read_again() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.put("1", "2")
    for spoil in (reading.trouble.refuse, reading.trouble.lose):
        spoil(THROTTLED, "GetRecords")
        with pytest.raises(Unavailable):
            await reader.read()
        reading.trouble.heal()
    assert await read_all(reader) == ["1", "2"]
    assert reading.iterators == 1


@virtually
async def test_an_iterator_that_cannot_be_had_is_asked_for_again() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.put("1")
    reading.trouble.refuse(Unavailable("GetShardIterator", "throttled"), "GetShardIterator")
    with pytest.raises(Unavailable):
        await reader.read()
    reading.trouble.heal()
    assert await read_all(reader) == ["1"]


@virtually
async def test_a_stream_that_is_gone_is_said_to_be_gone() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.tables.delete_table(reading.arn)
    with pytest.raises(SourceGone):
        await reader.read()
    with pytest.raises(SourceGone):
        await reading.source.describe()


class Repeating(MemoryDynamoDbStreams):
    """Hands out the last record of each page again at the front of the next, as a source that is at least once may."""

    last: tuple[object, ...] = ()

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> DynamoDbPage:
        page = await super().get_records(stream_arn, iterator, limit)
        again, self.last = self.last, tuple(page.records[-1:])
        return DynamoDbPage(records=[*again, *page.records], next_iterator=page.next_iterator)  # type: ignore[list-item]


@virtually
async def test_records_that_come_again_are_dropped_and_counted() -> None:
    reading = Reading()
    api = Repeating(reading.clock, tables=reading.tables)
    reader = source(api, reading.arn, reading.clock).reader(reading.shard, Start(type="TRIM_HORIZON"))
    reading.put("1", "2")
    first = await reader.read()
    reading.put("3")
    second = await reader.read()
    assert [(names_of(page), page.repeated) for page in (first, second)] == [(["1", "2"], 0), (["3"], 1)]
