"""What every `SqsApi` does, whatever is behind it: one suite for the memory and for real servers."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
from support.aws import queues

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.sqs import BotoSqsApi
from poller.errors import SourceGone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

    from poller.services import SqsApi

_names = (f"queue-{number}" for number in itertools.count())


class Consumer(Protocol):
    """Makes queues and takes messages: `support.aws.Queues`, or the memory's own methods."""

    async def create(self, name: str) -> str: ...

    async def delete(self, arn: str) -> None: ...

    async def take(self, arn: str, count: int) -> list[str]: ...

    async def depth(self, arn: str) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sqs:
    """One service: the Api under test, and the other side."""

    api: SqsApi
    consumer: Consumer

    async def queue(self) -> str:
        """A queue of its own for a test."""
        return await self.consumer.create(next(_names))


@asynccontextmanager
async def served_by(server: Server) -> AsyncIterator[Sqs]:
    """A real server, and the Api through aiobotocore."""
    async with AwsClients() as clients, queues(server.url) as consumer:
        yield Sqs(api=BotoSqsApi(await clients.client("sqs", AwsSettings(endpoint_url=server.url))), consumer=consumer)


class SqsContract:
    """The suite. A module with a subclass has the fixture `sqs`."""

    async def test_a_message_that_was_sent_is_in_its_queue(self, sqs: Sqs) -> None:
        arn, other = await sqs.queue(), await sqs.queue()
        await sqs.api.send_message(arn, "hello")
        assert await sqs.consumer.take(arn, 1) == ["hello"]
        assert await sqs.consumer.depth(other) == 0

    @pytest.mark.parametrize(
        "body",
        ['{"a": [1, "ä", null]}', " ", "<&>\"'", "\N{PILE OF POO}", "a\tb\r\nc", "x" * 200_000],
        ids=["json", "space", "markup", "emoji", "lines", "large"],
    )
    async def test_a_body_arrives_as_it_was_sent(self, sqs: Sqs, body: str) -> None:
        arn = await sqs.queue()
        await sqs.api.send_message(arn, body)
        assert await sqs.consumer.take(arn, 1) == [body]

    async def test_each_send_is_a_message_of_its_own(self, sqs: Sqs) -> None:
        arn = await sqs.queue()
        for _ in range(3):
            await sqs.api.send_message(arn, "same")
        assert await sqs.consumer.take(arn, 3) == ["same"] * 3
        assert await sqs.consumer.depth(arn) == 0

    async def test_a_queue_that_does_not_exist_is_gone(self, sqs: Sqs) -> None:
        arn = await sqs.queue() + "-not"
        with pytest.raises(SourceGone, match=arn):
            await sqs.api.send_message(arn, "hello")

    async def test_a_queue_that_is_deleted_is_gone_until_it_is_made_anew(self, sqs: Sqs) -> None:
        name = next(_names)
        arn = await sqs.consumer.create(name)
        await sqs.api.send_message(arn, "lost")
        await sqs.consumer.delete(arn)
        with pytest.raises(SourceGone, match=arn):
            await sqs.api.send_message(arn, "hello")
        assert await sqs.consumer.create(name) == arn
        await sqs.api.send_message(arn, "again")
        assert await sqs.consumer.take(arn, 1) == ["again"]
