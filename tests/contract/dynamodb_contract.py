"""What every `DynamoDbStreamsApi` does, whatever is behind it: one suite for the memory and for a real server.

A module with a subclass has the fixture `dynamodb`. Servers have a single shard that never rolls: rolling is the memory's alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
from support.aws import until

from poller.core.model import ShardId
from poller.errors import IteratorExpired, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from poller.ports import Clock
    from poller.services import DynamoDbRecord, DynamoDbStreamsApi

DAY = 86_400.0

names = (f"table-{number}" for number in itertools.count())


class Writer(Protocol):
    """Makes tables and changes items: `support.aws.Tables`, or the memory's own methods."""

    async def create(self, name: str, key: Sequence[str] = ("id",), view: str = "NEW_AND_OLD_IMAGES") -> str: ...

    async def put(self, arn: str, item: Any) -> None: ...

    async def remove(self, arn: str, key: Any) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDb:
    """One service: the Api under test, the other side, and the service's clock."""

    api: DynamoDbStreamsApi
    writer: Writer
    clock: Clock

    async def stream(self, *, items: int = 0, view: str = "NEW_AND_OLD_IMAGES") -> str:
        """The stream of a table of its own for a test, with `i0`, `i1`, ... in it."""
        arn = await self.writer.create(next(names), view=view)
        for index in range(items):
            await self.writer.put(arn, item(index))
        return arn

    async def shard(self, arn: str) -> ShardId:
        """The only shard."""
        (only,) = await self.api.list_shards(arn)
        return only.id

    async def horizon(self, arn: str) -> str:
        """An iterator at the first record."""
        return (await self.api.get_shard_iterator(arn, await self.shard(arn), "TRIM_HORIZON")).iterator

    async def read(self, arn: str, iterator: str, limit: int = 1_000) -> list[DynamoDbRecord]:
        """All records from an iterator to the tip, or to the end of the shard."""
        records: list[DynamoDbRecord] = []
        following: str | None = iterator
        while following is not None:
            page = await self.api.get_records(arn, following, limit)
            records += page.records
            following = page.next_iterator if page.records else None
        return records


def item(index: int, **more: Any) -> dict[str, Any]:
    return {"id": {"S": f"i{index}"}} | more


def ids_of(records: Sequence[DynamoDbRecord]) -> list[str]:
    return [str(record["dynamodb"]["Keys"]["id"]["S"]) for record in records]


def ids(count: int, start: int = 0) -> list[str]:
    return [f"i{index}" for index in range(start, start + count)]


class DynamoDbContract:
    """The suite. See the module's docstring."""

    # ---- streams

    async def test_a_stream_is_described_by_its_arn_its_creation_and_24_hours(self, dynamodb: DynamoDb) -> None:
        before = dynamodb.clock.time()
        arn = await dynamodb.stream()
        described = await dynamodb.api.describe_stream(arn)
        assert described.id.arn == arn
        assert isinstance(described.id.created_at, float)
        assert before - 1 <= described.id.created_at <= dynamodb.clock.time() + 1
        assert described.retention == DAY

    @pytest.mark.parametrize("operation", ["describe_stream", "list_shards", "get_shard_iterator"])
    async def test_a_stream_that_does_not_exist_is_gone(self, dynamodb: DynamoDb, operation: str) -> None:
        arn = await dynamodb.stream()
        shard = (await dynamodb.shard(arn), "LATEST") if operation == "get_shard_iterator" else ()
        other = arn.replace("/table-", "/no-table-")
        with pytest.raises(SourceGone, match=other):
            await getattr(dynamodb.api, operation)(other, *shard)

    async def test_a_new_stream_has_one_open_shard_without_a_parent(self, dynamodb: DynamoDb) -> None:
        (shard,) = await dynamodb.api.list_shards(await dynamodb.stream(items=1))
        assert (shard.parent, shard.closed) == (None, False)

    # ---- iterators

    async def test_trim_horizon_begins_at_the_first_record(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream(items=5)
        assert ids_of(await dynamodb.read(arn, await dynamodb.horizon(arn))) == ids(5)

    async def test_latest_begins_behind_the_newest_record(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream(items=5)
        latest = await dynamodb.api.get_shard_iterator(arn, await dynamodb.shard(arn), "LATEST")
        page = await dynamodb.api.get_records(arn, latest.iterator, 10)
        assert page.records == []
        await dynamodb.writer.put(arn, item(5))
        assert ids_of(await dynamodb.read(arn, latest.iterator)) == ids(1, start=5)

    async def test_after_sequence_number_begins_at_the_next_record(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream(items=4)
        shard = await dynamodb.shard(arn)
        for index, record in enumerate(await dynamodb.read(arn, await dynamodb.horizon(arn))):
            number = record["dynamodb"]["SequenceNumber"]
            grant = await dynamodb.api.get_shard_iterator(arn, shard, "AFTER_SEQUENCE_NUMBER", sequence_number=number)
            assert ids_of(await dynamodb.read(arn, grant.iterator)) == ids(3 - index, start=index + 1)

    async def test_an_iterator_comes_with_the_servers_time(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream()
        grant = await dynamodb.api.get_shard_iterator(arn, await dynamodb.shard(arn), "LATEST")
        assert isinstance(grant.server_time, float)
        assert dynamodb.clock.time() - 2 <= grant.server_time <= dynamodb.clock.time() + 1  # HTTP dates are whole seconds

    async def test_a_shard_that_does_not_exist_has_no_iterator(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream()
        with pytest.raises(SourceGone):
            await dynamodb.api.get_shard_iterator(arn, ShardId("shardId-00000000000000000009-00000009"), "TRIM_HORIZON")

    @pytest.mark.parametrize("iterator", ["garbage", "AAAAAAAAAAE=", "a|b|c|d", "\N{PILE OF POO}"])
    async def test_garbage_is_no_iterator(self, dynamodb: DynamoDb, iterator: str) -> None:
        arn = await dynamodb.stream(items=1)
        with pytest.raises((Unavailable, IteratorExpired)):
            await dynamodb.api.get_records(arn, iterator, 1)

    # ---- records

    async def test_each_change_of_an_item_is_told_with_its_images(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream()
        await dynamodb.writer.put(arn, item(0, n={"N": "1"}))
        await dynamodb.writer.put(arn, item(0, n={"N": "2"}))
        await dynamodb.writer.remove(arn, item(0))
        read = await dynamodb.read(arn, await dynamodb.horizon(arn))
        one, two = item(0, n={"N": "1"}), item(0, n={"N": "2"})
        assert [record["eventName"] for record in read] == ["INSERT", "MODIFY", "REMOVE"]
        assert [record["dynamodb"]["Keys"] for record in read] == [item(0)] * 3
        assert [record["dynamodb"].get("NewImage") for record in read] == [one, two, None]
        assert [record["dynamodb"].get("OldImage") for record in read] == [None, one, two]
        assert len({record["eventID"] for record in read}) == 3

    @pytest.mark.parametrize(
        ("view", "images"),
        [("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"})],
    )
    async def test_a_stream_shows_of_items_what_its_view_type_says(self, dynamodb: DynamoDb, view: str, images: set[str]) -> None:
        arn = await dynamodb.stream(view=view)
        await dynamodb.writer.put(arn, item(0))
        await dynamodb.writer.put(arn, item(0, n={"N": "2"}))
        *_, change = await dynamodb.read(arn, await dynamodb.horizon(arn))
        assert set(change["dynamodb"]) & {"NewImage", "OldImage"} == images
        assert change["dynamodb"]["StreamViewType"] == view

    async def test_values_of_all_types_stay_as_the_wire_has_them(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream()
        values = {
            "number": {"N": "12345678901234567890.5"},
            "text": {"S": 'ä "\\ \U0001f511'},
            "flag": {"BOOL": True},
            "nothing": {"NULL": True},
            "list": {"L": [{"N": "1"}, {"M": {"deep": {"SS": ["x"]}}}]},
        }
        await dynamodb.writer.put(arn, item(0, **values))
        (record,) = await dynamodb.read(arn, await dynamodb.horizon(arn))
        assert record["dynamodb"]["NewImage"] == item(0, **values)

    async def test_a_time_is_a_number_of_whole_unix_seconds_that_never_falls(self, dynamodb: DynamoDb) -> None:
        before = dynamodb.clock.time()
        arn = await dynamodb.stream(items=10)
        records = await dynamodb.read(arn, await dynamodb.horizon(arn))
        times = [record["dynamodb"]["ApproximateCreationDateTime"] for record in records]
        assert before - 1 <= times[0] <= times[-1] <= dynamodb.clock.time() + 1
        assert times == sorted(map(int, times))

    async def test_records_come_in_the_order_of_the_changes_and_their_numbers_grow(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream(items=20)
        read = await dynamodb.read(arn, await dynamodb.horizon(arn), limit=7)
        assert ids_of(read) == ids(20)
        sequence = [int(record["dynamodb"]["SequenceNumber"]) for record in read]
        assert sequence == sorted(set(sequence))

    @pytest.mark.parametrize("limit", [1, 3, 10, 1_000])
    async def test_a_page_has_no_more_records_than_the_limit(self, dynamodb: DynamoDb, limit: int) -> None:
        arn = await dynamodb.stream(items=10)
        page = await dynamodb.api.get_records(arn, await dynamodb.horizon(arn), limit)
        assert ids_of(page.records) == ids(min(limit, 10))

    async def test_an_iterator_may_be_read_twice(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream(items=4)
        iterator = await dynamodb.horizon(arn)
        once = await dynamodb.api.get_records(arn, iterator, 2)
        again = await dynamodb.api.get_records(arn, iterator, 2)
        assert ids_of(once.records) == ids_of(again.records) == ids(2)
        assert again.next_iterator is not None
        assert ids_of(await dynamodb.read(arn, again.next_iterator)) == ids(2, start=2)

    async def test_the_tip_is_an_empty_page_that_goes_on(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream()
        page = await dynamodb.api.get_records(arn, await dynamodb.horizon(arn), 10)
        assert list(page.records) == []
        assert page.next_iterator is not None
        await dynamodb.writer.put(arn, item(0))
        later = await until(lambda page: page.records, lambda: dynamodb.api.get_records(arn, str(page.next_iterator), 10))
        assert ids_of(later.records) == ids(1)

    async def test_a_page_holds_one_mebibyte_at_the_most(self, dynamodb: DynamoDb) -> None:
        arn = await dynamodb.stream(view="NEW_IMAGE")
        for index in range(4):
            await dynamodb.writer.put(arn, item(index, text={"S": "x" * 300_000}))
        page = await dynamodb.api.get_records(arn, await dynamodb.horizon(arn), 1_000)
        assert ids_of(page.records) == ids(3)
        assert page.next_iterator is not None
        assert ids_of(await dynamodb.read(arn, page.next_iterator)) == ids(1, start=3)
