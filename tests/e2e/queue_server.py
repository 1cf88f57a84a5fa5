"""SQS in memory behind a socket, for what is too much for the servers that others have made: bursts, and thousands of groups.

It is one of the memory Api's queues, so its contract is what `tests/contract` shows of that.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

from support.aws import WallClock

from poller.apis.memory_queues import MemoryQueues
from poller.errors import SourceGone, Unavailable
from poller.services import Receive

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator, Sequence

    from poller.ports import EntryFailure

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TARGET = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 %d .\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"

Json = dict[str, Any]


class QueueServer:
    """The queues, and the calls of a consumer.

    Attributes:
        url: where it listens.
        queues: what is in it. Tests send and look without a call.
    """

    def __init__(self) -> None:
        self.url = ""
        self.queues = MemoryQueues(WallClock())

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection, one request at a time. A poll of a client that is gone takes its messages all the same."""
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length, target = LENGTH.search(head), TARGET.search(head)
                assert length is not None
                assert target is not None, head
                status, answer = await self._answer(target[1].decode(), json.loads(await reader.readexactly(int(length[1]))))
                body = json.dumps(answer).encode()
                writer.write(HEAD % (status, len(body)) + body)
                await writer.drain()

    async def _answer(self, operation: str, asked: Json) -> tuple[int, Json]:
        try:
            name = asked.get("QueueName") or asked["QueueUrl"].rpartition("/")[2]
            arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
            return 200, await self._done(operation, arn, asked)
        except SourceGone:
            return 400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}
        except Unavailable as error:
            return 400, {"__type": "com.amazonaws.sqs#OverLimit", "message": str(error)}

    async def _done(self, operation: str, arn: str, asked: Json) -> Json:
        match operation:
            case "ReceiveMessage":
                return await self._receive(arn, asked)
            case "DeleteMessageBatch":
                return _outcome(asked, self.queues.delete(arn, _receipts(asked)))
            case "ChangeMessageVisibilityBatch":
                seconds = asked["Entries"][0]["VisibilityTimeout"]
                return _outcome(asked, self.queues.change_visibility(arn, _receipts(asked), seconds))
            case "GetQueueUrl":
                self.queues.describe(arn)
                return {"QueueUrl": f"{self.url}/000000000000/{arn.rpartition(':')[2]}"}
            case "GetQueueAttributes":
                return {"Attributes": self._attributes(arn)}
            case _:
                raise NotImplementedError(operation)

    async def _receive(self, arn: str, asked: Json) -> Json:
        receive = Receive(
            limit=asked["MaxNumberOfMessages"],
            wait=asked["WaitTimeSeconds"],
            visibility=asked["VisibilityTimeout"],
            attempt_id=asked.get("ReceiveRequestAttemptId"),
        )
        await self.queues.wait(arn, receive)
        return {"Messages": self.queues.receive(arn, receive)}

    def _attributes(self, arn: str) -> dict[str, str]:
        now = self.queues.describe(arn)
        return {
            "QueueArn": arn,
            "VisibilityTimeout": str(int(now.visibility_timeout)),
            "MessageRetentionPeriod": str(int(now.retention)),
            "ApproximateNumberOfMessages": str(now.visible),
            "ApproximateNumberOfMessagesNotVisible": str(now.in_flight),
            "ApproximateNumberOfMessagesDelayed": str(now.delayed),
        }


@asynccontextmanager
async def serving() -> AsyncIterator[QueueServer]:
    """On a free port of loopback, on the test's own loop. Its connections end with it."""
    made = QueueServer()
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            await made.talk(reader, writer)
        finally:
            talking.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        left = tuple(talking)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _receipts(asked: Json) -> list[str]:
    return [entry["ReceiptHandle"] for entry in asked["Entries"]]


def _outcome(asked: Json, failures: Sequence[EntryFailure]) -> Json:
    failed = {failure.index: failure for failure in failures}
    names = [entry["Id"] for entry in asked["Entries"]]
    return {
        "Successful": [{"Id": name} for index, name in enumerate(names) if index not in failed],
        "Failed": [
            {"Id": names[index], "SenderFault": each.gone, "Code": each.detail, "Message": each.detail}
            for index, each in failed.items()
        ],
    }
