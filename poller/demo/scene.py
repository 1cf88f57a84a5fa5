"""The stand-in's streams and queues: makes them, fills them, asks how deep they are."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from poller.demo.children import DemoFailed
from poller.demo.figures import Depth
from poller.demo.servers import CREDENTIALS
from poller.demo.site import MAX_RECEIVE_COUNT, VISIBILITY_TIMEOUT
from poller.demo.sources import REGION, Source, queue_arn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from poller.demo.feed import Order

    Sdk = Any

SHARDS: Final = 4
MOST_RECORDS, MOST_MESSAGES = 500, 10
"""Of one PutRecords, of one SendMessageBatch."""

TROUBLE: Final = (BotoCoreError, ClientError, OSError, TimeoutError)
"""A call that failed. What is wrong with the server shows at the server; the demo goes on."""

VISIBLE, IN_FLIGHT = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


@asynccontextmanager
async def scene(url: str) -> AsyncIterator[Scene]:
    """The services at this URL."""
    config = AioConfig(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}, proxies={})
    session = AioSession()
    known = {
        "region_name": REGION,
        "endpoint_url": url,
        "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        "config": config,
    }
    async with AsyncExitStack() as stack:
        kinesis, sqs = [await stack.enter_async_context(session.create_client(each, **known)) for each in ("kinesis", "sqs")]
        yield Scene(kinesis=kinesis, sqs=sqs, urls={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Clients of both services, and the URLs of queues by name."""

    kinesis: Sdk
    sqs: Sdk
    urls: dict[str, str]

    async def build(self, sources: Sequence[Source]) -> None:
        """Makes all streams and queues; returns once they can be used. Raises `DemoFailed` where the server does not."""
        try:
            for source in sources:
                await self._queue(source.dead_letters)
                await (self._stream(source.name) if source.kind == "stream" else self._queue_with_redrive(source))
        except TROUBLE as error:
            raise DemoFailed(f"cannot make streams and queues: {error}") from error

    async def put(self, source: Source, orders: Sequence[Order]) -> int:
        """Puts orders in; returns how many were taken."""
        put, most = (self._put_records, MOST_RECORDS) if source.kind == "stream" else (self._send, MOST_MESSAGES)
        taken = 0
        try:
            for start in range(0, len(orders), most):
                taken += await put(source.name, orders[start : start + most])
        except TROUBLE:
            return taken
        return taken

    async def depth(self, source: Source) -> Depth | None:
        """How much waits at a queue, and how much is in the dead-letter queue; None where the server does not say."""
        try:
            dead = await self._counts(source.dead_letters)
            here = await self._counts(source.name) if source.kind == "queue" else None
        except TROUBLE:
            return None
        return Depth(dead_letters=sum(dead), visible=here and here[0], in_flight=here and here[1])

    async def _put_records(self, name: str, orders: Sequence[Order]) -> int:
        records = [{"PartitionKey": each.customer, "Data": each.body.encode()} for each in orders]
        answer = await self.kinesis.put_records(StreamName=name, Records=records)
        return len(orders) - int(answer["FailedRecordCount"])

    async def _send(self, name: str, orders: Sequence[Order]) -> int:
        entries = [{"Id": str(index), "MessageBody": each.body} for index, each in enumerate(orders)]
        answer = await self.sqs.send_message_batch(QueueUrl=self.urls[name], Entries=entries)
        return len(answer.get("Successful", ()))

    async def _queue(self, name: str, **attributes: str) -> None:
        self.urls[name] = (await self.sqs.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]

    async def _queue_with_redrive(self, source: Source) -> None:
        redrive = {"deadLetterTargetArn": queue_arn(source.dead_letters), "maxReceiveCount": MAX_RECEIVE_COUNT}
        await self._queue(source.name, VisibilityTimeout=str(VISIBILITY_TIMEOUT), RedrivePolicy=json.dumps(redrive))

    async def _stream(self, name: str) -> None:
        await self.kinesis.create_stream(StreamName=name, ShardCount=SHARDS)
        while True:
            answer = await self.kinesis.describe_stream_summary(StreamName=name)
            if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
                return
            await asyncio.sleep(0.02)

    async def _counts(self, name: str) -> tuple[int, int]:
        answer = await self.sqs.get_queue_attributes(QueueUrl=self.urls[name], AttributeNames=[VISIBLE, IN_FLIGHT])
        return int(answer["Attributes"][VISIBLE]), int(answer["Attributes"][IN_FLIGHT])
