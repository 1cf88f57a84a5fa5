"""DynamoDB Streams through aiobotocore."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from poller.apis.errors import CALL_TIMEOUT, Call, perform
from poller.core.model import ShardId, StreamId
from poller.errors import Unavailable
from poller.ports import StreamDescription
from poller.services import DynamoDbIterator, DynamoDbPage, DynamoDbShard

if TYPE_CHECKING:
    from poller.apis.sdk import Json, Sdk
    from poller.ports import Clock
    from poller.services import DynamoDbIteratorType

RETENTION: Final = 86_400.0
"""Seconds for which the service keeps records: always 24 hours, and no call tells it."""


class BotoDynamoDbStreamsApi:
    """`DynamoDbStreamsApi` over a client of `AwsClients` for the service `dynamodbstreams`."""

    def __init__(self, client: Sdk, clock: Clock, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._clock = clock
        self._timeout = call_timeout

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """See `DynamoDbStreamsApi.describe_stream`."""
        request = self._client.describe_stream(StreamArn=stream_arn, Limit=1)
        return await perform(
            Call("DescribeStream", stream_arn), request, lambda answer: _description(stream_arn, answer), self._timeout
        )

    async def list_shards(self, stream_arn: str) -> tuple[DynamoDbShard, ...]:
        """See `DynamoDbStreamsApi.list_shards`."""
        shards: list[DynamoDbShard] = []
        page: dict[str, str] = {"StreamArn": stream_arn}
        while True:
            request = self._client.describe_stream(**page)
            found, last = await perform(Call("DescribeStream", stream_arn), request, _shards, self._timeout)
            shards += found
            if last is None:
                return tuple(shards)
            if last == page.get("ExclusiveStartShardId"):
                raise Unavailable("DescribeStream", "server", f"{stream_arn}: the pages of its shards do not go beyond {last}")
            page["ExclusiveStartShardId"] = last

    async def get_shard_iterator(
        self, stream_arn: str, shard: ShardId, kind: DynamoDbIteratorType, *, sequence_number: str | None = None
    ) -> DynamoDbIterator:
        """See `DynamoDbStreamsApi.get_shard_iterator`."""
        start = {} if sequence_number is None else {"SequenceNumber": sequence_number}
        request = self._client.get_shard_iterator(StreamArn=stream_arn, ShardId=shard, ShardIteratorType=kind, **start)
        return await perform(Call("GetShardIterator", f"{stream_arn} {shard}"), request, self._iterator, self._timeout)

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> DynamoDbPage:
        """See `DynamoDbStreamsApi.get_records`. The iterator alone says of which stream."""
        request = self._client.get_records(ShardIterator=iterator, Limit=limit)
        return await perform(Call("GetRecords", stream_arn), request, _page, self._timeout)

    def _iterator(self, answer: Json) -> DynamoDbIterator:
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date).timestamp() if date else self._clock.time()
        return DynamoDbIterator(iterator=_text(answer["ShardIterator"]), server_time=now)


def _description(stream_arn: str, answer: Json) -> StreamDescription:
    created_at = float(answer["StreamDescription"]["CreationRequestDateTime"])
    return StreamDescription(id=StreamId(arn=stream_arn, created_at=created_at), retention=RETENTION)


def _shards(answer: Json) -> tuple[list[DynamoDbShard], str | None]:
    """The shards of a page, and the last that was looked at where there is another page."""
    described = answer["StreamDescription"]
    last = described.get("LastEvaluatedShardId")
    return [_shard(entry) for entry in described["Shards"]], None if last is None else _text(last)


def _shard(entry: Json) -> DynamoDbShard:
    name, parent = _text(entry["ShardId"]), entry.get("ParentShardId")
    numbers = entry.get("SequenceNumberRange") or {}
    return DynamoDbShard(
        id=ShardId(name),
        parent=None if parent is None else ShardId(_text(parent)),
        closed="EndingSequenceNumber" in numbers and numbers["EndingSequenceNumber"] is not None,
    )


def _page(answer: Json) -> DynamoDbPage:
    """Strict: an answer that lost its members must not look like the end of the shard, nor a record be without its place."""
    records, following = answer["Records"], answer.get("NextShardIterator")
    if not isinstance(records, list):
        raise TypeError("Records is not a list")
    for record in records:
        _check(record["dynamodb"])
    return DynamoDbPage(records=records, next_iterator=None if following is None else _text(following))


def _check(change: Json) -> None:
    _text(change["SequenceNumber"])
    if not isinstance(change["ApproximateCreationDateTime"], int | float):
        raise TypeError("a record is without its time")
    keys = change["Keys"]
    if not isinstance(keys, dict) or not all(isinstance(value, dict) for value in keys.values()):
        raise TypeError("a record is without its keys")


def _text(value: Sdk) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value
