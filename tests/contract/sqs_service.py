"""An SQS under test: the Api, and the other side that makes queues, sends, and takes what was sent."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from support.aws import queues, redriving

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.dead_letters import BotoDeadLetterApi
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from support.servers import Server

    from poller.services import DeadLetterApi, SqsAttribute, SqsMessage

names = (f"queue-{number}" for number in itertools.count())

PATIENCE = 10
"""Seconds of a long poll for what comes at once, or a second later."""

ATTRIBUTES: dict[str, SqsAttribute] = {
    "Author": {"DataType": "String", "StringValue": "Jürgen"},
    "Weeks.On": {"DataType": "Number", "StringValue": "6.50"},
    "Blob": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
    "Kind": {"DataType": "String.Whatever", "StringValue": "x"},
}
"""Of all types, one of them with a label of the sender's own."""


class OtherSide(Protocol):
    """What is not the poller: `support.aws.Queues`, or the memory's own methods."""

    async def create(self, name: str, attributes: Mapping[str, str] | None = None) -> str: ...

    async def delete(self, arn: str) -> None: ...

    async def send(
        self,
        arn: str,
        body: str,
        attributes: Mapping[str, SqsAttribute] | None = None,
        *,
        group: str | None = None,
        deduplication: str | None = None,
    ) -> str: ...

    async def take(self, arn: str, count: int) -> list[str]: ...

    async def depth(self, arn: str) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sqs:
    """One service: the Api under test, and the other side."""

    api: DeadLetterApi
    other: OtherSide

    async def queue(self, *bodies: str, **attributes: str) -> str:
        """A standard queue of its own for a test, with these messages."""
        arn = await self.other.create(next(names), attributes)
        for body in bodies:
            await self.other.send(arn, body)
        return arn

    async def fifo(self, *bodies: str, **attributes: str) -> str:
        """A FIFO queue with these messages; the first letter of each is its group."""
        arn = await self.other.create(next(names) + ".fifo", attributes)
        for body in bodies:
            await self.other.send(arn, body, group=body[0])
        return arn

    async def receive(self, arn: str, limit: int = 10, *, wait: int = 0, visibility: int = 30) -> Sequence[SqsMessage]:
        """One receive."""
        return await self.api.receive_messages(arn, Receive(limit=limit, wait=wait, visibility=visibility))

    async def receive_all(self, arn: str, count: int, *, visibility: int = 30) -> list[SqsMessage]:
        """So many messages, in as many receives as it takes."""
        received: list[SqsMessage] = []
        while len(received) < count:
            some = await self.receive(arn, wait=PATIENCE, visibility=visibility)
            assert some, f"{len(received)} of {count} messages, and no more come"
            received += some
        return received

    async def receive_one(self, arn: str, *, wait: int = PATIENCE, visibility: int = 30) -> SqsMessage:
        """The only message that can be received."""
        (message,) = await self.receive(arn, wait=wait, visibility=visibility)
        return message


def receipts(messages: Sequence[SqsMessage]) -> list[str]:
    return [message["ReceiptHandle"] for message in messages]


def bodies(messages: Sequence[SqsMessage]) -> list[str]:
    return [message["Body"] for message in messages]


def receives(message: SqsMessage) -> int:
    return int(message["Attributes"]["ApproximateReceiveCount"])


def now() -> float:
    """Seconds, by the loop."""
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def served_by(server: Server) -> AsyncIterator[Sqs]:
    """A real server, and the Api through aiobotocore, as the poller has it: with a client of its own for long polls."""
    settings = AwsSettings(endpoint_url=server.url)
    async with AwsClients() as clients, queues(server.url) as other:
        polls = await clients.client("sqs", settings, "polls")
        yield Sqs(api=BotoDeadLetterApi(await clients.client("sqs", settings), polls=polls), other=other)


__all__ = [
    "ATTRIBUTES", "PATIENCE", "OtherSide", "Sqs", "bodies", "names", "now", "receipts", "receives", "redriving", "served_by",
]  # fmt: skip
