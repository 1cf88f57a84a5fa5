"""The DynamoDB Streams Api in memory: the suite, and what only the memory can show."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from contract.dynamodb_contract import DynamoDb, DynamoDbContract, ids, ids_of, item
from support.doubles import Trouble
from support.virtual import EPOCH, VirtualClock

from poller.apis.memory_dynamodb import MemoryDynamoDbStreams
from poller.apis.memory_dynamodb_tables import MemoryTables
from poller.apis.memory_streams import Behaviour
from poller.errors import DataTrimmed, IteratorExpired, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.apis.memory_dynamodb_tables import Item, ViewType
    from poller.core.model import ShardId


class Writer:
    """The other side of the memory."""

    def __init__(self, tables: MemoryTables) -> None:
        self.tables = tables

    async def create(self, name: str, key: Sequence[str] = ("id",), view: str = "NEW_AND_OLD_IMAGES") -> str:
        return self.tables.create_table(name, key=tuple(key), view=cast("ViewType", view))

    async def put(self, arn: str, item: Item) -> None:
        self.tables.put_item(arn, item)

    async def remove(self, arn: str, key: Item) -> None:
        self.tables.delete_item(arn, key)


def in_memory(behaviour: Behaviour) -> DynamoDb:
    clock = VirtualClock()
    tables = MemoryTables(clock, behaviour)
    return DynamoDb(api=MemoryDynamoDbStreams(clock, tables=tables), writer=Writer(tables), clock=clock)


@pytest.fixture
def dynamodb() -> DynamoDb:
    return in_memory(Behaviour())


class TestMemory(DynamoDbContract):
    pass


def tables_of(dynamodb: DynamoDb) -> MemoryTables:
    assert isinstance(dynamodb.writer, Writer)
    return dynamodb.writer.tables


def jump(dynamodb: DynamoDb, seconds: float) -> None:
    assert isinstance(dynamodb.clock, VirtualClock)
    dynamodb.clock.jump(seconds)


# ---- changes


async def test_a_write_that_changes_nothing_is_not_told(dynamodb: DynamoDb) -> None:
    tables, arn = tables_of(dynamodb), await dynamodb.stream(items=1)
    assert tables.put_item(arn, item(0)) is None
    assert tables.delete_item(arn, item(7)) is None
    assert len(await dynamodb.read(arn, await dynamodb.horizon(arn))) == 1


async def test_an_update_keeps_the_other_attributes(dynamodb: DynamoDb) -> None:
    tables, arn = tables_of(dynamodb), await dynamodb.stream()
    tables.put_item(arn, item(0, a={"N": "1"}, b={"N": "1"}))
    tables.update_item(arn, item(0, b={"N": "2"}))
    *_, change = await dynamodb.read(arn, await dynamodb.horizon(arn))
    assert change["dynamodb"]["NewImage"] == item(0, a={"N": "1"}, b={"N": "2"})


async def test_a_delete_by_time_to_live_says_so(dynamodb: DynamoDb) -> None:
    tables, arn = tables_of(dynamodb), await dynamodb.stream(items=2)
    tables.delete_item(arn, item(0))
    tables.delete_item(arn, item(1), by_time_to_live=True)
    *_, by_hand, by_time = await dynamodb.read(arn, await dynamodb.horizon(arn))
    assert "userIdentity" not in by_hand
    assert by_time["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}


async def test_times_do_not_fall_when_the_clock_is_set_back(dynamodb: DynamoDb) -> None:
    arn = await dynamodb.stream(items=1)
    jump(dynamodb, -50)
    await dynamodb.writer.put(arn, item(1))
    records = await dynamodb.read(arn, await dynamodb.horizon(arn))
    one, other = [record["dynamodb"]["ApproximateCreationDateTime"] for record in records]
    assert one == other >= EPOCH


async def test_what_a_caller_does_with_a_record_changes_nothing(dynamodb: DynamoDb) -> None:
    arn = await dynamodb.stream(items=1)
    iterator = await dynamodb.horizon(arn)
    (await dynamodb.api.get_records(arn, iterator, 1)).records[0]["dynamodb"]["Keys"]["id"]["S"] = "changed"
    assert ids_of((await dynamodb.api.get_records(arn, iterator, 1)).records) == ids(1)


# ---- time


async def test_an_iterator_lives_for_fifteen_minutes(dynamodb: DynamoDb) -> None:
    arn = await dynamodb.stream(items=3)
    iterator = await dynamodb.horizon(arn)
    jump(dynamodb, 899)
    await dynamodb.api.get_records(arn, iterator, 1)
    jump(dynamodb, 2)
    with pytest.raises(IteratorExpired):
        await dynamodb.api.get_records(arn, iterator, 1)


async def test_what_is_older_than_a_day_is_trimmed_and_who_asks_behind_it_is_told(dynamodb: DynamoDb) -> None:
    arn = await dynamodb.stream(items=2)
    shard = await dynamodb.shard(arn)
    first, second = await dynamodb.read(arn, await dynamodb.horizon(arn))
    jump(dynamodb, 86_300)
    iterator = await dynamodb.horizon(arn)
    await dynamodb.writer.put(arn, item(2))
    jump(dynamodb, 200)
    assert ids_of(await dynamodb.read(arn, await dynamodb.horizon(arn))) == ["i2"]
    with pytest.raises(DataTrimmed):
        await dynamodb.api.get_records(arn, iterator, 1)
    for record in (first, second):
        number = record["dynamodb"]["SequenceNumber"]
        with pytest.raises(DataTrimmed):
            await dynamodb.api.get_shard_iterator(arn, shard, "AFTER_SEQUENCE_NUMBER", sequence_number=number)


# ---- limits


@pytest.mark.parametrize("limit", [0, -1, 1_001])
async def test_a_limit_beyond_the_services_own_is_refused(dynamodb: DynamoDb, limit: int) -> None:
    arn = await dynamodb.stream(items=1)
    with pytest.raises(Unavailable) as caught:
        await dynamodb.api.get_records(arn, await dynamodb.horizon(arn), limit)
    assert caught.value.kind == "other"


async def test_too_many_reads_are_throttled_where_the_behaviour_says_so() -> None:
    dynamodb = in_memory(Behaviour(reads_per_second=2))
    arn = await dynamodb.stream()
    iterator = await dynamodb.horizon(arn)
    for _ in range(2):
        await dynamodb.api.get_records(arn, iterator, 1)
    with pytest.raises(Unavailable) as caught:
        await dynamodb.api.get_records(arn, iterator, 1)
    assert caught.value.kind == "throttled"


async def test_pages_may_be_empty_although_records_are_left() -> None:
    dynamodb = in_memory(Behaviour(empty_every=2))
    arn = await dynamodb.stream(items=2)
    read: list[list[str]] = []
    iterator: str | None = await dynamodb.horizon(arn)
    for _ in range(4):
        assert iterator is not None
        page = await dynamodb.api.get_records(arn, iterator, 1)
        read.append(ids_of(page.records))
        iterator = page.next_iterator
    assert read == [["i0"], [], ["i1"], []]


# ---- rolling


async def test_a_shard_that_rolls_is_closed_and_has_one_child(dynamodb: DynamoDb) -> None:
    tables, arn = tables_of(dynamodb), await dynamodb.stream(items=2)
    parent = await dynamodb.shard(arn)
    (child,) = tables.roll(arn, parent)
    await dynamodb.writer.put(arn, item(2))
    listed = {shard.id: (shard.parent, shard.closed) for shard in await dynamodb.api.list_shards(arn)}
    assert listed == {parent: (None, True), child: (parent, False)}
    sides = []
    for shard in (parent, child):
        iterator = (await dynamodb.api.get_shard_iterator(arn, shard, "TRIM_HORIZON")).iterator
        page = await dynamodb.api.get_records(arn, iterator, 10)
        sides.append((ids_of(page.records), page.next_iterator is None))
    assert sides == [(["i0", "i1"], True), (["i2"], False)]
    with pytest.raises(ValueError, match="closed already"):
        tables.roll(arn, parent)


async def test_a_closed_shard_may_say_that_it_ended_on_an_empty_page() -> None:
    dynamodb = in_memory(Behaviour(late_end=True))
    tables, arn = tables_of(dynamodb), await dynamodb.stream(items=1)
    iterator = await dynamodb.horizon(arn)
    tables.roll_all(arn)
    page = await dynamodb.api.get_records(arn, iterator, 10)
    assert page.next_iterator is not None
    last = await dynamodb.api.get_records(arn, page.next_iterator, 10)
    assert (list(last.records), last.next_iterator) == ([], None)


async def test_a_partition_that_is_split_leaves_two_children_which_share_its_keys(dynamodb: DynamoDb) -> None:
    tables, arn = tables_of(dynamodb), await dynamodb.stream()
    children = tables.roll(arn, await dynamodb.shard(arn), children=2)
    took = {shard for index in range(20) if (told := tables.put_item(arn, item(index))) for shard in told[:1]}
    assert took == set(children)


async def test_a_closed_shard_is_forgotten_a_day_later(dynamodb: DynamoDb) -> None:
    tables, arn = tables_of(dynamodb), await dynamodb.stream(items=1)
    parent = await dynamodb.shard(arn)
    jump(dynamodb, 1_000)
    (child,) = tables.roll_all(arn)
    jump(dynamodb, 86_399)
    assert len(await dynamodb.api.list_shards(arn)) == 2
    jump(dynamodb, 2)
    assert [shard.id for shard in await dynamodb.api.list_shards(arn)] == [child]
    with pytest.raises(SourceGone):
        await dynamodb.api.get_shard_iterator(arn, parent, "TRIM_HORIZON")


async def test_all_changes_of_an_item_are_in_one_shard_of_a_generation(dynamodb: DynamoDb) -> None:
    tables = tables_of(dynamodb)
    arn = tables.create_table("wide", shards=4)
    shards: dict[str, set[ShardId]] = {}
    for index in range(40):
        told = tables.put_item(arn, item(index % 8, n={"N": str(index)}))
        assert told is not None
        shards.setdefault(f"i{index % 8}", set()).add(told[0])
    assert all(len(some) == 1 for some in shards.values())
    assert len(set().union(*shards.values())) > 1


async def test_a_table_made_anew_has_another_stream(dynamodb: DynamoDb) -> None:
    tables = tables_of(dynamodb)
    arn = tables.create_table("again")
    with pytest.raises(ValueError, match="there is a table"):
        tables.create_table("again")
    iterator = await dynamodb.horizon(arn)
    tables.delete_table(arn)
    jump(dynamodb, 1)
    assert tables.create_table("again") != arn
    with pytest.raises(SourceGone):
        await dynamodb.api.get_records(arn, iterator, 1)


# ---- faults


@pytest.mark.parametrize("operation", ["DescribeStream", "GetShardIterator", "GetRecords"])
async def test_faults_reach_every_call_of_their_connection_and_no_other(operation: str) -> None:
    sound = MemoryDynamoDbStreams(VirtualClock())
    arn = sound.tables.create_table("t")
    dynamodb = DynamoDb(api=sound, writer=Writer(sound.tables), clock=VirtualClock())
    iterator, shard = await dynamodb.horizon(arn), await dynamodb.shard(arn)
    trouble = Trouble()
    troubled = sound.connect(trouble)
    trouble.refuse(Unavailable(operation, "timeout"), operation)
    calls = {
        "DescribeStream": (troubled.describe_stream(arn), troubled.list_shards(arn)),
        "GetShardIterator": (troubled.get_shard_iterator(arn, shard, "LATEST"),),
        "GetRecords": (troubled.get_records(arn, iterator, 1),),
    }
    for name, some in calls.items():
        for call in some:
            if name == operation:
                with pytest.raises(Unavailable, match="timeout"):
                    await call
            else:
                await call
    assert list(trouble.calls) == list(calls)
    assert (await sound.get_records(arn, iterator, 1)).next_iterator is not None


async def test_a_connection_that_is_cut_reaches_nothing_more() -> None:
    api = MemoryDynamoDbStreams(VirtualClock())
    arn = api.tables.create_table("t")
    api.cut()
    with pytest.raises(Unavailable) as caught:
        await api.describe_stream(arn)
    assert caught.value.kind == "connection"
