"""What the mappings of the demo read: one stream, one queue. Everything else follows from this list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stream or queue and its mapping.

    Attributes:
        mapping: the mapping's name, as metrics and logs have it.
        name: of the stream or queue.
        dead_letters: name of the queue where its failures end: a stream's failure destination, a queue's dead-letter queue.
    """

    mapping: str
    kind: Literal["stream", "queue"]
    name: str
    dead_letters: str

    @property
    def arn(self) -> str:
        """The stream's or queue's ARN."""
        return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{self.name}" if self.kind == "stream" else queue_arn(self.name)


def queue_arn(name: str) -> str:
    """The ARN of a queue on the stand-in."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


STREAM: Final = Source(mapping="orders-stream", kind="stream", name="orders", dead_letters="orders-stream-failed")
QUEUE: Final = Source(mapping="orders-queue", kind="queue", name="orders", dead_letters="orders-queue-dead")

SOURCES: Final = (STREAM, QUEUE)
