"""What every `KinesisApi` does, whatever is behind it: one suite for the memory and for real servers.

A module with a subclass has the fixture `kinesis`. Where its server is known to be wrong the subclass says so in `misleads`, test
by test, and strictly: once the server does right, the entry must go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest
from contract.kinesis_service import data_of, names, numbers
from contract.kinesis_writes import KinesisWrites
from support.aws import encoded, until

from poller.core.model import ShardId, Start, position
from poller.errors import IteratorExpired, SourceGone, Unavailable
from poller.sources.kinesis import KinesisShape, KinesisSource
from poller.sources.pace import ReadPace

if TYPE_CHECKING:
    from contract.kinesis_service import Kinesis

HASH_KEYS = 2**128
DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Misled:
    """What a server does instead of what a test wants, and how the test notices."""

    reason: str
    raises: type[Exception]


class KinesisContract(KinesisWrites):
    """The suite. See the module's docstring."""

    misleads: ClassVar[dict[str, Misled]] = {}
    """Names of tests that this server fails."""

    @pytest.fixture(autouse=True)
    def _misled(self, request: pytest.FixtureRequest) -> None:
        misled = self.misleads.get(request.node.originalname)
        if misled is not None:
            request.applymarker(pytest.mark.xfail(reason=misled.reason, raises=misled.raises, strict=True))

    # ---- streams

    async def test_a_stream_is_described_by_its_arn_its_creation_and_its_retention(self, kinesis: Kinesis) -> None:
        before = kinesis.clock.time()
        arn = await kinesis.stream()
        described = await kinesis.api.describe_stream(arn)
        assert described.id.arn == arn
        assert isinstance(described.id.created_at, float)
        assert before - 1 <= described.id.created_at <= kinesis.clock.time() + 1
        assert described.retention == DAY

    async def test_a_stream_made_anew_under_its_name_is_another(self, kinesis: Kinesis) -> None:
        name = next(names)
        first = await kinesis.api.describe_stream(await kinesis.producer.create(name))

        async def make_anew() -> float:
            await kinesis.producer.delete(first.id.arn)
            return (await kinesis.api.describe_stream(await kinesis.producer.create(name))).id.created_at

        assert await until(lambda created_at: created_at > first.id.created_at, make_anew) > first.id.created_at

    @pytest.mark.parametrize("operation", ["describe_stream", "list_shards", "get_shard_iterator"])
    async def test_a_stream_that_does_not_exist_is_gone(self, kinesis: Kinesis, operation: str) -> None:
        arn = await kinesis.stream() + "-not"
        shard = (ShardId("shardId-000000000000"), "LATEST") if operation == "get_shard_iterator" else ()
        with pytest.raises(SourceGone, match=arn):
            await getattr(kinesis.api, operation)(arn, *shard)

    async def test_a_deleted_stream_is_gone_for_its_iterators_too(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=1)
        iterator = await kinesis.horizon(arn)
        await kinesis.producer.delete(arn)
        with pytest.raises(SourceGone):
            await kinesis.api.get_records(arn, iterator, 1)

    # ---- shards

    async def test_the_shards_of_a_new_stream_have_no_parents(self, kinesis: Kinesis) -> None:
        shards = await kinesis.api.list_shards(await kinesis.stream(shards=3))
        assert [shard.id for shard in shards] == [f"shardId-{index:012d}" for index in range(3)]
        assert all(shard.parents == () for shard in shards)

    async def test_a_split_shard_stays_listed_with_its_children(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        await kinesis.producer.split(arn, "shardId-000000000000")
        assert {shard.id: shard.parents for shard in await kinesis.api.list_shards(arn)} == {
            "shardId-000000000000": (),
            "shardId-000000000001": ("shardId-000000000000",),
            "shardId-000000000002": ("shardId-000000000000",),
        }

    async def test_a_merged_shard_has_two_parents(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(shards=2)
        await kinesis.producer.merge(arn, "shardId-000000000000", "shardId-000000000001")
        parents = {shard.id: set(shard.parents) for shard in await kinesis.api.list_shards(arn)}
        assert parents == {
            "shardId-000000000000": set(),
            "shardId-000000000001": set(),
            "shardId-000000000002": {"shardId-000000000000", "shardId-000000000001"},
        }

    async def test_a_record_goes_to_the_shard_of_its_partition_keys_md5(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(shards=4)
        for index in range(12):
            key = f"key-{index}"
            shard, _ = await kinesis.producer.put(arn, key, key.encode())
            hash_key = int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16)
            assert shard == f"shardId-{hash_key * 4 // HASH_KEYS:012d}"
            assert encoded(key.encode()) in data_of(await kinesis.read(arn, await kinesis.horizon(arn, shard)))

    # ---- iterators

    async def test_trim_horizon_begins_at_the_first_record(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=5)
        assert data_of(await kinesis.read(arn, await kinesis.horizon(arn))) == numbers(5)

    async def test_latest_begins_behind_the_newest_record(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=5)
        latest = await kinesis.api.get_shard_iterator(arn, ShardId("shardId-000000000000"), "LATEST")
        page = await kinesis.api.get_records(arn, latest.iterator, 10)
        assert page.records == []
        await kinesis.producer.put(arn, "key", b"r5")
        assert data_of(await kinesis.read(arn, latest.iterator)) == numbers(1, start=5)

    async def test_at_timestamp_begins_at_the_first_record_that_arrived_then_or_later(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        first, second, third = await kinesis.apart(arn, 3)
        shard = ShardId("shardId-000000000000")
        exact = second["ApproximateArrivalTimestamp"]
        between = (exact + third["ApproximateArrivalTimestamp"]) / 2
        early = first["ApproximateArrivalTimestamp"] - 3_600
        for timestamp, expected in ((early, first), (exact, second), (between, second if between == exact else third)):
            grant = await kinesis.api.get_shard_iterator(arn, shard, "AT_TIMESTAMP", timestamp=timestamp)
            page = await kinesis.api.get_records(arn, grant.iterator, 1)
            assert [record["SequenceNumber"] for record in page.records] == [expected["SequenceNumber"]]

    async def test_after_sequence_number_begins_at_the_next_record(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=5)
        read = await kinesis.read(arn, await kinesis.horizon(arn))
        shard = ShardId("shardId-000000000000")
        for index, record in enumerate(read):
            number = record["SequenceNumber"]
            grant = await kinesis.api.get_shard_iterator(arn, shard, "AFTER_SEQUENCE_NUMBER", sequence_number=number)
            assert data_of(await kinesis.read(arn, grant.iterator)) == numbers(4 - index, start=index + 1)

    async def test_at_a_sequence_number_begins_with_its_record(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=5)
        read = await kinesis.read(arn, await kinesis.horizon(arn))
        shard = ShardId("shardId-000000000000")
        for index, record in enumerate(read):
            number = record["SequenceNumber"]
            grant = await kinesis.api.get_shard_iterator(arn, shard, "AT_SEQUENCE_NUMBER", sequence_number=number)
            assert data_of(await kinesis.read(arn, grant.iterator)) == numbers(5 - index, start=index)

    async def test_a_reader_goes_on_where_no_record_has_the_sequence_number_that_it_knows(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=3)
        first = (await kinesis.read(arn, await kinesis.horizon(arn)))[0]["SequenceNumber"]
        gone = Start(type="AFTER_SEQUENCE_NUMBER", position=position(str(int(first) - 1).zfill(len(first))))
        shape = KinesisShape(stream_arn=arn, region="us-east-1", role_arn="")
        source = KinesisSource(api=kinesis.api, shape=shape, pace=ReadPace(kinesis.clock), clock=kinesis.clock)
        page = await source.reader(ShardId("shardId-000000000000"), gone).read()
        assert len(page.records) == 3
        assert page.trimmed

    async def test_after_the_last_sequence_number_come_the_records_put_later(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        shard, number = await kinesis.producer.put(arn, "key", b"r0")
        grant = await kinesis.api.get_shard_iterator(arn, ShardId(shard), "AFTER_SEQUENCE_NUMBER", sequence_number=number)
        await kinesis.producer.put(arn, "key", b"r1")
        assert data_of(await kinesis.read(arn, grant.iterator)) == numbers(1, start=1)

    async def test_an_iterator_comes_with_the_servers_time(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        grant = await kinesis.api.get_shard_iterator(arn, ShardId("shardId-000000000000"), "LATEST")
        assert isinstance(grant.server_time, float)
        assert kinesis.clock.time() - 2 <= grant.server_time <= kinesis.clock.time() + 1  # HTTP dates are whole seconds

    async def test_a_record_put_after_an_iterators_server_time_is_found_from_there(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        shard = ShardId("shardId-000000000000")
        grant = await kinesis.api.get_shard_iterator(arn, shard, "LATEST")
        await kinesis.producer.put(arn, "key", b"r0")
        later = await kinesis.api.get_shard_iterator(arn, shard, "AT_TIMESTAMP", timestamp=grant.server_time)
        assert data_of(await kinesis.read(arn, later.iterator)) == numbers(1)

    async def test_a_shard_that_does_not_exist_has_no_iterator(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        with pytest.raises(SourceGone):
            await kinesis.api.get_shard_iterator(arn, ShardId("shardId-000000000009"), "TRIM_HORIZON")

    @pytest.mark.parametrize("iterator", ["garbage", "AAAAAAAAAAE=", "a|b|c|d|e", "\N{PILE OF POO}"])
    async def test_garbage_is_no_iterator(self, kinesis: Kinesis, iterator: str) -> None:
        arn = await kinesis.stream(records=1)
        with pytest.raises((Unavailable, IteratorExpired)):
            await kinesis.api.get_records(arn, iterator, 1)

    # ---- records

    async def test_data_stays_the_base64_of_what_was_put(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        puts = [bytes(range(256)), b"\x00", b"\xff\xfe\xfd", '{"a": "ä"}'.encode(), b"x" * 100_000]
        await kinesis.producer.put_many(arn, [("key", data) for data in puts])
        assert data_of(await kinesis.read(arn, await kinesis.horizon(arn))) == [encoded(data) for data in puts]

    async def test_a_record_has_its_partition_key_and_the_sequence_number_of_its_put(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        keys = ["a", "clé", "k" * 256]
        put = [await kinesis.producer.put(arn, key, b"data") for key in keys]
        read = await kinesis.read(arn, await kinesis.horizon(arn))
        assert [record["SequenceNumber"] for record in read] == [number for _, number in put]
        assert [record["PartitionKey"] for record in read] == keys

    async def test_arrival_is_a_float_in_unix_seconds_that_never_falls(self, kinesis: Kinesis) -> None:
        before = kinesis.clock.time()
        arn = await kinesis.stream(records=20)
        times = [record["ApproximateArrivalTimestamp"] for record in await kinesis.read(arn, await kinesis.horizon(arn))]
        assert all(isinstance(time, float) for time in times)
        assert before - 1 <= times[0] <= times[-1] <= kinesis.clock.time() + 1
        assert times == sorted(times)

    async def test_records_come_in_the_order_they_were_put_and_their_numbers_grow(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=50)
        read = await kinesis.read(arn, await kinesis.horizon(arn), limit=7)
        assert data_of(read) == numbers(50)
        sequence = [int(record["SequenceNumber"]) for record in read]
        assert sequence == sorted(set(sequence))

    @pytest.mark.parametrize("limit", [1, 3, 10, 10_000])
    async def test_a_page_has_no_more_records_than_the_limit(self, kinesis: Kinesis, limit: int) -> None:
        arn = await kinesis.stream(records=10)
        page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), limit)
        assert data_of(page.records) == numbers(min(limit, 10))

    async def test_an_iterator_may_be_read_twice(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=4)
        iterator = await kinesis.horizon(arn)
        once = await kinesis.api.get_records(arn, iterator, 2)
        again = await kinesis.api.get_records(arn, iterator, 2)
        assert data_of(once.records) == data_of(again.records) == numbers(2)
        assert again.next_iterator is not None
        assert data_of(await kinesis.read(arn, again.next_iterator)) == numbers(2, start=2)

    async def test_the_tip_is_an_empty_page_that_goes_on(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), 10)
        assert (list(page.records), page.behind) == ([], 0.0)
        assert page.next_iterator is not None
        await kinesis.producer.put(arn, "key", b"r0")
        later = await kinesis.api.get_records(arn, page.next_iterator, 10)
        assert data_of(later.records) == numbers(1)

    async def test_behind_is_positive_while_later_records_are_left_and_zero_once_all_are_read(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        await kinesis.apart(arn, 2)
        page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), 1)
        assert isinstance(page.behind, float)
        assert 0 < page.behind < 60
        assert page.next_iterator is not None
        rest = await kinesis.api.get_records(arn, page.next_iterator, 100)
        assert len(rest.records) > 0
        assert rest.behind == 0.0

    async def test_behind_grows_with_the_age_of_what_is_left(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=2)
        iterator = await kinesis.horizon(arn)
        first = await kinesis.api.get_records(arn, iterator, 1)
        await until(lambda page: page.behind > first.behind + 0.02, lambda: kinesis.api.get_records(arn, iterator, 1), patience=2)

    async def test_a_page_holds_ten_mebibytes_at_the_most(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream()
        for index in range(16):
            await kinesis.producer.put(arn, "key", bytes([index]) * 700 * 1_024)
        page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), 1_000)
        assert len(page.records) == 14
        assert page.behind > 0
        assert page.next_iterator is not None
        assert len(await kinesis.read(arn, page.next_iterator)) == 2

    # ---- closed shards

    async def test_a_closed_shard_gives_its_records_and_then_ends(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=5)
        open_page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), 2)
        await kinesis.producer.split(arn, "shardId-000000000000")
        assert open_page.next_iterator is not None
        pages = await kinesis.pages_to_the_end(arn, open_page.next_iterator)
        assert data_of([record for page in pages for record in page.records]) == numbers(3, start=2)

    async def test_a_shard_that_is_closed_while_a_reader_is_at_its_tip_ends(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=1)
        page = await kinesis.api.get_records(arn, await kinesis.horizon(arn), 10)
        await kinesis.producer.split(arn, "shardId-000000000000")
        assert page.next_iterator is not None
        pages = await kinesis.pages_to_the_end(arn, page.next_iterator)
        assert [record for page in pages for record in page.records] == []

    async def test_at_the_last_sequence_number_of_a_closed_shard_that_record_comes_and_the_end(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=3)
        last = (await kinesis.read(arn, await kinesis.horizon(arn)))[-1]["SequenceNumber"]
        await kinesis.producer.split(arn, "shardId-000000000000")
        shard = ShardId("shardId-000000000000")
        grant = await kinesis.api.get_shard_iterator(arn, shard, "AT_SEQUENCE_NUMBER", sequence_number=last)
        pages = await kinesis.pages_to_the_end(arn, grant.iterator)
        assert data_of([record for page in pages for record in page.records]) == numbers(1, start=2)

    async def test_the_end_of_a_split_shard_names_its_children(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=3)
        await kinesis.producer.split(arn, "shardId-000000000000")
        *before, last = await kinesis.pages_to_the_end(arn, await kinesis.horizon(arn, "shardId-000000000000"))
        assert all(page.children == () for page in before)
        assert {child.id: child.parents for child in last.children} == {
            "shardId-000000000001": ("shardId-000000000000",),
            "shardId-000000000002": ("shardId-000000000000",),
        }

    async def test_the_child_of_a_merge_is_named_by_both_parents_with_both(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(shards=2)
        parents = ("shardId-000000000000", "shardId-000000000001")
        await kinesis.producer.merge(arn, *parents)
        for parent in parents:
            *_, last = await kinesis.pages_to_the_end(arn, await kinesis.horizon(arn, parent))
            assert [child.id for child in last.children] == ["shardId-000000000002"]
            assert set(last.children[0].parents) == set(parents)

    async def test_latest_of_a_closed_shard_is_its_end(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=3)
        await kinesis.producer.split(arn, "shardId-000000000000")
        grant = await kinesis.api.get_shard_iterator(arn, ShardId("shardId-000000000000"), "LATEST")
        pages = await kinesis.pages_to_the_end(arn, grant.iterator)
        assert [record for page in pages for record in page.records] == []

    async def test_children_take_the_records_put_after_the_split(self, kinesis: Kinesis) -> None:
        arn = await kinesis.stream(records=2)
        await kinesis.producer.split(arn, "shardId-000000000000")
        shard, _ = await kinesis.producer.put(arn, "key", b"r2")
        assert shard in {"shardId-000000000001", "shardId-000000000002"}
        assert data_of(await kinesis.read(arn, await kinesis.horizon(arn, shard))) == numbers(1, start=2)
        assert data_of(await kinesis.read(arn, await kinesis.horizon(arn, "shardId-000000000000"))) == numbers(2)
