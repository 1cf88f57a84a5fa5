"""DynamoDB in memory, the service's side: tables whose items change, and whose streams tell of it as DynamoDB Streams does.

Only what a reader of streams can notice: there are no conditions, expressions or indexes.
"""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

import orjson

from poller.apis.memory_dynamodb_shard import Change, TableShard
from poller.apis.memory_streams import LENIENT, Behaviour
from poller.core.model import ShardId, StreamId
from poller.errors import DataTrimmed, IteratorExpired, SourceGone, Unavailable
from poller.ports import StreamDescription
from poller.services import DynamoDbIdentity, DynamoDbIterator, DynamoDbPage, DynamoDbRecord, DynamoDbShard

if TYPE_CHECKING:
    from poller.ports import Clock
    from poller.services import DynamoDbChange, DynamoDbIteratorType

ARN_PREFIX: Final = "arn:aws:dynamodb:us-east-1:000000000000:table/"
HASH_KEYS: Final = 2**128
ITERATOR_LIFE: Final = 900.0
MAX_LIMIT: Final = 1_000
RETENTION: Final = 86_400.0
"""Seconds: always 24 hours."""

FIRST_SEQUENCE: Final = 1_000 * 10**21
SEQUENCE_STEP: Final = 1_000_003
"""Sequence numbers have 25 digits and grow with gaps, over all tables together."""

ViewType = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
Item = dict[str, dict[str, object]]
"""Attributes by their names, in DynamoDB's JSON: `{"id": {"S": "17"}, "paid": {"BOOL": true}}`."""

BY_TIME_TO_LIVE: Final = DynamoDbIdentity(PrincipalId="dynamodb.amazonaws.com", Type="Service")


@dataclass(slots=True, kw_only=True)
class _Table:
    arn: str
    created_at: float
    key: tuple[str, ...]
    view: ViewType
    shards: dict[ShardId, TableShard] = field(default_factory=dict)
    made: int = 0
    items: dict[bytes, Item] = field(default_factory=dict)


class MemoryTables:
    """All tables of an account: the contents that connections share. A table is named by the ARN of its stream.

    Where the service may do one thing or another it does as its `Behaviour` says, which is that of `MemoryStreams`.
    """

    def __init__(self, clock: Clock, behaviour: Behaviour = LENIENT) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._tables: dict[str, _Table] = {}
        self._sequence = FIRST_SEQUENCE

    # ---- producers and operators

    def create_table(
        self, name: str, *, key: tuple[str, ...] = ("id",), view: ViewType = "NEW_AND_OLD_IMAGES", shards: int = 1
    ) -> str:
        """Makes a table with a stream, whose shards share the hashes of the partition keys evenly. Returns the stream's ARN.

        `key` names the partition key and, where there is one, the sort key.
        """
        now = self._clock.time()
        arn = f"{ARN_PREFIX}{name}/stream/{now:.3f}"
        if any(each.startswith(f"{ARN_PREFIX}{name}/") for each in self._tables):
            raise ValueError(f"there is a table {name}")
        table = self._tables[arn] = _Table(arn=arn, created_at=now, key=key, view=view)
        for index in range(shards):
            _open_shard(table, HASH_KEYS * index // shards, HASH_KEYS * (index + 1) // shards - 1)
        return arn

    def delete_table(self, arn: str) -> None:
        """Takes the table and its stream away; one made anew under its name has a stream with another ARN."""
        del self._tables[arn]

    def put_item(self, arn: str, item: Item) -> tuple[ShardId, str] | None:
        """Writes a whole item. Returns the shard and the sequence number; None where that changes nothing: no record tells it."""
        table = self._table("PutItem", arn)
        return self._change(table, _key_of(table, item), deepcopy(item))

    def update_item(self, arn: str, item: Item) -> tuple[ShardId, str] | None:
        """Writes some attributes of an item, its key among them; the others stay. Returns the same."""
        table = self._table("UpdateItem", arn)
        name = _key_of(table, item)
        return self._change(table, name, table.items.get(name, {}) | deepcopy(item))

    def delete_item(self, arn: str, key: Item, *, by_time_to_live: bool = False) -> tuple[ShardId, str] | None:
        """Takes an item away: somebody, or DynamoDB itself because its time was over. Returns the same."""
        table = self._table("DeleteItem", arn)
        return self._change(table, _key_of(table, key), None, BY_TIME_TO_LIVE if by_time_to_live else None)

    def roll(self, arn: str, shard: ShardId, children: int = 1) -> tuple[ShardId, ...]:
        """Closes an open shard in favour of a child, as DynamoDB does every four hours; of two where its partition is split."""
        table = self._table("", arn)
        parent = table.shards[shard]
        if parent.closed_at is not None:
            raise ValueError(f"{shard} is closed already")
        parent.closed_at = self._clock.time()
        first, width = parent.hash_from, parent.hash_to - parent.hash_from + 1
        bounds = [first + width * index // children for index in range(children + 1)]
        return tuple(_open_shard(table, bounds[index], bounds[index + 1] - 1, shard) for index in range(children))

    def roll_all(self, arn: str) -> tuple[ShardId, ...]:
        """Closes all open shards, each in favour of one child. Returns the children."""
        shards = [shard.id for shard in self._table("", arn).shards.values() if shard.closed_at is None]
        return tuple(child for shard in shards for child in self.roll(arn, shard))

    def _change(
        self, table: _Table, name: bytes, new: Item | None, by: DynamoDbIdentity | None = None
    ) -> tuple[ShardId, str] | None:
        old = table.items.get(name)
        if old == new:
            return None
        if new is None:
            del table.items[name]
        else:
            table.items[name] = new
        keys = {key: (new or old or {})[key] for key in table.key}
        hash_key = int.from_bytes(hashlib.md5(orjson.dumps(keys[table.key[0]]), usedforsecurity=False).digest())
        shard = next(shard for shard in table.shards.values() if shard.covers(hash_key))
        self._sequence += SEQUENCE_STEP
        last = shard.stored[-1].arrived_at if shard.stored else 0.0
        arrived_at = max(float(int(self._clock.time())), last)  # whole seconds; a shard's times never go back
        change = _told(table, keys, old, new)
        size = sum(len(orjson.dumps(part)) for part in change.values())
        told = {"ApproximateCreationDateTime": arrived_at, **change, "SequenceNumber": str(self._sequence), "SizeBytes": size}
        kind = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        record = _record(kind, cast("DynamoDbChange", told | {"StreamViewType": table.view}))
        if by is not None:
            record["userIdentity"] = by
        shard.stored.append(Change(record=record, sequence=self._sequence, arrived_at=arrived_at, size=size))
        return shard.id, str(self._sequence)

    # ---- consumers: the effects of the calls of `DynamoDbStreamsApi`

    def describe(self, arn: str) -> StreamDescription:
        """DescribeStream."""
        table = self._table("DescribeStream", arn)
        return StreamDescription(id=StreamId(arn=arn, created_at=table.created_at), retention=RETENTION)

    def list_shards(self, arn: str) -> tuple[DynamoDbShard, ...]:
        """DescribeStream: also the closed ones, until retention has taken their records."""
        shards = self._table("DescribeStream", arn).shards.values()
        return tuple(DynamoDbShard(id=shard.id, parent=shard.parent, closed=shard.closed_at is not None) for shard in shards)

    def iterator(self, arn: str, shard_id: ShardId, kind: DynamoDbIteratorType, sequence: str | None) -> DynamoDbIterator:
        """GetShardIterator."""
        table = self._table("GetShardIterator", arn)
        shard, now = _shard("GetShardIterator", table, shard_id), self._clock.time()
        if kind == "LATEST":
            offset: int | None = shard.end
        elif kind == "TRIM_HORIZON":
            offset = shard.trimmed
        else:
            offset = shard.after_sequence(int(sequence or 0))
        if offset is None:
            raise DataTrimmed(f"GetShardIterator: {arn} {shard_id}: TrimmedDataAccessException: {sequence}")
        return DynamoDbIterator(iterator=_token(table, shard, offset, now), server_time=float(int(now)))  # as HTTP tells it

    def records(self, arn: str, iterator: str, limit: int) -> DynamoDbPage:
        """GetRecords."""
        table, shard, offset = self._resolve(arn, iterator)
        if not 1 <= limit <= MAX_LIMIT:
            raise Unavailable("GetRecords", "other", f"{arn}: ValidationException: limit {limit}")
        now = self._clock.time()
        self._throttle(arn, shard, now)
        if offset < shard.trimmed:
            raise DataTrimmed(f"GetRecords: {arn} {shard.id}: TrimmedDataAccessException")
        shard.reads += 1
        hollow = self._behaviour.empty_every > 0 and shard.reads % self._behaviour.empty_every == 0
        taken, behind_them = ([], offset) if hollow else shard.page(offset, limit)
        ended = shard.closed_at is not None and behind_them >= shard.end and not (self._behaviour.late_end and taken)
        return DynamoDbPage(
            records=[deepcopy(one.record) for one in taken],
            next_iterator=None if ended else _token(table, shard, behind_them, now),
        )

    def _throttle(self, arn: str, shard: TableShard, now: float) -> None:
        shard.read_at = [at for at in shard.read_at if now - at < 1.0]
        if self._behaviour.reads_per_second is not None and len(shard.read_at) >= self._behaviour.reads_per_second:
            raise Unavailable("GetRecords", "throttled", f"{arn} {shard.id}: LimitExceededException")
        shard.read_at.append(now)

    def _resolve(self, arn: str, iterator: str) -> tuple[_Table, TableShard, int]:
        table = self._table("GetRecords", arn)
        parts = iterator.split("|")
        if len(parts) != 4 or parts[0] != arn:  # noqa: PLR2004 -- the parts of `_token`
            raise Unavailable("GetRecords", "other", f"{arn}: ValidationException: invalid shard iterator")
        if self._clock.time() - float(parts[3]) > ITERATOR_LIFE:
            raise IteratorExpired(f"GetRecords: {arn}: ExpiredIteratorException")
        return table, _shard("GetRecords", table, ShardId(parts[1])), int(parts[2])

    def _table(self, operation: str, arn: str) -> _Table:
        """The table, less what retention has taken of its stream by now."""
        table = self._tables.get(arn)
        if table is None:
            raise SourceGone(f"{operation}: there is no stream {arn}")
        horizon = self._clock.time() - RETENTION
        for shard in table.shards.values():
            shard.trim(horizon)
        table.shards = {shard.id: shard for shard in table.shards.values() if not shard.forgotten(horizon)}
        return table


def _told(table: _Table, keys: Item, old: Item | None, new: Item | None) -> dict[str, object]:
    """What the stream shows of a change, by its view type."""
    told: dict[str, object] = {"Keys": keys}
    if new is not None and table.view in {"NEW_IMAGE", "NEW_AND_OLD_IMAGES"}:
        told["NewImage"] = new
    if old is not None and table.view in {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"}:
        told["OldImage"] = old
    return told


def _record(kind: str, change: DynamoDbChange) -> DynamoDbRecord:
    return DynamoDbRecord(
        eventID=hashlib.md5(change["SequenceNumber"].encode(), usedforsecurity=False).hexdigest(),
        eventName=kind,
        eventVersion="1.1",
        eventSource="aws:dynamodb",
        awsRegion="us-east-1",
        dynamodb=deepcopy(change),
    )


def _key_of(table: _Table, item: Item) -> bytes:
    """What tells an item from others. Raises `KeyError` where it lacks a part of its key."""
    return orjson.dumps([item[name] for name in table.key])


def _token(table: _Table, shard: TableShard, offset: int, now: float) -> str:
    """Opaque to callers. Read by `MemoryTables._resolve`; holds all its state, so that none is kept for lost iterators."""
    return f"{table.arn}|{shard.id}|{offset}|{now!r}"


def _shard(operation: str, table: _Table, shard: ShardId) -> TableShard:
    if shard not in table.shards:
        raise SourceGone(f"{operation}: there is no shard {shard} in {table.arn}")
    return table.shards[shard]


def _open_shard(table: _Table, hash_from: int, hash_to: int, parent: ShardId | None = None) -> ShardId:
    shard = ShardId(f"shardId-{table.made:020d}-{table.made:08x}")
    table.made += 1
    table.shards[shard] = TableShard(id=shard, hash_from=hash_from, hash_to=hash_to, parent=parent)
    return shard
