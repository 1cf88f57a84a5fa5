"""A message of SQS in memory: as its queue keeps it, and as a receive answers it."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from poller.services import SqsMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.services import SqsAttribute

SENDER: Final = "AIDAMEMORYMEMORYMEMOR"
"""Who sends all messages."""

State = Literal["delayed", "visible", "in_flight", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a sender may say beside body and attributes.

    Attributes:
        group: MessageGroupId, which FIFO queues ask for.
        deduplication: MessageDeduplicationId. None: the digest of the body, where the queue is set so.
        delay: DelaySeconds. None: the queue's. FIFO queues take none.
        trace: AWSTraceHeader.
    """

    group: str | None = None
    deduplication: str | None = None
    delay: float | None = None
    trace: str | None = None


PLAIN: Final = Extras()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMessage:
    """A message in a queue, for whoever looks at what is there.

    Attributes:
        sent_at: Unix seconds.
        receives: how often it was received, in all its queues.
    """

    id: str
    body: str
    attributes: Mapping[str, SqsAttribute]
    group: str | None
    sent_at: float
    receives: int
    state: State


@dataclass(slots=True, kw_only=True, eq=False)
class Stored:
    """A message, as its queue keeps it. Times are by the steady clock, unless they are said to be Unix seconds.

    Attributes:
        sent_at: Unix seconds.
        enqueued_at: since when its queue's retention counts.
        visible_at: when it can be received (again), if nothing happens until then.
        first_received_at: Unix seconds; None: it never was.
        received_at: when it was last received.
        receipt: the handle of its last receive.
        touched: its visibility was changed since then.
        source_arn: the queue from which it was moved to this one.
    """

    id: str
    body: str
    attributes: Mapping[str, SqsAttribute]
    extras: Extras
    sent_at: float
    enqueued_at: float
    sequence: str | None = None
    state: State = "visible"
    visible_at: float = 0.0
    receives: int = 0
    first_received_at: float | None = None
    received_at: float = 0.0
    receipt: str = ""
    touched: bool = False
    source_arn: str | None = None
    md5: str = field(init=False)
    md5_of_attributes: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.md5 = hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()
        self.md5_of_attributes = md5_of(self.attributes) if self.attributes else None

    def answer(self) -> SqsMessage:
        """As ReceiveMessage answers it, with everything."""
        message = SqsMessage(MessageId=self.id, ReceiptHandle=self.receipt, Body=self.body, MD5OfBody=self.md5)
        message["Attributes"] = self._system_attributes()
        if self.md5_of_attributes is not None:
            message["MessageAttributes"] = {name: attribute.copy() for name, attribute in self.attributes.items()}
            message["MD5OfMessageAttributes"] = self.md5_of_attributes
        return message

    def _system_attributes(self) -> dict[str, str]:
        optional = {
            "SequenceNumber": self.sequence,
            "MessageGroupId": self.extras.group,
            "MessageDeduplicationId": self.extras.deduplication,
            "AWSTraceHeader": self.extras.trace,
            "DeadLetterQueueSourceArn": self.source_arn,
        }
        return {
            "SenderId": SENDER,
            "SentTimestamp": milliseconds(self.sent_at),
            "ApproximateReceiveCount": str(self.receives),
            "ApproximateFirstReceiveTimestamp": milliseconds(self.first_received_at or 0.0),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def seen(self) -> MemoryMessage:
        """As it is now."""
        return MemoryMessage(
            id=self.id,
            body=self.body,
            attributes=self.attributes,
            group=self.extras.group,
            sent_at=self.sent_at,
            receives=self.receives,
            state=self.state,
        )


def milliseconds(seconds: float) -> str:
    """Unix seconds as SQS spells them."""
    return str(int(seconds * 1000))


def md5_of(attributes: Mapping[str, SqsAttribute]) -> str:
    """The digest of message attributes: by name, with name, type, kind and value, each after its length.

    Source: Amazon SQS developer guide, "Calculating the MD5 message digest for message attributes".
    """
    digest = hashlib.md5(usedforsecurity=False)
    for name, attribute in sorted(attributes.items()):
        binary = attribute["DataType"].startswith("Binary")
        value = base64.b64decode(attribute["BinaryValue"]) if binary else attribute["StringValue"].encode()
        for part in (name.encode(), attribute["DataType"].encode()):
            digest.update(struct.pack("!I", len(part)) + part)
        digest.update((b"\x02" if binary else b"\x01") + struct.pack("!I", len(value)) + value)
    return digest.hexdigest()
