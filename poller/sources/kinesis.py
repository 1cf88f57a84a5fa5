"""Kinesis Data Streams: raw records to Lambda's event shape, and a reader that no expired iterator can lead astray."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import floor
from typing import TYPE_CHECKING, Final

import orjson

from poller.core.model import BEGINNING, SEQUENCE_DIGITS, Record, Shard, Start, position, sequence_number
from poller.errors import CheckpointMismatch, SourceGone
from poller.ports import Page
from poller.sources.iterators import HeldIterator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poller.core.model import Position, ShardId
    from poller.ports import Clock, StreamDescription
    from poller.services import KinesisApi, KinesisIterator, KinesisPage, KinesisRecord, KinesisShard
    from poller.sources.pace import ReadPace

READ_LIMIT: Final = 1_000
"""Records of one GetRecords, whatever the batch size: larger answers cost more for each record."""

BUSY_PAUSE: Final = 0.25
IDLE_PAUSE: Final = 1.0
"""Seconds to leave a shard alone after a read with records, and after one without. While records come and more are left there is
no pause but the limit of five reads a second; an empty page far from the tip is no reason to idle."""

KEPT_KEYS: Final = 10_000
"""Partition keys whose encoded form a reader keeps at the most."""

ITERATOR_LIFE: Final = 280.0
"""Seconds for which an iterator is trusted; the service lets it live for 300."""


# ---------------------------------------------------------------------------------------------------------------- pure top half


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisShape:
    """What every event of one mapping has in common.

    Attributes:
        stream_arn: `eventSourceARN`.
        region: `awsRegion`.
        role_arn: `invokeIdentityArn`: there is no role here, so it names the function.
    """

    stream_arn: str
    region: str
    role_arn: str


new_record: Callable[[tuple[object, ...]], Record] = partial(tuple.__new__, Record)
"""A Record of all its members, in their order, for half of what its constructor takes."""


class KinesisFormat:
    """Makes Records: the event is encoded once, by joining, because all of its keys and most of its values are known.

    The order of keys is Lambda's. `Data` is base64 and a sequence number digits, so neither needs escaping.
    """

    def __init__(self, shape: KinesisShape, shard: ShardId) -> None:
        self._heads: dict[str, str] = {}
        self._event = '},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"' + _text(shard)[1:-1] + ":"
        self._after = (
            f'","eventName":"aws:kinesis:record","invokeIdentityArn":{_text(shape.role_arn)},"awsRegion":{_text(shape.region)},'
            f'"eventSourceARN":{_text(shape.stream_arn)}}}'
        )

    def record(self, raw: KinesisRecord, received_at: float) -> Record:
        """A raw record in the shape that a function sees. `received_at` is in Unix seconds."""
        return self.records((raw,), received_at)[0]

    def records(self, raws: Sequence[KinesisRecord], received_at: float) -> list[Record]:
        """The same for a page. What runs for every record is lean: it is a fifth of all that a record costs."""
        heads, plain, after, number = self._heads, self._event, self._after, orjson.dumps
        records = []
        for raw in raws:
            sequence, arrived_at, key = raw["SequenceNumber"], raw["ApproximateArrivalTimestamp"], raw.get("PartitionKey", "")
            head = heads.get(key) or self._head(key)
            event = plain if raw.get("EncryptionType", "NONE") == "NONE" else self._encrypted(raw)
            payload = (
                f'{head}{sequence}","data":"{raw["Data"]}","approximateArrivalTimestamp":{number(arrived_at).decode()}'
                f"{event}{sequence}{after}"
            )
            records.append(new_record((sequence, position(sequence), arrived_at, payload.encode(), key, received_at, "", 1)))
        return records

    def _head(self, key: str) -> str:
        """The event up to the sequence number; kept, because keys come again."""
        if len(self._heads) >= KEPT_KEYS:
            self._heads.clear()
        head = '{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":' + _text(key) + ',"sequenceNumber":"'
        self._heads[key] = head
        return head

    def _encrypted(self, raw: KinesisRecord) -> str:
        return f',"encryptionType":{_text(raw["EncryptionType"])}{self._event}'


def _text(value: str | float) -> str:
    return orjson.dumps(value).decode()


def later(one: Position, other: Position) -> bool:
    """Whether it is another record than the other's, and behind it: what shares its sequence number is the same record."""
    return one[:SEQUENCE_DIGITS] > other[:SEQUENCE_DIGITS]


def shards_of(shards: Sequence[KinesisShard]) -> tuple[Shard, ...]:
    """As everybody else knows them."""
    return tuple([Shard(id=shard.id, parents=shard.parents) for shard in shards])


def pause_after(count: int, behind: float) -> float:
    """Seconds to leave a shard alone after a read of so many records that ended so many seconds behind the tip."""
    if behind > 0:
        return 0.0 if count else BUSY_PAUSE
    return BUSY_PAUSE if count else IDLE_PAUSE


# --------------------------------------------------------------------------------------------------------------------- IO half


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisSource:
    """A `StreamSource` over one stream.

    Attributes:
        pace: the limit of reads per shard, shared by all mappings of the process.
        latest: iterators made at a LATEST boundary, used by the first reader of the shard: exact, while they last.
    """

    api: KinesisApi
    shape: KinesisShape
    pace: ReadPace
    clock: Clock
    latest: dict[ShardId, KinesisIterator] = field(default_factory=dict)

    async def describe(self) -> StreamDescription:
        """See `StreamSource.describe`."""
        return await self.api.describe_stream(self.shape.stream_arn)

    async def shards(self) -> tuple[Shard, ...]:
        """See `StreamSource.shards`."""
        return shards_of(await self.api.list_shards(self.shape.stream_arn))

    async def boundary(self, shard: ShardId) -> Start:
        """See `StreamSource.boundary`: the iterator is kept for this process, its time for a later one.

        The time is rounded down as arrival times are, or a record of the same millisecond would lie before it.
        """
        grant = self.latest[shard] = await self.api.get_shard_iterator(self.shape.stream_arn, shard, "LATEST")
        return Start(type="LATEST", timestamp=floor(grant.server_time * 1000) / 1000)

    def reader(self, shard: ShardId, start: Start) -> KinesisReader:
        """See `StreamSource.reader`."""
        return KinesisReader(self, shard, start)


class KinesisReader:
    """A `ShardReader`. An expired iterator is replaced by one at the last record that this reader *read*.

    At that record and not after it, because Kinesis does not say when retention has taken it: then another one comes first.
    """

    def __init__(self, source: KinesisSource, shard: ShardId, start: Start) -> None:
        self._source = source
        self._shard = shard
        self._start = start
        self._format = KinesisFormat(source.shape, shard)
        self._last: Position = start.position
        self._anchored = False
        first = source.latest.pop(shard, None) if start.type == "LATEST" else None
        self._iterator = HeldIterator(source.clock, ITERATOR_LIFE, first.iterator if first is not None else None)

    async def read(self) -> Page:
        """See `ShardReader.read`."""
        return self._page(await self._iterator.read(self._new_iterator, self._ask))

    async def _ask(self, iterator: str) -> KinesisPage:
        arn, source = self._source.shape.stream_arn, self._source
        await source.pace.turn(arn, self._shard)
        return await source.api.get_records(arn, iterator, READ_LIMIT)

    def _page(self, answer: KinesisPage) -> Page:
        now = self._source.clock.time()
        read = self._format.records(answer.records, now)
        records = tuple(read if not read or read[0].position > self._last else [r for r in read if r.position > self._last])
        asked_for, trimmed = self._anchor(read, answer)
        if records:
            self._last = records[-1].position
        return Page(
            records=records,
            repeated=len(read) - len(records) - asked_for,
            ended=answer.next_iterator is None,
            behind=answer.behind,
            size=sum([len(raw["Data"]) for raw in answer.records]) * 3 // 4,
            pause=pause_after(len(read) - asked_for, answer.behind),
            children=shards_of(answer.children),
            trimmed=trimmed,
        )

    def _anchor(self, read: Sequence[Record], answer: KinesisPage) -> tuple[int, bool]:
        """How many records come again because a new iterator begins at the last one read; and whether that one is gone.

        Not before a page holds records, or there are none: an empty page far from the tip tells nothing. Raises
        `CheckpointMismatch` where the shard is not there yet: somebody has set a number that is none of its.
        """
        if not self._anchored or not (read or answer.behind <= 0 or answer.next_iterator is None):
            return 0, False
        self._anchored = False
        number, last = sequence_number(self._last), self._last
        if read and later(last, read[-1].position):  # all of it would be left out, and what comes next as well
            raise CheckpointMismatch(
                f"{self._shard} has records before the checkpoint's sequence number {number} and not that one: it is none of "
                "this shard. Set another one: poller checkpoint set MAPPING SHARD POSITION"
            )
        asked_for = sum(1 for record in read if record.id == number and record.position <= last)
        return asked_for, not read or later(read[0].position, last)

    async def _new_iterator(self) -> str:
        arn, api = self._source.shape.stream_arn, self._source.api
        if self._last != BEGINNING:
            sequence = sequence_number(self._last)
            try:
                grant = await api.get_shard_iterator(arn, self._shard, "AT_SEQUENCE_NUMBER", sequence_number=sequence)
            except SourceGone:  # the shard, or with some servers the record alone
                grant = await api.get_shard_iterator(arn, self._shard, "TRIM_HORIZON")
        elif self._start.timestamp is not None:
            grant = await api.get_shard_iterator(arn, self._shard, "AT_TIMESTAMP", timestamp=self._start.timestamp)
        else:
            grant = await api.get_shard_iterator(arn, self._shard, "TRIM_HORIZON")
        self._anchored = self._last != BEGINNING
        return grant.iterator
