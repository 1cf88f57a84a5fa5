"""DynamoDB Streams: raw records to Lambda's event shape, and a reader that no expired iterator can lead astray."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from math import floor
from typing import TYPE_CHECKING, Final

import orjson

from poller.core.model import BEGINNING, Record, Shard, Start, position, sequence_number
from poller.errors import DataTrimmed, Unavailable
from poller.ports import Page
from poller.sources.iterators import HeldIterator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Position, ShardId
    from poller.ports import Clock, StreamDescription
    from poller.services import DynamoDbIterator, DynamoDbPage, DynamoDbRecord, DynamoDbStreamsApi
    from poller.sources.pace import ReadPace

READ_LIMIT: Final = 1_000
"""Records of one GetRecords: the service's own limit."""

IDLE_PAUSE: Final = 0.25
"""Seconds to leave a shard alone after a read that seems to have reached the tip: Lambda reads four times a second.

Source: AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB".
"""

FRESH: Final = 2.0
"""Seconds: a page whose last record is older than that has perhaps not reached the tip; the service does not say."""

ITERATOR_LIFE: Final = 840.0
"""Seconds for which an iterator is trusted; the service lets it live for 900."""

APART: Final = 2.0
"""Seconds by which the clock that stamps records may be behind the one that stamps answers. Both tell whole seconds."""

KEYS_OF_CHANGE: Final = (
    "ApproximateCreationDateTime",
    "Keys",
    "NewImage",
    "OldImage",
    "SequenceNumber",
    "SizeBytes",
    "StreamViewType",
)
"""In the order in which Lambda has them."""

DIGITS: Final = Context(prec=40)
"""More than a number of DynamoDB can have (38)."""


# ---------------------------------------------------------------------------------------------------------------- pure top half


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDbShape:
    """What every event of one mapping has in common.

    Attributes:
        stream_arn: `eventSourceARN`.
        region: `awsRegion`, of records that do not say it themselves.
    """

    stream_arn: str
    region: str


class DynamoDbFormat:
    """Makes Records: the event is encoded once. The order of keys is Lambda's; within an item it is the stream's."""

    def __init__(self, shape: DynamoDbShape) -> None:
        self._region = shape.region
        self._end = f',"eventSourceARN":{_text(shape.stream_arn)}}}'

    def record(self, raw: DynamoDbRecord, received_at: float) -> Record:
        """A raw record in the shape that a function sees. `received_at` is in Unix seconds."""
        change = raw["dynamodb"]
        sequence = change["SequenceNumber"]
        return Record(
            id=sequence,
            position=position(sequence),
            arrived_at=float(change["ApproximateCreationDateTime"]),
            payload=self._event(raw).encode(),
            group=item_key(change["Keys"]),
            received_at=received_at,
        )

    def records(self, raws: Sequence[DynamoDbRecord], received_at: float) -> list[Record]:
        """The same for a page."""
        return [self.record(raw, received_at) for raw in raws]

    def _event(self, raw: DynamoDbRecord) -> str:
        change = dict(raw["dynamodb"])
        ordered = {key: change.pop(key) for key in KEYS_OF_CHANGE if key in change} | change
        return (
            f'{{"eventID":{_text(raw.get("eventID", ""))},"eventName":{_text(raw.get("eventName", ""))}'
            f',"eventVersion":{_text(raw.get("eventVersion", "1.1"))}'
            f',"eventSource":"aws:dynamodb","awsRegion":{_text(raw.get("awsRegion") or self._region)}'
            f',"dynamodb":{_text(ordered)}{_identity(raw)}{self._end}'
        )


def _identity(raw: DynamoDbRecord) -> str:
    """Who made the change, where that was DynamoDB itself; the API has the keys in another spelling than events."""
    identity = raw.get("userIdentity")
    if not isinstance(identity, dict):
        return ""
    named = {key[:1].lower() + key[1:]: value for key, value in identity.items()}
    return f',"userIdentity":{_text(dict(sorted(named.items(), reverse=True)))}'  # the type first


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def item_key(keys: dict[str, dict[str, object]]) -> str:
    """The whole primary key of an item as one text: equal keys are equal texts, whatever the order or a number's spelling."""
    for name, value in keys.items():
        number = value.get("N")
        if isinstance(number, str) and (plain := _plain(number)) != number:
            keys = {**keys, name: {"N": plain}}
    return orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def _plain(number: str) -> str:
    """One spelling of a number. DynamoDB has it already; what stands in for it may hand out what it was given."""
    if number.isdigit() and number[0] != "0" and number[-1] != "0":
        return number
    try:
        found = Decimal(number).normalize(DIGITS)
    except InvalidOperation:
        return number
    return str(found) if found else "0"


def pause_after(count: int, newest: float) -> float:
    """Seconds to leave a shard alone after a read of so many records, the last of which is so many seconds old."""
    return 0.0 if count >= READ_LIMIT or (count and newest > FRESH) else IDLE_PAUSE


# --------------------------------------------------------------------------------------------------------------------- IO half


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDbSource:
    """A `StreamSource` over the stream of one table.

    Attributes:
        pace: the limit of reads per shard, shared by all mappings of the process. The service names none; this one is Kinesis's.
        latest: iterators made at a LATEST boundary, used by the first reader of the shard: exact, while they last.
        closed: shards that were closed when they were last listed.
    """

    api: DynamoDbStreamsApi
    shape: DynamoDbShape
    pace: ReadPace
    clock: Clock
    latest: dict[ShardId, DynamoDbIterator] = field(default_factory=dict)
    closed: set[ShardId] = field(default_factory=set)

    async def describe(self) -> StreamDescription:
        """See `StreamSource.describe`."""
        return await self.api.describe_stream(self.shape.stream_arn)

    async def shards(self) -> tuple[Shard, ...]:
        """See `StreamSource.shards`."""
        listed = await self.api.list_shards(self.shape.stream_arn)
        self.closed.clear()
        self.closed.update(shard.id for shard in listed if shard.closed)
        return tuple(Shard(id=shard.id, parents=(shard.parent,) if shard.parent else ()) for shard in listed)

    async def boundary(self, shard: ShardId) -> Start:
        """See `StreamSource.boundary`: the iterator is kept for this process, its time for a later one.

        Of a shard that was closed before, LATEST is the same at any time: its end.
        """
        if shard in self.closed:
            return Start(type="LATEST")
        grant = self.latest[shard] = await self.api.get_shard_iterator(self.shape.stream_arn, shard, "LATEST")
        return Start(type="LATEST", timestamp=floor(grant.server_time) - APART)

    def reader(self, shard: ShardId, start: Start) -> DynamoDbReader:
        """See `StreamSource.reader`."""
        return DynamoDbReader(self, shard, start)


class DynamoDbReader:
    """A `ShardReader`. An expired iterator is replaced by one after the last record that this reader *read*.

    The service knows no iterator for a time. Who has only the time of a LATEST boundary reads the shard from its oldest record,
    and drops what is older than that.
    """

    def __init__(self, source: DynamoDbSource, shard: ShardId, start: Start) -> None:
        self._source = source
        self._shard = shard
        self._start = start
        self._format = DynamoDbFormat(source.shape)
        self._last: Position = start.position
        self._trimmed = False
        self._since: float | None = None
        first = source.latest.pop(shard, None) if start.type == "LATEST" else None
        self._iterator = HeldIterator(source.clock, ITERATOR_LIFE, first.iterator if first is not None else None)

    async def read(self) -> Page:
        """See `ShardReader.read`."""
        try:
            return self._page(await self._iterator.read(self._new_iterator, self._ask))
        except DataTrimmed:
            self._iterator.drop()
            self._trimmed = self._last != BEGINNING
        try:
            return self._page(await self._iterator.read(self._new_iterator, self._ask))
        except DataTrimmed as error:  # the oldest record was another one just now
            self._iterator.drop()
            raise Unavailable("GetRecords", "expired_iterator", str(error)) from error

    async def _ask(self, iterator: str) -> DynamoDbPage:
        arn, source = self._source.shape.stream_arn, self._source
        await source.pace.turn(arn, self._shard)
        return await source.api.get_records(arn, iterator, READ_LIMIT)

    def _page(self, answer: DynamoDbPage) -> Page:
        now = self._source.clock.time()
        read = self._format.records(answer.records, now)
        new = [record for record in read if record.position > self._last]
        if new:
            self._last = new[-1].position
        trimmed, self._trimmed = self._trimmed, False
        return Page(
            records=tuple(self._after_boundary(new)),
            repeated=len(read) - len(new),
            ended=answer.next_iterator is None,
            size=sum([len(record.payload) for record in read]),
            pause=pause_after(len(read), now - read[-1].arrived_at if read else 0.0),
            trimmed=trimmed,
        )

    def _after_boundary(self, records: list[Record]) -> list[Record]:
        """What is left of records that were perhaps written before the start. Behind the first that was not, all count."""
        if self._since is None:
            return records
        for index, record in enumerate(records):
            if record.arrived_at >= self._since:
                self._since = None
                return records[index:]
        return []

    async def _new_iterator(self) -> str:
        arn, api, start = self._source.shape.stream_arn, self._source.api, self._start
        if self._last != BEGINNING and not self._trimmed:
            sequence = sequence_number(self._last)
            grant = await api.get_shard_iterator(arn, self._shard, "AFTER_SEQUENCE_NUMBER", sequence_number=sequence)
        elif self._last == BEGINNING and start.type in {"LATEST", "AT_TIMESTAMP"} and start.timestamp is None:
            grant = await api.get_shard_iterator(arn, self._shard, "LATEST")  # closed before the boundary: its end
        else:
            grant = await api.get_shard_iterator(arn, self._shard, "TRIM_HORIZON")
            if self._last == BEGINNING:
                self._since = start.timestamp
        return grant.iterator
