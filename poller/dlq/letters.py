"""A message of a dead-letter queue: what is known of it, and what it becomes when it is sent on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from poller.services import Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.services import SqsMessage

BATCH_INFOS: Final = ("KinesisBatchInfo", "DDBStreamBatchInfo")
"""The section of a failure document that says which records it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDocument:
    """What a mapping of a stream tells of records that it gave up. They themselves are in the stream, while that keeps them.

    Attributes:
        condition: why it gave up.
        first, last: sequence numbers.
        at: when, as the document has it.
        payload: the event, as text; None where the document does not hold it.
    """

    condition: str
    function: str
    stream: str
    shard: str
    first: str
    last: str
    records: int
    at: str
    payload: str | None = None

    @property
    def where(self) -> str:
        """Where the records are."""
        return f"{self.shard} of {self.stream.rpartition('/')[2]}, {self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it was received."""

    raw: SqsMessage

    @property
    def id(self) -> str:
        """MessageId."""
        return self.raw["MessageId"]

    @property
    def receipt(self) -> str:
        """The handle of its last receive."""
        return self.raw["ReceiptHandle"]

    @property
    def body(self) -> str:
        """As it was sent."""
        return self.raw["Body"]

    @property
    def system(self) -> Mapping[str, str]:
        """What SQS says of it."""
        return self.raw.get("Attributes", {})

    @property
    def sent_at(self) -> float:
        """Unix seconds: when its first queue took it; a dead-letter queue's own time where that is a FIFO queue."""
        return _seconds(self.system.get("SentTimestamp"))

    @property
    def first_received_at(self) -> float:
        """Unix seconds."""
        return _seconds(self.system.get("ApproximateFirstReceiveTimestamp"))

    @property
    def receives(self) -> int:
        """How often it was received, this time included."""
        return int(self.system.get("ApproximateReceiveCount", "1"))

    @property
    def group(self) -> str:
        """MessageGroupId; empty: none."""
        return self.system.get("MessageGroupId", "")

    @property
    def source(self) -> str:
        """The ARN of the queue that gave it up; empty where SQS does not say, as of what a mapping has sent."""
        return self.system.get("DeadLetterQueueSourceArn", "")

    @property
    def size(self) -> int:
        """Bytes as SQS counts them: body and message attributes."""
        given = self.raw.get("MessageAttributes", {})
        parts = [part for name, attribute in given.items() for part in (name, *map(str, attribute.values()))]
        return len(self.body.encode()) + sum([len(part.encode()) for part in parts])

    @property
    def document(self) -> FailureDocument | None:
        """What it tells of a stream's records; None: it is a message like others."""
        return failure_document(self.body)

    def onward(self, *, fifo: bool) -> Outgoing:
        """What is sent, to a FIFO queue or another: all that its sender had said."""
        return Outgoing(
            body=self.body,
            attributes=self.raw.get("MessageAttributes", {}),
            group=self.group or None,
            deduplication=self.system.get("MessageDeduplicationId") or self.id if fifo else None,
            trace=self.system.get("AWSTraceHeader"),
        )


def failure_document(body: str) -> FailureDocument | None:
    """Lambda's document of given up records, if the text is one."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(given, dict):
        return None
    context = given.get("requestContext")
    info = next((given[key] for key in BATCH_INFOS if isinstance(given.get(key), dict)), None)
    if not isinstance(context, dict) or info is None:
        return None
    payload, count = given.get("payload"), info.get("batchSize")
    return FailureDocument(
        condition=str(context.get("condition", "")),
        function=str(context.get("functionArn", "")),
        stream=str(info.get("streamArn", "")),
        shard=str(info.get("shardId", "")),
        first=str(info.get("startSequenceNumber", "")),
        last=str(info.get("endSequenceNumber", "")),
        records=count if isinstance(count, int) else 0,
        at=str(given.get("timestamp", "")),
        payload=payload if isinstance(payload, str) else None,
    )


def _seconds(milliseconds: str | None) -> float:
    return int(milliseconds or 0) / 1000
