"""SQS queues: raw messages to Lambda's event shape, and receivers that a lost answer does not lead astray.

Source of the shape: AWS Lambda developer guide, "Using Lambda with Amazon SQS", and recordings of what AWS sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from poller.core.model import BEGINNING, Record
from poller.errors import SourceGone, Unavailable
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.ports import Clock, EntryFailure, QueueDescription, Rng
    from poller.services import SqsApi, SqsAttribute, SqsMessage

ATTEMPT_LIFE: Final = 290.0
"""Seconds for which a receive of a FIFO queue can be repeated under its id; the service allows 300."""

UNSEEN: Final = frozenset({"SqsManagedSseEnabled"})
"""Attributes that functions do not see."""

ORDER: Final = (
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "SentTimestamp",
    "SequenceNumber",
    "MessageGroupId",
    "SenderId",
    "MessageDeduplicationId",
    "ApproximateFirstReceiveTimestamp",
)
"""Attributes in the order in which Lambda's events have them."""


# ---------------------------------------------------------------------------------------------------------------- pure top half


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsShape:
    """What every event of one mapping has in common.

    Attributes:
        queue_arn: `eventSourceARN`.
        region: `awsRegion`.
        windowed: the mapping has a batching window: then Lambda writes a null for the digest of attributes that are not there.
    """

    queue_arn: str
    region: str
    windowed: bool = False

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order of its groups: by its name, as SQS has it."""
        return self.queue_arn.endswith(".fifo")


def to_record(raw: SqsMessage, shape: SqsShape, received_at: float) -> Record:
    """A raw message in the shape that a function sees. `received_at` is in Unix seconds. Run for every message: lean."""
    attributes, given = raw.get("Attributes", {}), raw.get("MessageAttributes")
    event: dict[str, object] = {
        "messageId": raw["MessageId"],
        "receiptHandle": raw["ReceiptHandle"],
        "body": raw["Body"],
        "attributes": {name: attributes[name] for name in _ordered(tuple(attributes))},
        "messageAttributes": {name: _as_seen(each) for name, each in given.items()} if given else {},
    }
    if (digest := raw.get("MD5OfMessageAttributes")) is not None or shape.windowed:
        event["md5OfMessageAttributes"] = digest
    event["md5OfBody"] = raw["MD5OfBody"]
    event["eventSource"] = "aws:sqs"
    event["eventSourceARN"] = shape.queue_arn
    event["awsRegion"] = shape.region
    sent = attributes.get("SentTimestamp")
    return Record(
        id=raw["MessageId"],
        position=BEGINNING,
        arrived_at=received_at if sent is None else int(sent) / 1000,
        payload=bytes(memoryview(orjson.dumps(event))),  # a copy: what orjson returns holds 8 kB, however short it is
        group=attributes.get("MessageGroupId", ""),
        received_at=received_at,
        receipt=raw["ReceiptHandle"],
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
    )


@lru_cache(maxsize=64)
def _ordered(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of attributes that functions see, in their order; those of a queue's messages are mostly the same."""
    known = [name for name in ORDER if name in names]
    return (*known, *[name for name in names if name not in ORDER and name not in UNSEEN])


def _as_seen(attribute: SqsAttribute) -> dict[str, object]:
    """A message attribute in the spelling of events, which always have both lists, and nothing in them."""
    values = {"stringValue": attribute.get("StringValue"), "binaryValue": attribute.get("BinaryValue")}
    return {
        **{key: value for key, value in values.items() if value is not None},
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": attribute["DataType"],
    }


# --------------------------------------------------------------------------------------------------------------- IO bottom half


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsSource:
    """A `QueueSource` over `SqsApi`."""

    api: SqsApi
    shape: SqsShape
    clock: Clock
    rng: Rng

    async def describe(self) -> QueueDescription:
        """See `QueueSource.describe`."""
        return await self.api.describe_queue(self.shape.queue_arn)

    def receiver(self) -> SqsReceiver:
        """See `QueueSource.receiver`."""
        return SqsReceiver(self)

    async def delete(self, records: Sequence[Record]) -> tuple[EntryFailure, ...]:
        """See `QueueSource.delete`."""
        return await self.api.delete_messages(self.shape.queue_arn, [record.receipt for record in records])

    async def hide(self, records: Sequence[Record], seconds: int) -> tuple[EntryFailure, ...]:
        """See `QueueSource.hide`."""
        return await self.api.change_visibility(self.shape.queue_arn, [record.receipt for record in records], seconds)


class SqsReceiver:
    """A `QueueReceiver`. After a lost answer a FIFO queue is asked under the same attempt id, and hands out the same again."""

    def __init__(self, source: SqsSource) -> None:
        self._source = source
        self._attempt: tuple[str, float] | None = None

    async def receive(self, limit: int, wait: int, visibility: int) -> tuple[Record, ...]:
        """See `QueueReceiver.receive`."""
        source, shape = self._source, self._source.shape
        request = Receive(limit=limit, wait=wait, visibility=visibility, attempt_id=self._attempt_id() if shape.fifo else None)
        try:
            answer = await source.api.receive_messages(shape.queue_arn, request)
            now = source.clock.time()
            records = tuple([to_record(raw, shape, now) for raw in answer])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("ReceiveMessage", "server", f"{shape.queue_arn}: unusable message: {error!r}") from error
        except SourceGone:
            self._attempt = None
            raise
        self._attempt = None
        return records

    def _attempt_id(self) -> str:
        """That of the receive whose answer was lost, for as long as SQS remembers it; else a new one."""
        now = self._source.clock.monotonic()
        if self._attempt is None or now > self._attempt[1]:
            self._attempt = str(UUID(int=self._source.rng.getrandbits(128), version=4)), now + ATTEMPT_LIFE
        return self._attempt[0]
