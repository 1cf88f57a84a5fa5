"""The other side of a test: makes streams and queues on a server, puts records, reads what arrived.

Goes through aiobotocore as it comes, not through `poller.apis`, so that the two check each other.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from poller.services import SqsAttribute

REGION = "us-east-1"
ACCOUNT = "000000000000"

AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a process needs to talk to a test server, and to nothing else."""

PATIENCE = 10.0
"""Seconds that a server gets for what it does in the background."""

APART = 2.0
"""Seconds between two creation times that nobody takes for one time told twice."""

MAX_PUT = 500
"""Records of one PutRecords, at the most."""

_session: Any = AioSession()  # one for all: it keeps the service models, which take long to read


@asynccontextmanager
async def client(service: str, url: str) -> AsyncIterator[Any]:
    """A plain aiobotocore client with dummy credentials."""
    making = _session.create_client(
        service, region_name=REGION, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
    )
    async with making as made:
        yield made


@asynccontextmanager
async def streams(url: str) -> AsyncIterator[Streams]:
    """Kinesis on the server at this URL."""
    async with client("kinesis", url) as made:
        yield Streams(made)


@asynccontextmanager
async def queues(url: str) -> AsyncIterator[Queues]:
    """SQS on the server at this URL."""
    async with client("sqs", url) as made:
        yield Queues(made)


@asynccontextmanager
async def tables(url: str) -> AsyncIterator[Tables]:
    """DynamoDB on the server at this URL."""
    async with client("dynamodb", url) as made:
        yield Tables(made)


async def until(ready: Callable[[Any], bool], ask: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Asks a server until its answer is as wanted, and returns it. Fails with the last answer after `patience` seconds."""
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        answer = await ask()
        if ready(answer):
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"after {patience} s the server still answers {answer}")
        await asyncio.sleep(0.01)


class WallClock:
    """The `Clock` of servers on this machine."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Streams:
    """Kinesis on a server. Streams are named by ARN."""

    def __init__(self, made: Any) -> None:
        self._client = made

    async def create(self, name: str, shards: int = 1) -> str:
        """Makes a stream; returns its ARN once it can be used."""
        await self._client.create_stream(StreamName=name, ShardCount=shards)
        arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
        await self._active(arn)
        return arn

    async def delete(self, arn: str) -> None:
        """Returns once the stream is gone."""
        await self._client.delete_stream(StreamARN=arn)
        await until(lambda exists: not exists, lambda: self._exists(arn))

    async def created_at(self, arn: str) -> float:
        """When the stream was made, in Unix seconds, as coarse as the service tells it."""
        summary = (await self._client.describe_stream_summary(StreamARN=arn))["StreamDescriptionSummary"]
        created: float = summary["StreamCreationTimestamp"].timestamp()
        return created

    async def make_anew(self, arn: str, than: float) -> None:
        """Makes a deleted stream again, so much later than `than`, when the first was made, that their times tell them apart.

        A real stream takes longer than that to be deleted; the servers of tests do it in no time.
        """
        await self.create(arn.rpartition("/")[2])
        while await self.created_at(arn) < than + APART:
            await self.delete(arn)
            await asyncio.sleep(0.1)
            await self.create(arn.rpartition("/")[2])

    async def put(self, arn: str, key: str, data: bytes) -> tuple[str, str]:
        """Puts one record. Returns its shard and sequence number."""
        answer = await self._client.put_record(StreamARN=arn, PartitionKey=key, Data=data)
        return answer["ShardId"], answer["SequenceNumber"]

    async def put_many(self, arn: str, records: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
        """Puts (partition key, data) pairs in order. Returns their shards and sequence numbers."""
        put: list[tuple[str, str]] = []
        for start in range(0, len(records), MAX_PUT):
            entries = [{"PartitionKey": key, "Data": data} for key, data in records[start : start + MAX_PUT]]
            answer = await self._client.put_records(StreamARN=arn, Records=entries)
            assert answer["FailedRecordCount"] == 0, answer
            put += [(entry["ShardId"], entry["SequenceNumber"]) for entry in answer["Records"]]
        return put

    async def split(self, arn: str, shard: str) -> None:
        """Splits a shard in the middle of its hash keys; returns once that is done."""
        keys = (await self._shards(arn))[shard]["HashKeyRange"]
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"])) // 2 + 1
        await self._client.split_shard(StreamARN=arn, ShardToSplit=shard, NewStartingHashKey=str(middle))
        await self._active(arn)

    async def merge(self, arn: str, shard: str, adjacent: str) -> None:
        """Merges two neighbours; returns once that is done."""
        await self._client.merge_shards(StreamARN=arn, ShardToMerge=shard, AdjacentShardToMerge=adjacent)
        await self._active(arn)

    async def _shards(self, arn: str) -> dict[str, Any]:
        return {shard["ShardId"]: shard for shard in (await self._client.list_shards(StreamARN=arn))["Shards"]}

    async def _active(self, arn: str) -> None:
        def active(answer: Any) -> bool:
            return bool(answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE")

        await until(active, lambda: self._client.describe_stream_summary(StreamARN=arn))

    async def _exists(self, arn: str) -> bool:
        try:
            await self._client.describe_stream_summary(StreamARN=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return False
        return True


class Tables:
    """DynamoDB on a server. Tables are named by the ARN of their stream; items are in its JSON, binary values are bytes."""

    def __init__(self, made: Any) -> None:
        self._client = made

    async def create(self, name: str, key: Sequence[str] = ("id",), view: str = "NEW_AND_OLD_IMAGES") -> str:
        """Makes a table with a stream; returns the stream's ARN. Its keys are strings: one to hash, and perhaps one to sort."""
        kinds = ("HASH", "RANGE")
        made = await self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": each, "KeyType": kind} for each, kind in zip(key, kinds, strict=False)],
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in key],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )
        arn: str = made["TableDescription"]["LatestStreamArn"]
        return arn

    async def put(self, arn: str, item: Mapping[str, Any]) -> None:
        """Writes a whole item."""
        await self._client.put_item(TableName=table_of(arn), Item=item)

    async def remove(self, arn: str, key: Mapping[str, Any]) -> None:
        """Takes an item away."""
        await self._client.delete_item(TableName=table_of(arn), Key=key)

    async def stop_stream(self, arn: str) -> None:
        """Ends the table's stream; what it holds can be read on."""
        await self._client.update_table(TableName=table_of(arn), StreamSpecification={"StreamEnabled": False})


def table_of(stream_arn: str) -> str:
    """The name in the ARN of a table's stream."""
    return stream_arn.split("/")[1]


class Queues:
    """SQS on a server. Queues are named by ARN."""

    def __init__(self, made: Any) -> None:
        self._client = made
        self._urls: dict[str, str] = {}

    async def create(self, name: str, attributes: Mapping[str, str] | None = None) -> str:
        """Makes a queue; returns its ARN. A name that ends with `.fifo` makes a FIFO queue."""
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        kind = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self._urls[arn] = (await self._client.create_queue(QueueName=name, Attributes={**kind, **(attributes or {})}))["QueueUrl"]
        return arn

    async def send(
        self,
        arn: str,
        body: str,
        attributes: Mapping[str, SqsAttribute] | None = None,
        *,
        group: str | None = None,
        deduplication: str | None = None,
    ) -> str:
        """Sends a message; returns its id.

        To a FIFO queue with a group, and a deduplication id; None: a new one; an empty one: none.
        """
        identity = str(uuid.uuid4()) if deduplication is None else deduplication
        more: dict[str, Any] = {} if group is None else {"MessageGroupId": group}
        if group is not None and identity:
            more["MessageDeduplicationId"] = identity
        if attributes:
            more["MessageAttributes"] = {name: _to_send(given) for name, given in attributes.items()}
        answer = await self._client.send_message(QueueUrl=self._urls[arn], MessageBody=body, **more)
        return str(answer["MessageId"])

    async def send_many(self, arn: str, bodies: Sequence[str], groups: Sequence[str] | None = None) -> None:
        """Sends messages in order, ten at a time; to a FIFO queue with the group of each."""
        entries: list[dict[str, str]] = [{"Id": str(number % 10), "MessageBody": body} for number, body in enumerate(bodies)]
        for entry, group in zip(entries, groups or (), strict=groups is not None):
            entry |= {"MessageGroupId": group, "MessageDeduplicationId": str(uuid.uuid4())}
        for start in range(0, len(entries), 10):
            answer = await self._client.send_message_batch(QueueUrl=self._urls[arn], Entries=entries[start : start + 10])
            assert not answer.get("Failed"), answer

    async def receive(self, arn: str, *, wait: int = 0, visibility: int = 30) -> list[Any]:
        """One receive: messages with all that they carry, which stay in the queue."""
        answer = await self._client.receive_message(
            QueueUrl=self._urls[arn],
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    async def discard(self, arn: str, messages: Sequence[Any]) -> None:
        """Takes messages out that were received."""
        entries = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(messages)]
        answer = await self._client.delete_message_batch(QueueUrl=self._urls[arn], Entries=entries)
        assert not answer.get("Failed"), answer

    async def delete(self, arn: str) -> None:
        """Takes the queue away."""
        await self._client.delete_queue(QueueUrl=self._urls[arn])

    async def depth(self, arn: str) -> int:
        """How many messages are in the queue, whether or not somebody holds them."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._client.get_queue_attributes(QueueUrl=self._urls[arn], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    async def take(self, arn: str, count: int) -> list[str]:
        """Takes `count` messages out and returns their bodies as they came; waits for them."""
        bodies: list[str] = []
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while len(bodies) < count:
            assert asyncio.get_running_loop().time() < deadline, f"{len(bodies)} of {count} messages after {PATIENCE} s"
            answer = await self._client.receive_message(QueueUrl=self._urls[arn], MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                await self._client.delete_message(QueueUrl=self._urls[arn], ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        return bodies


def redriving(dead_letters: str, after: int) -> dict[str, str]:
    """The attribute of a queue whose messages go elsewhere when they were received so often."""
    return {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": after})}


def _to_send(attribute: SqsAttribute) -> dict[str, str | bytes]:
    """As the SDK takes it: with binary values as they are."""
    sent: dict[str, str | bytes] = {name: str(value) for name, value in attribute.items()}
    if "BinaryValue" in attribute:
        sent["BinaryValue"] = base64.b64decode(attribute["BinaryValue"])
    return sent


def encoded(data: bytes) -> str:
    """Data as GetRecords spells it."""
    return base64.b64encode(data).decode()
