"""A Kinesis reader whose place retention has taken: it goes on with the oldest record and says so, and never without reason."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.processes import Reading, World, names_of, read_all, source
from support.stage import SHARD, STREAM_ARN, virtually

from poller.apis.memory_kinesis import MemoryKinesis
from poller.apis.memory_streams import DAY, Behaviour
from poller.core.model import Start, position
from poller.errors import CheckpointMismatch, SourceGone
from poller.sources.kinesis import later

if TYPE_CHECKING:
    from poller.core.model import Position, ShardId
    from poller.ports import Page, ShardReader
    from poller.services import KinesisIterator, KinesisIteratorType, KinesisPage

rule = pytest.mark.rule


def behind(at: Position) -> Start:
    return Start(type="AFTER_SEQUENCE_NUMBER", position=at)


async def pages_until_one_tells(reader: ShardReader) -> list[Page]:
    """Up to the first with records, or at the tip, or the last."""
    pages = [await reader.read()]
    while not (pages[-1].records or pages[-1].behind == 0 or pages[-1].ended):
        pages.append(await reader.read())
    return pages


@virtually
async def test_the_record_that_a_new_iterator_begins_at_comes_to_nobody_and_counts_as_no_repeat() -> None:
    world = World()
    first, *_ = world.put("1", "2", "3")
    page = await source(world, MemoryKinesis(world.clock, streams=world.streams)).reader(SHARD, behind(position(first))).read()
    assert (names_of(page), page.repeated, page.trimmed, page.pause) == (["2", "3"], 0, False, 0.25)


@virtually
async def test_a_reader_at_the_tip_idles_though_its_last_record_came_again() -> None:
    world = World()
    (only,) = world.put("1")
    reader = source(world, MemoryKinesis(world.clock, streams=world.streams)).reader(SHARD, behind(position(only)))
    first, second = await reader.read(), await reader.read()
    assert [(names_of(page), page.repeated, page.trimmed, page.pause) for page in (first, second)] == [([], 0, False, 1.0)] * 2


@rule("stream.checkpoint.trimmed")
@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(empty_every=2), Behaviour(late_end=True)])
@pytest.mark.parametrize("left", [("4", "5"), ()], ids=["with records left", "with none left"])
@pytest.mark.parametrize("closed", [False, True])
@virtually
async def test_a_place_that_is_gone_is_told_with_the_first_page_that_can_tell(
    behaviour: Behaviour, left: tuple[str, ...], *, closed: bool
) -> None:
    world = World(behaviour=behaviour)
    own = source(world, MemoryKinesis(world.clock, streams=world.streams))
    first, *_ = world.put("1", "2", "3")
    await asyncio.sleep(DAY + 1)
    world.put(*left)
    if closed:
        world.streams.split(STREAM_ARN, SHARD)
    reader = own.reader(SHARD, behind(position(first)))
    *hollow, telling = await pages_until_one_tells(reader)
    assert not any(page.trimmed for page in hollow)
    assert (names_of(telling), telling.trimmed) == (list(left), True)
    if not telling.ended:
        assert not (await reader.read()).trimmed


@virtually
async def test_a_running_reader_whose_place_is_taken_while_it_waits_says_so_once() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1", "2")
    assert await read_all(reader) == ["1", "2"]
    reading.world.put("lost")
    await asyncio.sleep(DAY + 1)
    reading.world.put("3")
    pages = [await reader.read() for _ in range(2)]
    assert [(names_of(page), page.trimmed) for page in pages] == [(["3"], True), ([], False)]


@virtually
async def test_an_iterator_that_is_renewed_in_time_makes_nobody_suspicious() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1")
    assert await read_all(reader) == ["1"]
    for _ in range(5):
        await asyncio.sleep(400)
        page = await reader.read()
        assert (page.records, page.repeated, page.trimmed) == ((), 0, False)


class StrictKinesis(MemoryKinesis):
    """Says that there is no such record, as kinesis-local does, where AWS goes on with the oldest."""

    async def get_shard_iterator(self, stream_arn: str, shard: ShardId, kind: KinesisIteratorType, **at: Any) -> KinesisIterator:
        number = at.get("sequence_number")
        stored = self.streams._streams[stream_arn].shards[shard].stored
        if number is not None and number not in {one.record["SequenceNumber"] for one in stored}:
            raise SourceGone(f"GetShardIterator: {stream_arn}: no record {number}")
        return await super().get_shard_iterator(stream_arn, shard, kind, **at)


@virtually
async def test_a_server_that_does_not_know_the_record_any_more_is_understood() -> None:
    world = World()
    own = source(world, StrictKinesis(world.clock, streams=world.streams))
    first, second = world.put("1", "2")
    assert not (await own.reader(SHARD, behind(position(first))).read()).trimmed
    await asyncio.sleep(DAY + 1)
    world.put("3")
    page = await own.reader(SHARD, behind(position(second))).read()
    assert (names_of(page), page.trimmed) == (["3"], True)


@virtually
async def test_a_number_that_is_none_of_the_shard_stops_it_instead_of_leaving_out_what_comes() -> None:
    world = World()
    own = source(world, StrictKinesis(world.clock, streams=world.streams))
    _, last = world.put("1", "2")
    foreign = str(int(last) + 1_000_000_000)
    reader = own.reader(SHARD, behind(position(foreign)))
    with pytest.raises(CheckpointMismatch, match=f"before the checkpoint's sequence number {foreign} and not that one"):
        await reader.read()


@virtually
async def test_a_shard_that_is_gone_is_not_mistaken_for_a_record_that_is() -> None:
    world = World()
    own = source(world, MemoryKinesis(world.clock, streams=world.streams))
    (number,) = world.put("1")
    world.streams.split(STREAM_ARN, SHARD)
    await asyncio.sleep(DAY + 1)
    with pytest.raises(SourceGone):
        await own.reader(SHARD, behind(position(number))).read()


@virtually
async def test_a_place_inside_an_aggregate_is_no_trimmed_one() -> None:
    """Inner records share their sequence number: the whole is read again, and what is done of it is left out by position."""
    at = position("7", 3)
    assert not later(position("7", 5), at)
    assert later(position("8"), at)
    world = World()
    first, _ = world.put("1", "2")
    page = await source(world, MemoryKinesis(world.clock, streams=world.streams)).reader(SHARD, behind(position(first, 3))).read()
    assert (names_of(page), page.trimmed) == (["2"], False)


class HoardingKinesis(MemoryKinesis):
    """Its first page after an iterator begins one record too early."""

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        page = await super().get_records(stream_arn, iterator, limit)
        stored = [one.record for one in self.streams._streams[stream_arn].shards[SHARD].stored]
        return replace(page, records=stored)


@virtually
async def test_older_records_than_asked_for_are_repeats() -> None:
    world = World()
    first, second, _ = world.put("1", "2", "3")
    page = await source(world, HoardingKinesis(world.clock, streams=world.streams)).reader(SHARD, behind(position(second))).read()
    assert (names_of(page), page.repeated, page.trimmed) == (["3"], 1, False)
    assert first < second
