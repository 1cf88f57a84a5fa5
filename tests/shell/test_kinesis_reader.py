"""Reading a Kinesis shard: from every start, through expired iterators, failures and repeats: no gap, and nothing twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.processes import STARTS, Reading, RepeatingKinesis, World, names_of, read_all, source
from support.stage import SHARD, STREAM_ARN, virtually

from poller.apis.memory_kinesis import MemoryKinesis
from poller.core.model import Start
from poller.errors import IteratorExpired, SourceGone, Unavailable

if TYPE_CHECKING:
    from typing import Any

    from poller.core.model import ShardId, StartType
    from poller.services import KinesisIterator, KinesisIteratorType

rule = pytest.mark.rule

THROTTLED = Unavailable("GetRecords", "throttled")
EXPIRED = IteratorExpired("GetRecords: ExpiredIteratorException")


# ----------------------------------------------------------------------------------------------------------------------- starts


@rule("stream.start.trim-horizon")
@rule("stream.start.latest")
@rule("stream.start.at-timestamp")
@rule("stream.start.resume-from-checkpoint")
@pytest.mark.parametrize("kind", STARTS)
@virtually
async def test_a_reader_begins_where_it_should(kind: StartType) -> None:
    reading = Reading()
    reader = await reading.begin(kind)
    assert await read_all(reader) == []
    reading.world.put("3", "4")
    assert await read_all(reader) == ["3", "4"]


@rule("stream.start.latest")
@virtually
async def test_latest_is_exact_for_the_process_that_set_the_boundary() -> None:
    reading = Reading()
    reading.world.put("1")
    start = await reading.source.boundary(SHARD)
    reading.world.put("2")  # in the same moment: no time could tell them apart
    assert await read_all(reading.source.reader(SHARD, start)) == ["2"]
    assert reading.iterators == 1


class PreciseKinesis(MemoryKinesis):
    """Tells its time to the microsecond, finer than arrival times are kept."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock, streams=world.streams)
        self._time = world.clock.time

    async def get_shard_iterator(self, stream_arn: str, shard: ShardId, kind: KinesisIteratorType, **at: Any) -> KinesisIterator:
        return replace(await super().get_shard_iterator(stream_arn, shard, kind, **at), server_time=self._time())


@rule("stream.start.latest-boundary-is-stored")
@pytest.mark.parametrize("kind", [MemoryKinesis, PreciseKinesis])
@pytest.mark.parametrize("wait", [0.0004, 0.0, 5.5])
@virtually
async def test_a_later_process_loses_nothing_after_the_boundary(kind: type[MemoryKinesis], wait: float) -> None:
    world = World()
    api = PreciseKinesis(world) if kind is PreciseKinesis else MemoryKinesis(world.clock, streams=world.streams)
    await asyncio.sleep(0.1234)
    world.put("long before")
    await asyncio.sleep(3.00003)
    start = await source(world, api).boundary(SHARD)
    await asyncio.sleep(wait)
    world.put("after")
    later = source(world, MemoryKinesis(world.clock, streams=world.streams))
    assert await read_all(later.reader(SHARD, start)) == ["after"]


@virtually
async def test_a_boundary_serves_one_reader_and_the_next_goes_by_its_time() -> None:
    reading = Reading()
    start = await reading.source.boundary(SHARD)
    reading.world.put("1")
    for _ in range(2):
        assert await read_all(reading.source.reader(SHARD, start)) == ["1"]
    assert reading.iterators == 2


@virtually
async def test_a_reader_makes_no_call_before_its_first_read() -> None:
    reading = Reading()
    await reading.begin("TRIM_HORIZON")
    await asyncio.sleep(1)
    assert not reading.trouble.calls


# ------------------------------------------------------------------------------------------------------------ expired iterators


@rule("stream.poll.expired-iterator")
@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("read_before", [True, False])
@virtually
async def test_an_iterator_that_the_service_calls_expired_costs_and_repeats_nothing(
    kind: StartType, *, read_before: bool
) -> None:
    reading = Reading()
    reader = await reading.begin(kind)
    if read_before:
        reading.world.put("3", "4")
        assert await read_all(reader) == ["3", "4"]
    reading.world.put("5")
    reading.trouble.refuse(EXPIRED, "GetRecords")
    with pytest.raises(Unavailable) as raised:
        await reader.read()
    assert raised.value.kind == "expired_iterator"
    reading.trouble.heal()
    assert await read_all(reader) == ["5"]


@rule("stream.poll.expired-iterator")
@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("read_before", [True, False])
@virtually
async def test_an_iterator_that_is_too_old_is_replaced_before_it_is_used(kind: StartType, *, read_before: bool) -> None:
    reading = Reading()
    reader = await reading.begin(kind)
    assert await read_all(reader) == []
    if read_before:
        reading.world.put("3", "4")
        assert await read_all(reader) == ["3", "4"]
    before = reading.iterators
    await asyncio.sleep(299)
    reading.world.put("5")
    assert await read_all(reader) == ["5"]
    assert reading.iterators == before + 1


@virtually
async def test_a_shard_that_is_read_regularly_keeps_its_iterator_for_ever() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    for _ in range(100):
        await reader.read()
        await asyncio.sleep(60)
    assert reading.iterators == 1


@virtually
async def test_a_boundary_that_is_first_read_when_its_iterator_has_expired_loses_nothing() -> None:
    reading = Reading()
    start = await reading.source.boundary(SHARD)
    await asyncio.sleep(200)
    reading.world.put("1")
    reader = reading.source.reader(SHARD, start)
    await asyncio.sleep(200)
    with pytest.raises(Unavailable):
        await reader.read()
    assert await read_all(reader) == ["1"]


# --------------------------------------------------------------------------------------------------------------------- failures


@rule("stream.poll.read-errors-spend-nothing")
@pytest.mark.parametrize("after", [0, 290], ids=["young iterator", "replaced iterator"])
@virtually
async def test_a_failed_read_keeps_the_iterator(after: float) -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1")
    assert await read_all(reader) == ["1"]
    await asyncio.sleep(after)
    reading.world.put("2")
    before = reading.iterators
    reading.trouble.refuse(THROTTLED, "GetRecords")
    for _ in range(10):
        with pytest.raises(Unavailable):
            await reader.read()
    reading.trouble.heal()
    assert await read_all(reader) == ["2"]
    assert reading.iterators == before + (1 if after else 0)


@virtually
async def test_a_read_whose_answer_was_lost_is_read_again() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1", "2")
    reading.trouble.lose(THROTTLED, "GetRecords")
    with pytest.raises(Unavailable):
        await reader.read()
    reading.trouble.heal()
    assert await read_all(reader) == ["1", "2"]


@virtually
async def test_an_iterator_that_cannot_be_had_is_asked_for_again() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.put("1")
    reading.trouble.refuse(Unavailable("GetShardIterator", "throttled"), "GetShardIterator")
    with pytest.raises(Unavailable):
        await reader.read()
    reading.trouble.heal()
    assert await read_all(reader) == ["1"]


@virtually
async def test_a_stream_that_is_gone_is_said_to_be_gone() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.world.streams.delete_stream(STREAM_ARN)
    with pytest.raises(SourceGone):
        await reader.read()
    with pytest.raises(SourceGone):
        await reading.source.describe()


@virtually
async def test_records_that_come_again_are_dropped_and_counted() -> None:
    world = World()
    reader = source(world, RepeatingKinesis(world)).reader(SHARD, Start(type="TRIM_HORIZON"))
    world.put("1", "2", "3")
    first = await reader.read()
    world.put("4")
    second = await reader.read()
    third = await reader.read()
    assert [names_of(page) for page in (first, second, third)] == [["1", "2", "3"], ["4"], []]
    assert [page.repeated for page in (first, second, third)] == [0, 2, 1]
