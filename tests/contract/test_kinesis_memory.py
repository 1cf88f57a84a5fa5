"""The Kinesis Api in memory: the suite, and what only the memory can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contract.kinesis_contract import KinesisContract
from contract.kinesis_service import Kinesis, data_of, numbers
from support.virtual import EPOCH, VirtualClock

from poller.apis.memory_kinesis import MemoryKinesis
from poller.apis.memory_streams import Behaviour, MemoryStreams
from poller.core.model import ShardId
from poller.errors import IteratorExpired, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = ShardId("shardId-000000000000")


class Producer:
    """The other side of the memory."""

    def __init__(self, streams: MemoryStreams) -> None:
        self._streams = streams

    async def create(self, name: str, shards: int = 1) -> str:
        return self._streams.create_stream(name, shards=shards)

    async def delete(self, arn: str) -> None:
        self._streams.delete_stream(arn)

    async def put(self, arn: str, key: str, data: bytes) -> tuple[str, str]:
        return self._streams.put_record(arn, key, data)

    async def put_many(self, arn: str, records: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
        return list(self._streams.put_records(arn, records))

    async def split(self, arn: str, shard: str) -> None:
        self._streams.split(arn, ShardId(shard))

    async def merge(self, arn: str, shard: str, adjacent: str) -> None:
        self._streams.merge(arn, ShardId(shard), ShardId(adjacent))


def in_memory(behaviour: Behaviour) -> Kinesis:
    clock = VirtualClock()
    streams = MemoryStreams(clock, behaviour)
    return Kinesis(api=MemoryKinesis(clock, streams=streams), producer=Producer(streams), clock=clock)


@pytest.fixture
def kinesis() -> Kinesis:
    return in_memory(Behaviour())


class TestMemory(KinesisContract):
    pass


class TestMemoryThatEndsShardsLate(KinesisContract):
    @pytest.fixture
    def kinesis(self) -> Kinesis:
        return in_memory(Behaviour(late_end=True))


# ---- time


def jump(kinesis: Kinesis, seconds: float) -> None:
    assert isinstance(kinesis.clock, VirtualClock)
    kinesis.clock.jump(seconds)


async def test_an_iterator_lives_for_five_minutes(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=3)
    iterator = await kinesis.horizon(arn)
    jump(kinesis, 299)
    page = await kinesis.api.get_records(arn, iterator, 1)
    jump(kinesis, 2)
    with pytest.raises(IteratorExpired):
        await kinesis.api.get_records(arn, iterator, 1)
    assert page.next_iterator is not None
    assert data_of((await kinesis.api.get_records(arn, page.next_iterator, 1)).records) == numbers(1, start=1)


async def test_records_older_than_the_retention_are_gone(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=2)
    jump(kinesis, 80_000)
    await kinesis.producer.put(arn, "key", b"r2")
    jump(kinesis, 10_000)
    assert data_of(await kinesis.read(arn, await kinesis.horizon(arn))) == numbers(1, start=2)


async def test_an_iterator_at_records_that_were_trimmed_goes_on_at_the_horizon(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=3)
    number = (await kinesis.api.get_records(arn, await kinesis.horizon(arn), 1)).records[0]["SequenceNumber"]
    jump(kinesis, 86_300)
    iterator = await kinesis.horizon(arn)
    await kinesis.producer.put(arn, "key", b"r3")
    jump(kinesis, 200)
    assert data_of(await kinesis.read(arn, iterator)) == numbers(1, start=3)
    after = await kinesis.api.get_shard_iterator(arn, FIRST, "AFTER_SEQUENCE_NUMBER", sequence_number=number)
    assert data_of(await kinesis.read(arn, after.iterator)) == numbers(1, start=3)


async def test_a_closed_shard_is_forgotten_once_retention_has_taken_its_records(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=1)
    jump(kinesis, 1_000)
    await kinesis.producer.split(arn, FIRST)
    jump(kinesis, 86_399)
    assert len(await kinesis.api.list_shards(arn)) == 3
    jump(kinesis, 2)
    assert [shard.id for shard in await kinesis.api.list_shards(arn)] == ["shardId-000000000001", "shardId-000000000002"]
    with pytest.raises(SourceGone):
        await kinesis.horizon(arn, FIRST)


async def test_behind_is_the_age_of_the_first_unread_record(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=1)
    jump(kinesis, 30)
    await kinesis.producer.put(arn, "key", b"r1")
    jump(kinesis, 12)
    page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), 1)
    assert page.behind == pytest.approx(12, abs=1)


async def test_a_timestamp_in_the_future_is_refused(kinesis: Kinesis) -> None:
    arn = await kinesis.stream()
    with pytest.raises(Unavailable) as caught:
        await kinesis.api.get_shard_iterator(arn, FIRST, "AT_TIMESTAMP", timestamp=kinesis.clock.time() + 60)
    assert caught.value.kind == "other"


async def test_arrival_times_do_not_fall_when_the_clock_is_set_back(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=1)
    jump(kinesis, -50)
    await kinesis.producer.put(arn, "key", b"r1")
    times = [record["ApproximateArrivalTimestamp"] for record in await kinesis.read(arn, await kinesis.horizon(arn))]
    assert times[0] == times[1] >= EPOCH


# ---- limits


@pytest.mark.parametrize("limit", [0, -1, 10_001])
async def test_a_limit_beyond_kinesis_own_is_refused(kinesis: Kinesis, limit: int) -> None:
    arn = await kinesis.stream(records=1)
    with pytest.raises(Unavailable) as caught:
        await kinesis.api.get_records(arn, await kinesis.horizon(arn), limit)
    assert caught.value.kind == "other"


async def test_a_record_larger_than_a_page_comes_alone(kinesis: Kinesis) -> None:
    arn = await kinesis.stream()
    for data in (b"small", b"x" * 11 * 2**20, b"small"):
        await kinesis.producer.put(arn, "key", data)
    iterator: str | None = await kinesis.horizon(arn)
    sizes = []
    for _ in range(3):
        assert iterator is not None
        page = await kinesis.api.get_records(arn, iterator, 10)
        sizes.append([len(data) for data in data_of(page.records)])
        iterator = page.next_iterator
    assert [len(page) for page in sizes] == [1, 1, 1]


async def test_more_than_five_reads_a_second_of_a_shard_are_throttled() -> None:
    kinesis = in_memory(Behaviour(reads_per_second=5))
    arn = await kinesis.stream(shards=2)
    one, other = await kinesis.horizon(arn, FIRST), await kinesis.horizon(arn, "shardId-000000000001")
    for _ in range(5):
        await kinesis.api.get_records(arn, one, 1)
    with pytest.raises(Unavailable) as caught:
        await kinesis.api.get_records(arn, one, 1)
    assert caught.value.kind == "throttled"
    await kinesis.api.get_records(arn, other, 1)
    jump(kinesis, 1.1)
    await kinesis.api.get_records(arn, one, 1)


async def test_pages_may_be_empty_although_records_are_left() -> None:
    kinesis = in_memory(Behaviour(empty_every=2))
    arn = await kinesis.stream(records=3)
    read, iterator = [], await kinesis.horizon(arn)
    for _ in range(6):
        page = await kinesis.api.get_records(arn, iterator, 1)
        read.append((data_of(page.records), page.behind > 0))
        assert page.next_iterator is not None
        iterator = page.next_iterator
    r0, r1, r2 = numbers(3)
    assert read == [([r0], True), ([], True), ([r1], True), ([], True), ([r2], False), ([], False)]


async def test_a_closed_shard_may_say_that_it_ended_on_an_empty_page() -> None:
    for late_end, sizes in ((False, [2, 1]), (True, [2, 1, 0])):
        kinesis = in_memory(Behaviour(late_end=late_end))
        arn = await kinesis.stream(records=3)
        await kinesis.producer.split(arn, FIRST)
        pages = await kinesis.pages_to_the_end(arn, await kinesis.horizon(arn, FIRST))
        assert [len(page.records) for page in pages] == sizes


async def test_iterators_of_an_earlier_incarnation_are_refused(kinesis: Kinesis) -> None:
    arn = await kinesis.producer.create("again")
    iterator = await kinesis.horizon(arn)
    await kinesis.producer.delete(arn)
    jump(kinesis, 1)
    await kinesis.producer.create("again")
    with pytest.raises(Unavailable):
        await kinesis.api.get_records(arn, iterator, 1)


# ---- resharding


async def test_shards_split_and_merge_over_generations(kinesis: Kinesis) -> None:
    arn = await kinesis.stream()
    await kinesis.producer.split(arn, "shardId-000000000000")
    await kinesis.producer.split(arn, "shardId-000000000001")
    await kinesis.producer.merge(arn, "shardId-000000000004", "shardId-000000000002")
    parents = {
        shard.id[-1]: "".join(sorted(parent[-1] for parent in shard.parents)) for shard in await kinesis.api.list_shards(arn)
    }
    assert parents == {"0": "", "1": "0", "2": "0", "3": "1", "4": "1", "5": "24"}
    open_shards = {(await kinesis.producer.put(arn, f"key-{index}", b"x"))[0][-1] for index in range(40)}
    assert open_shards == {"3", "5"}


async def test_what_cannot_be_resharded_is_refused(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(shards=3)
    with pytest.raises(ValueError, match="not neighbours"):
        await kinesis.producer.merge(arn, "shardId-000000000000", "shardId-000000000002")
    await kinesis.producer.split(arn, "shardId-000000000000")
    with pytest.raises(ValueError, match="closed already"):
        await kinesis.producer.split(arn, "shardId-000000000000")


async def test_sequence_numbers_have_56_digits_and_grow_over_generations(kinesis: Kinesis) -> None:
    arn = await kinesis.stream()
    _, parent = await kinesis.producer.put(arn, "key", b"x")
    await kinesis.producer.split(arn, "shardId-000000000000")
    _, child = await kinesis.producer.put(arn, "key", b"x")
    assert int(child) > int(parent) + 1
    assert len(parent) == len(child) == 56


async def test_what_a_caller_does_with_a_record_changes_nothing(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(records=1)
    iterator = await kinesis.horizon(arn)
    page = await kinesis.api.get_records(arn, iterator, 1)
    page.records[0]["Data"] = "changed"
    assert data_of((await kinesis.api.get_records(arn, iterator, 1)).records) == numbers(1)
