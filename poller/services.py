"""The calls of AWS services that adapters make: typed values in and out, our errors.

`poller.apis` has each of them over aiobotocore and in memory; one contract suite a service runs on both. No method retries; all
raise `poller.errors.Unavailable`, or what they name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, Protocol, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.core.model import ShardId, TooLarge
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
    """An answer of GetRecords.

    Attributes:
        next_iterator: None ends the shard.
        behind: MillisBehindLatest, in seconds.
        children: the shards that go on where this one ended, with all their parents; only with its end, and not from all servers.
    """

    records: Sequence[KinesisRecord]
    next_iterator: str | None
    behind: float
    children: tuple[KinesisShard, ...] = ()


KinesisIteratorType = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"]


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
        """GetShardIterator. `sequence_number` with AT_ and AFTER_SEQUENCE_NUMBER, `timestamp` with AT_TIMESTAMP.

        Where retention has taken that record AWS goes on with the oldest one, and does not say so; there are servers that say
        `SourceGone`, as they do where there is no such shard.
        """

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """GetRecords. Raises `IteratorExpired`, `SourceGone`."""

    async def put_record(self, stream_arn: str, partition_key: str, data: bytes) -> None:
        """PutRecord. Returns when the stream has the record. Raises `SourceGone`; of too large a record `Unavailable`, `other`.

        A record that is put again after a lost answer is there twice.
        """


class DynamoDbChange(TypedDict):
    """What happened to an item. Attribute values are in DynamoDB's JSON: numbers are strings, binary is base64."""

    ApproximateCreationDateTime: float
    Keys: dict[str, dict[str, object]]
    NewImage: NotRequired[dict[str, dict[str, object]]]
    OldImage: NotRequired[dict[str, dict[str, object]]]
    SequenceNumber: str
    SizeBytes: int
    StreamViewType: str


class DynamoDbIdentity(TypedDict):
    """Who changed an item: told only where that was DynamoDB itself, whose time to live ran out."""

    PrincipalId: str
    Type: str


class DynamoDbRecord(TypedDict):
    """A record as GetRecords of DynamoDB Streams answers it; the time stays a number of seconds."""

    eventID: str
    eventName: str
    eventVersion: str
    eventSource: str
    awsRegion: str
    dynamodb: DynamoDbChange
    userIdentity: NotRequired[DynamoDbIdentity]


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDbShard:
    """A shard as DescribeStream answers it; `closed`: no record will be added to it any more."""

    id: ShardId
    parent: ShardId | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDbIterator:
    """A shard iterator, good for fifteen minutes, and the server's own time (Unix seconds) when it was made."""

    iterator: str
    server_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDbPage:
    """An answer of GetRecords: `next_iterator` None ends the shard."""

    records: Sequence[DynamoDbRecord]
    next_iterator: str | None


DynamoDbIteratorType = Literal["TRIM_HORIZON", "LATEST", "AFTER_SEQUENCE_NUMBER"]


class DynamoDbStreamsApi(Protocol):
    """The calls of DynamoDB Streams that a mapping makes. The same holds for them."""

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """DescribeStream, without its shards. Raises `SourceGone`."""

    async def list_shards(self, stream_arn: str) -> tuple[DynamoDbShard, ...]:
        """DescribeStream, the shards of all pages. Raises `SourceGone`."""

    async def get_shard_iterator(
        self, stream_arn: str, shard: ShardId, kind: DynamoDbIteratorType, *, sequence_number: str | None = None
    ) -> DynamoDbIterator:
        """GetShardIterator. `sequence_number` with AFTER_SEQUENCE_NUMBER. Raises `DataTrimmed`, `SourceGone`."""

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> DynamoDbPage:
        """GetRecords, of 1 to 1,000. Raises `DataTrimmed`, `IteratorExpired`, `SourceGone`."""


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


class InGroup(NamedTuple):
    """Where a message belongs in a FIFO queue: MessageGroupId, and MessageDeduplicationId."""

    group: str
    deduplication: str


class SqsApi(Protocol):
    """The calls of SQS that the poller makes. No method retries; all raise `Unavailable`, or what they name."""

    async def send_message(
        self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None, place: InGroup | None = None
    ) -> None:
        """SendMessage. Returns when the queue has the message. Raises `SourceGone` where there is no such queue.

        `place` is for FIFO queues, which ask for it.
        """

    async def describe_queue(self, queue_arn: str) -> QueueDescription:
        """GetQueueAttributes. Raises `SourceGone`."""

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """ReceiveMessage, with all attributes. Raises `SourceGone`; too many in flight (`OverLimit`) is `Unavailable`."""

    async def delete_messages(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """DeleteMessageBatch of 1 to 10. An entry that the answer does not name has failed. Raises `SourceGone`."""

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """ChangeMessageVisibilityBatch of 1 to 10, all to the same time from now. The same failures. Raises `SourceGone`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to be sent as another one was.

    Attributes:
        group: MessageGroupId; None: none.
        deduplication: MessageDeduplicationId, which only FIFO queues take; None: none.
        trace: AWSTraceHeader; None: none.
    """

    body: str
    attributes: Mapping[str, SqsAttribute] = field(default_factory=dict)
    group: str | None = None
    deduplication: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTask:
    """How far SQS itself is with moving a dead-letter queue's messages.

    Attributes:
        handle: names it while it runs; afterwards empty.
        status: RUNNING, COMPLETED, CANCELLING, CANCELLED or FAILED.
        moved: messages, about.
        in_all: messages that there were to move, about; None where the service does not know.
        reason: why it failed; empty where it did not.
    """

    handle: str
    status: str
    moved: int
    in_all: int | None = None
    reason: str = ""


class DeadLetterApi(SqsApi, Protocol):
    """The calls of SQS that an operator's commands make beside those of a mapping. The same holds for them."""

    async def send_messages(self, queue_arn: str, messages: Sequence[Outgoing]) -> tuple[str | EntryFailure, ...]:
        """SendMessageBatch of 1 to 10. Of each message its new id, or why the queue has not taken it. Raises `SourceGone`.

        A FIFO queue answers with the id of the *earlier* message where it drops one as a duplicate.
        """

    async def dead_letter_sources(self, queue_arn: str) -> tuple[str, ...]:
        """ListDeadLetterSourceQueues, all pages: the ARNs of the queues that name this one in their redrive policy."""

    async def purge_queue(self, queue_arn: str) -> None:
        """PurgeQueue: all messages, those in flight too. The service takes up to a minute, and allows one a minute."""

    async def start_move(self, queue_arn: str, destination_arn: str, rate: int | None) -> str:
        """StartMessageMoveTask of all messages, `rate` a second (1 to 500; None: as SQS sees fit). Returns its handle."""

    async def move_tasks(self, queue_arn: str) -> tuple[MoveTask, ...]:
        """ListMessageMoveTasks of a queue, the latest first."""

    async def cancel_move(self, queue_arn: str, handle: str) -> None:
        """CancelMessageMoveTask. What was moved stays moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaInvoke:
    """What an Invoke asks for.

    Attributes:
        function_name: a name, a partial ARN or an ARN, with or without a qualifier.
        qualifier: a version or an alias, where the name has none.
        payload: JSON, 6 MB at the most.
        tail: whether the end of the log is to come back.
    """

    function_name: str
    payload: bytes
    qualifier: str | None = None
    tail: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaAnswer:
    """An answer of Invoke.

    Attributes:
        payload: what the function answered, or its error object.
        size: of the payload, where that is larger than any function may answer and so is not all here; else 0.
        function_error: `Handled` or `Unhandled` where the function failed, else None.
        log: the end of its log, 4 KB at the most; empty where it was not asked for.
    """

    payload: bytes
    size: int = 0
    function_error: str | None = None
    log: bytes = b""


@dataclass(frozen=True, slots=True)
class LambdaLost:
    """The request was sent and no whole answer came: the function may have run. `detail`: one line for the log."""

    detail: str


class LambdaApi(Protocol):
    """The calls of Lambda that an executor makes. No method retries; all raise `Unavailable`, or what they name."""

    async def invoke(self, request: LambdaInvoke, patience: float) -> LambdaAnswer | LambdaLost | TooLarge:
        """Invoke, RequestResponse. The whole answer has to come within `patience` seconds; raises `TimeoutError`.

        Other than with the other Apis, a call whose answer was lost is no `Unavailable`: that is raised only where the function
        did not run. Raises `SourceGone` where there is no such function.
        """


class SnsApi(Protocol):
    """The call of SNS that the poller makes. It does not retry, and raises `Unavailable`, or what it names."""

    async def publish(self, topic_arn: str, message: str, attributes: Mapping[str, SqsAttribute] | None = None) -> None:
        """Publish. Returns when the topic has the message. Raises `SourceGone` where there is no such topic."""


class S3Api(Protocol):
    """The call of S3 that the poller makes. It does not retry, and raises `Unavailable`, or what it names."""

    async def put_object(self, bucket: str, key: str, body: bytes) -> None:
        """PutObject. Returns when the bucket has the object. Raises `SourceGone` where there is no such bucket."""
