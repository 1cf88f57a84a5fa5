"""SQS, for the stand-in: every queue is full when it is first named, and hands each of its messages out once.

What is not deleted is never handed out again: GetQueueAttributes shows it as in flight for ever.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field

from benchmarks.reply import Reply

MOST = 10
QUEUE = re.compile(rb'"Queue(?:Url|Name)": *"(?:[^"]*/)?([^"/]+)"')
LIMIT = re.compile(rb'"MaxNumberOfMessages": *(\d+)')
WAIT = re.compile(rb'"WaitTimeSeconds": *(\d+)')
ENTRY = re.compile(rb'"Id": *"([^"]*)"')
RECEIPT = re.compile(rb'"ReceiptHandle": *"AQEB(\d{12})')
RECEIPT_TAIL = "x" * 340
"""With it a receipt is as long as those of AWS."""


@dataclass(slots=True)
class Queue:
    """How far one queue has been read, and which of its messages are deleted."""

    handed_out: int = 0
    deleted: set[int] = field(default_factory=set)


class Queues:
    """All queues of one server, each with `messages` of `size` bytes."""

    def __init__(self, messages: int, size: int) -> None:
        self._messages = messages
        self._queues: dict[bytes, Queue] = {}
        message = _message(size)
        self._templates = [b'{"Messages":[%b]}' % b",".join([message] * count) for count in range(MOST + 1)]

    def answer(self, operation: bytes, body: bytes) -> Reply:
        """See `stand_in.Service`."""
        found = QUEUE.search(body)
        assert found is not None, body
        queue = self._queues.setdefault(found[1], Queue())
        match operation:
            case b"ReceiveMessage":
                return self._receive(queue, body)
            case b"DeleteMessageBatch":
                queue.deleted.update(map(int, RECEIPT.findall(body)))
                return _successful(body)
            case b"ChangeMessageVisibilityBatch":
                return _successful(body)
            case b"GetQueueUrl":  # a client with an endpoint asks nothing of the URL but the queue's name
                return Reply(json.dumps({"QueueUrl": f"http://localhost/000000000000/{found[1].decode()}"}).encode())
            case b"GetQueueAttributes":
                return self._attributes(queue, found[1].decode())
            case _:
                raise NotImplementedError(operation)

    def _receive(self, queue: Queue, body: bytes) -> Reply:
        limit, wait = LIMIT.search(body), WAIT.search(body)
        first = queue.handed_out
        queue.handed_out = min(self._messages, first + (int(limit[1]) if limit else 1))
        if first == queue.handed_out:
            return Reply(b"{}", after=float(wait[1]) if wait else 0.0)
        numbers = tuple(number for number in range(first, queue.handed_out) for _ in range(2))
        return Reply(self._templates[queue.handed_out - first] % numbers)

    def _attributes(self, queue: Queue, name: str) -> Reply:
        attributes = {
            "QueueArn": f"arn:aws:sqs:us-east-1:000000000000:{name}",
            "VisibilityTimeout": "30",
            "MessageRetentionPeriod": "345600",
            "ApproximateNumberOfMessages": str(self._messages - queue.handed_out),
            "ApproximateNumberOfMessagesNotVisible": str(queue.handed_out - len(queue.deleted)),
            "ApproximateNumberOfMessagesDelayed": "0",
        }
        return Reply(json.dumps({"Attributes": attributes}).encode())


def _successful(request: bytes) -> Reply:
    return Reply(b'{"Successful":[%b],"Failed":[]}' % b",".join(b'{"Id":"%b"}' % entry for entry in ENTRY.findall(request)))


def _message(size: int) -> bytes:
    """A message's JSON, to be formatted with its number, twice. Its body is JSON too."""
    body = '{"order":"' + "x" * (size - 12) + '"}'
    now = str(int(time.time() * 1000))
    message = {
        "MessageId": "00000000-0000-4000-8000-%012d",
        "ReceiptHandle": "AQEB%012d" + RECEIPT_TAIL,
        "MD5OfBody": hashlib.md5(body.encode()).hexdigest(),
        "Body": body,
        "Attributes": {
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "SentTimestamp": now,
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": now,
        },
    }
    return json.dumps(message, separators=(",", ":")).encode()
