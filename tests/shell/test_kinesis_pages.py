"""Pages of a Kinesis shard: their size, the pause after each, the end; and what a stream tells of its shards."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from support.processes import Reading, World, names_of, source
from support.stage import SHARD, STREAM_ARN, now, virtually
from support.virtual import EPOCH

from poller.apis.memory_kinesis import MemoryKinesis
from poller.apis.memory_streams import Behaviour
from poller.core.model import Shard, Start
from poller.sources.kinesis import READ_LIMIT, KinesisSource, pause_after
from poller.sources.pace import ReadPace

if TYPE_CHECKING:
    from poller.ports import Page

rule = pytest.mark.rule


@virtually
async def test_a_page_says_what_was_read() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("a", "bc", "def")
    await asyncio.sleep(30)
    page = await reader.read()
    assert names_of(page) == ["a", "bc", "def"]
    assert all(b64encode(record.group.encode()) in record.payload for record in page.records)
    assert {record.arrived_at for record in page.records} == {EPOCH}
    assert {record.received_at for record in page.records} == {EPOCH + 30}
    assert (page.behind, page.ended, page.size) == (0.0, False, 9)


@rule("stream.poll.aggregates-stay-whole")
@virtually
async def test_a_record_that_a_producer_library_has_packed_stays_one_record() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    packed = (
        b"\xf3\x89\x9a\xc2" + b"\x0a\x01k\x1a\x05\x08\x00\x1a\x01x" * 2 + bytes(16)
    )  # the magic number, two inner records, a digest
    reading.world.streams.put_record(STREAM_ARN, "k", packed)
    (record,) = (await reader.read()).records
    assert b64encode(packed) in record.payload


@rule("stream.poll.thousand-records")
@virtually
async def test_a_backlog_is_read_a_thousand_records_at_a_time_without_a_pause() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put(*map(str, range(2500)))
    await asyncio.sleep(60)
    pages = [await reader.read() for _ in range(4)]
    assert [len(page.records) for page in pages] == [READ_LIMIT, READ_LIMIT, 500, 0]
    assert [page.behind for page in pages] == pytest.approx([60, 60.2, 0, 0])
    assert [page.pause for page in pages] == [0, 0, 0.25, 1]


@rule("stream.poll.idle-once-a-second")
@rule("stream.poll.go-on-while-behind")
@rule("stream.poll.empty-page-is-not-the-end")
@pytest.mark.parametrize(
    ("count", "behind", "pause"),
    [(0, 0.0, 1.0), (5, 0.0, 0.25), (5, 3.0, 0.0), (0, 3.0, 0.25)],
    ids=["nothing new", "caught up", "behind", "an empty page far from the tip"],
)
def test_how_long_a_shard_is_left_alone(count: int, behind: float, pause: float) -> None:
    assert pause_after(count, behind) == pause


@rule("stream.poll.empty-page-is-not-the-end")
@virtually
async def test_only_the_missing_iterator_ends_a_shard() -> None:
    reading = Reading(Behaviour(empty_every=2, late_end=True))
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1", "2")
    reading.world.streams.split(STREAM_ARN, SHARD)
    pages: list[Page] = []
    while not (pages and pages[-1].ended):
        pages.append(await reader.read())
    assert [name for page in pages for name in names_of(page)] == ["1", "2"]
    assert not pages[-1].records


@virtually
async def test_the_last_page_may_hold_records() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1")
    reading.world.streams.split(STREAM_ARN, SHARD)
    page = await reader.read()
    assert (names_of(page), page.ended) == (["1"], True)


# ----------------------------------------------------------------------------------------------------------------------- stream


@rule("stream.poll.shared-read-rate")
@virtually
async def test_two_mappings_of_one_process_stay_within_five_reads_a_second_together() -> None:
    world = World(behaviour=Behaviour(reads_per_second=5))
    pace = ReadPace(world.clock)
    times: list[float] = []

    async def reads(own: KinesisSource) -> None:
        reader = own.reader(SHARD, Start(type="TRIM_HORIZON"))
        for _ in range(50):
            await reader.read()  # the stream would throttle the sixth in a second
            times.append(now())

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(reads(source(world, MemoryKinesis(world.clock, streams=world.streams), pace)))
    assert len(times) == 100
    assert max(times) == pytest.approx(99 / 5)


@virtually
async def test_the_shards_of_a_stream_are_told_with_their_parents() -> None:
    world = World(shards=2)
    own = source(world, MemoryKinesis(world.clock, streams=world.streams))
    first, second = (shard.id for shard in await own.shards())
    lower, upper = world.streams.split(STREAM_ARN, first)
    merged = world.streams.merge(STREAM_ARN, upper, second)
    assert await own.shards() == (
        Shard(id=first),
        Shard(id=second),
        Shard(id=lower, parents=(first,)),
        Shard(id=upper, parents=(first,)),
        Shard(id=merged, parents=(upper, second)),
    )
    assert (await own.describe()).id.arn == STREAM_ARN
