"""The calls of AWS services that adapters make: typed values in and out, our errors.

`poller.apis` has each of them over aiobotocore and in memory; one contract suite a service runs on both. No method retries; all
raise `poller.errors.Unavailable`, or what they name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NotRequired, Protocol, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.core.model import ShardId
    from poller.ports import EntryFailure, QueueDescription, StreamDescription


class KinesisRecord(TypedDict):
    """A record as GetRecords answers it; `Data` stays base64, the timestamp stays a number of seconds."""

    SequenceNumber: str
    ApproximateArrivalTimestamp: float
    Data: str
    PartitionKey: NotRequired[str]
    EncryptionType: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisShard:
    """A shard as ListShards answers it."""

    id: ShardId
    parents: tuple[ShardId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisIterator:
    """A shard iterator, good for five minutes, and the server's own time (Unix seconds) when it was made."""

    iterator: str
    server_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisPage:
    """An answer of GetRecords: `next_iterator` None ends the shard; `behind` is MillisBehindLatest in seconds."""

    records: Sequence[KinesisRecord]
    next_iterator: str | None
    behind: float


KinesisIteratorType = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "AFTER_SEQUENCE_NUMBER"]


class KinesisApi(Protocol):
    """The calls of Kinesis that a mapping makes. No method retries; all raise `Unavailable`, or what they name."""

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """DescribeStreamSummary. Raises `SourceGone`."""

    async def list_shards(self, stream_arn: str) -> tuple[KinesisShard, ...]:
        """ListShards, all pages. Raises `SourceGone`."""

    async def get_shard_iterator(
        self,
        stream_arn: str,
        shard: ShardId,
        kind: KinesisIteratorType,
        *,
        sequence_number: str | None = None,
        timestamp: float | None = None,
    ) -> KinesisIterator:
        """GetShardIterator. `sequence_number` with AFTER_SEQUENCE_NUMBER, `timestamp` with AT_TIMESTAMP. Raises `SourceGone`."""

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """GetRecords. Raises `IteratorExpired`, `SourceGone`."""


class SqsAttribute(TypedDict):
    """A message attribute as SQS spells it; binary values are base64."""

    DataType: str
    StringValue: NotRequired[str]
    BinaryValue: NotRequired[str]


class SqsMessage(TypedDict):
    """A message as ReceiveMessage answers it. `Attributes` are the system's: all strings, times in milliseconds."""

    MessageId: str
    ReceiptHandle: str
    Body: str
    MD5OfBody: str
    Attributes: NotRequired[dict[str, str]]
    MessageAttributes: NotRequired[dict[str, SqsAttribute]]
    MD5OfMessageAttributes: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    """What a ReceiveMessage asks for.

    Attributes:
        limit: messages, 1 to 10, at the most.
        wait: seconds (0 to 20) to wait for the first one.
        visibility: seconds for which they are hidden.
        attempt_id: ReceiveRequestAttemptId, for FIFO queues: a repeated receive gets what the lost answer held. None: none.
    """

    limit: int
    wait: int
    visibility: int
    attempt_id: str | None = None


class SqsApi(Protocol):
    """The calls of SQS that the poller makes. No method retries; all raise `Unavailable`, or what they name."""

    async def send_message(self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None) -> None:
        """SendMessage. Returns when the queue has the message. Raises `SourceGone` where there is no such queue."""

    async def describe_queue(self, queue_arn: str) -> QueueDescription:
        """GetQueueAttributes. Raises `SourceGone`."""

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """ReceiveMessage, with all attributes. Raises `SourceGone`; too many in flight (`OverLimit`) is `Unavailable`."""

    async def delete_messages(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """DeleteMessageBatch of 1 to 10. An entry that the answer does not name has failed. Raises `SourceGone`."""

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """ChangeMessageVisibilityBatch of 1 to 10, all to the same time from now. The same failures. Raises `SourceGone`."""
