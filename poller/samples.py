"""Sample events, in the exact shape in which Lambda hands them to a function.

They are made by the formatters of `poller.sources`, so they are what a mapping delivers. The same wishes give
the same event: nothing in it is drawn by chance.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID, uuid5

import orjson

from poller.core.envelope import envelope
from poller.core.model import ShardId
from poller.sources.dynamodb import DynamoDbFormat, DynamoDbShape
from poller.sources.kinesis import KinesisFormat, KinesisShape
from poller.sources.sqs import SqsShape, to_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from poller.core.model import Record
    from poller.services import DynamoDbChange, DynamoDbRecord, SqsMessage

ARRIVED_AT: Final = 1_767_225_600.123
"""When the first record arrived, Unix seconds: 2026-01-01; each further one a millisecond later."""

ACCOUNT: Final = "123456789012"
REGION: Final = "eu-west-1"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/lambda-role"
SENDER: Final = "AIDAIENQZJOLO23YVJ4VO"
SHARD: Final = ShardId("shardId-000000000006")
FIRST_SEQUENCE: Final = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
FIRST_FIFO_SEQUENCE: Final = 18_849_496_460_467_696_128
FIRST_DYNAMODB_SEQUENCE: Final = 4_421_584_500_000_000_017_450_439_091
NAMESPACE: Final = UUID("0f2f9a44-5b0c-4d0e-8d6e-6f3a5f0c8a11")

DEFAULT_ARNS: Final = {
    "kinesis": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/orders",
    "sqs": f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders",
    "dynamodb": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-01-01T00:00:00.000",
}
FIFO_SUFFIX: Final = ".fifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        records: how many.
        contents: what they hold, in turn; none: sample orders.
        arn: `eventSourceARN`; None: one that looks like it.
        group: partition key of a stream's records, message group of a FIFO queue's.
        fifo: the queue is a FIFO queue, whatever its ARN says.
    """

    records: int = 1
    contents: tuple[bytes, ...] = ()
    arn: str | None = None
    group: str = "customer-1"
    fifo: bool = False

    def content(self, index: int) -> bytes:
        """What the record of this index holds."""
        if self.contents:
            return self.contents[index % len(self.contents)]
        return orjson.dumps({"id": index + 1, "item": "tea", "quantity": 2})


def kinesis(wish: Wish) -> bytes:
    """An event of a Kinesis stream."""
    arn = wish.arn or DEFAULT_ARNS["kinesis"]
    make = KinesisFormat(KinesisShape(stream_arn=arn, region=_region(arn), role_arn=ROLE), SHARD).record

    def record(index: int) -> Record:
        arrived_at, data = _arrived_at(index), b64encode(wish.content(index)).decode()
        return make(
            {
                "SequenceNumber": str(FIRST_SEQUENCE + index),
                "ApproximateArrivalTimestamp": arrived_at,
                "Data": data,
                "PartitionKey": wish.group,
            },
            arrived_at,
        )

    return envelope([record(index) for index in range(wish.records)])


def sqs(wish: Wish) -> bytes:
    """An event of an SQS queue. Raises `UnicodeDecodeError` for content that is no text."""
    arn = wish.arn or DEFAULT_ARNS["sqs"] + FIFO_SUFFIX * wish.fifo
    shape = SqsShape(queue_arn=arn, region=_region(arn))
    return envelope(
        [to_record(_message(wish, index, fifo=shape.fifo), shape, _arrived_at(index)) for index in range(wish.records)]
    )


def _message(wish: Wish, index: int, *, fifo: bool) -> SqsMessage:
    body, sent = wish.content(index), round(_arrived_at(index) * 1000)
    attributes = {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": str(sent),
        "SenderId": SENDER,
        "ApproximateFirstReceiveTimestamp": str(sent + 2),
    }
    if fifo:
        attributes |= {
            "SequenceNumber": str(FIRST_FIFO_SEQUENCE + 256 * index),
            "MessageGroupId": wish.group,
            "MessageDeduplicationId": hashlib.sha256(body).hexdigest(),  # as queues make it that go by the content
        }
    return {
        "MessageId": str(uuid5(NAMESPACE, f"message {index}")),
        "ReceiptHandle": "AQEB" + b64encode(hashlib.sha512(f"receipt {index}".encode()).digest()).decode(),
        "Body": body.decode(),
        "MD5OfBody": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        "Attributes": attributes,
    }


def dynamodb(wish: Wish) -> bytes:
    """An event of a DynamoDB stream: an insertion, a change and a removal in turn."""
    arn = wish.arn or DEFAULT_ARNS["dynamodb"]
    make = DynamoDbFormat(DynamoDbShape(stream_arn=arn, region=_region(arn))).record
    kinds = islice(cycle(("INSERT", "MODIFY", "REMOVE")), wish.records)
    return envelope([make(_change(index, kind), ARRIVED_AT) for index, kind in enumerate(kinds)])


def _change(index: int, kind: str) -> DynamoDbRecord:
    keys = {"id": {"N": str(101 + index)}}
    new, old = ({"item": {"S": "tea"}, "quantity": {"N": number}} | keys for number in ("3", "2"))
    images = {name: image for name, image, absent in (("NewImage", new, "REMOVE"), ("OldImage", old, "INSERT")) if kind != absent}
    change = {
        "ApproximateCreationDateTime": float(int(ARRIVED_AT)),
        "Keys": keys,
        **images,
        "SequenceNumber": str(FIRST_DYNAMODB_SEQUENCE + index),
        "SizeBytes": _size(keys) + sum(_size(image) for image in images.values()),
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    return {
        "eventID": hashlib.md5(f"change {index}".encode(), usedforsecurity=False).hexdigest(),
        "eventName": kind,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "",
        "dynamodb": cast("DynamoDbChange", change),
    }


def _size(item: Mapping[str, Mapping[str, str]]) -> int:
    """Bytes of an item as DynamoDB counts them: names, texts, and for a short number two."""
    return sum(len(name) + (2 if "N" in value else len(value["S"])) for name, value in item.items())


def _arrived_at(index: int) -> float:
    return round(ARRIVED_AT + index / 1000, 3)


def _region(arn: str) -> str:
    """The fourth part of an ARN; the sample's region where the text has none."""
    return next(iter(arn.split(":")[3:4]), "") or REGION


SOURCES: Final[Mapping[str, Callable[[Wish], bytes]]] = {"kinesis": kinesis, "sqs": sqs, "dynamodb": dynamodb}
