"""Kinesis through aiobotocore."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from poller.apis.errors import CALL_TIMEOUT, Call, perform
from poller.core.model import ShardId, StreamId
from poller.ports import StreamDescription
from poller.services import KinesisIterator, KinesisPage, KinesisShard

if TYPE_CHECKING:
    from poller.apis.sdk import Json, Sdk
    from poller.ports import Clock
    from poller.services import KinesisIteratorType


class BotoKinesisApi:
    """`KinesisApi` over a client of `AwsClients`.

    Every call that may names its stream by ARN, so that botocore's endpoint rules can find the account's own endpoint.
    """

    def __init__(self, client: Sdk, clock: Clock, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._clock = clock
        self._timeout = call_timeout

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """See `KinesisApi.describe_stream`."""
        request = self._client.describe_stream_summary(StreamARN=stream_arn)
        call = Call("DescribeStreamSummary", stream_arn)
        return await perform(call, request, lambda answer: _description(stream_arn, answer), self._timeout)

    async def list_shards(self, stream_arn: str) -> tuple[KinesisShard, ...]:
        """See `KinesisApi.list_shards`."""
        shards: list[KinesisShard] = []
        page: dict[str, str] = {"StreamARN": stream_arn}
        while page:
            found, token = await perform(Call("ListShards", stream_arn), self._client.list_shards(**page), _shards, self._timeout)
            shards += found
            page = {"NextToken": token} if token else {}  # the token stands for the stream: to name both is an error
        return tuple(shards)

    async def get_shard_iterator(
        self,
        stream_arn: str,
        shard: ShardId,
        kind: KinesisIteratorType,
        *,
        sequence_number: str | None = None,
        timestamp: float | None = None,
    ) -> KinesisIterator:
        """See `KinesisApi.get_shard_iterator`. A timestamp counts in whole milliseconds, rounded down."""
        start: dict[str, str | datetime] = {}
        if sequence_number is not None:
            start["StartingSequenceNumber"] = sequence_number
        if timestamp is not None:
            start["Timestamp"] = _milliseconds(timestamp)
        request = self._client.get_shard_iterator(StreamARN=stream_arn, ShardId=shard, ShardIteratorType=kind, **start)
        call = Call("GetShardIterator", f"{stream_arn} {shard}")
        return await perform(call, request, self._iterator, self._timeout)

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """See `KinesisApi.get_records`."""
        request = self._client.get_records(StreamARN=stream_arn, ShardIterator=iterator, Limit=limit)
        return await perform(Call("GetRecords", stream_arn), request, _page, self._timeout)

    async def put_record(self, stream_arn: str, partition_key: str, data: bytes) -> None:
        """See `KinesisApi.put_record`."""
        request = self._client.put_record(StreamARN=stream_arn, PartitionKey=partition_key, Data=data)
        await perform(Call("PutRecord", stream_arn), request, lambda answer: answer["SequenceNumber"], self._timeout)

    def _iterator(self, answer: Json) -> KinesisIterator:
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date).timestamp() if date else self._clock.time()
        return KinesisIterator(iterator=answer["ShardIterator"], server_time=now)


def _description(stream_arn: str, answer: Json) -> StreamDescription:
    summary = answer["StreamDescriptionSummary"]
    created_at = float(summary["StreamCreationTimestamp"])
    return StreamDescription(
        id=StreamId(arn=stream_arn, created_at=created_at), retention=summary["RetentionPeriodHours"] * 3600.0
    )


def _shards(answer: Json) -> tuple[list[KinesisShard], str | None]:
    return [_shard(entry) for entry in answer["Shards"]], answer.get("NextToken")


def _shard(entry: Json) -> KinesisShard:
    parents = (entry.get("ParentShardId"), entry.get("AdjacentParentShardId"))
    return KinesisShard(id=ShardId(entry["ShardId"]), parents=tuple(ShardId(parent) for parent in parents if parent))


def _page(answer: Json) -> KinesisPage:
    """Strict: an answer that lost its members must not look like the end of the shard."""
    records = answer["Records"]
    if not isinstance(records, list):
        raise TypeError("Records is not a list")
    behind = answer["MillisBehindLatest"] / 1000.0
    following = answer.get("NextShardIterator") or None
    children = () if following else tuple([_child(entry) for entry in answer.get("ChildShards") or ()])
    return KinesisPage(records=records, next_iterator=following, behind=behind, children=children)


def _child(entry: Json) -> KinesisShard:
    return KinesisShard(id=ShardId(entry["ShardId"]), parents=tuple(ShardId(parent) for parent in entry["ParentShards"]))


def _milliseconds(timestamp: float) -> datetime:
    return datetime.fromtimestamp(int(timestamp * 1000) // 1000, UTC).replace(microsecond=int(timestamp * 1000) % 1000 * 1000)
