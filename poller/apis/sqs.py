"""SQS through aiobotocore."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from poller.apis.errors import CALL_TIMEOUT, Call, perform
from poller.errors import MappingError, SourceGone
from poller.ports import EntryFailure, QueueDescription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar

    from poller.apis.sdk import Json, Sdk
    from poller.services import Receive, SqsAttribute, SqsMessage

    T = TypeVar("T")

ARN_PARTS: Final = 6

HOPELESS: Final = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "InvalidIdFormat"})
"""Codes of entries, without their prefix, that no repetition mends: the message is gone, another's, or at its 12 hours."""


class BotoSqsApi:
    """`SqsApi` over clients of `AwsClients`: one for short calls, and one for long polls, which must not keep them waiting.

    A queue's URL is asked for once and kept. It only names the queue: requests go to the client's endpoint, whatever host the
    URL has.
    """

    def __init__(self, client: Sdk, *, polls: Sdk | None = None, call_timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._polls = client if polls is None else polls
        self._timeout = call_timeout
        self._urls: dict[str, str] = {}

    async def send_message(self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None) -> None:
        """See `SqsApi.send_message`. Raises `MappingError` where the ARN is not a queue's."""
        more = {"MessageAttributes": {name: _to_send(given) for name, given in attributes.items()}} if attributes else {}
        await self._ask("SendMessage", queue_arn, self._client.send_message, _message_id, MessageBody=body, **more)

    async def describe_queue(self, queue_arn: str) -> QueueDescription:
        """See `SqsApi.describe_queue`."""
        return await self._ask(
            "GetQueueAttributes", queue_arn, self._client.get_queue_attributes, _description, AttributeNames=["All"]
        )

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """See `SqsApi.receive_messages`."""
        more = {} if receive.attempt_id is None else {"ReceiveRequestAttemptId": receive.attempt_id}
        return await self._ask(
            "ReceiveMessage",
            queue_arn,
            self._polls.receive_message,
            _messages,
            MaxNumberOfMessages=receive.limit,
            WaitTimeSeconds=receive.wait,
            VisibilityTimeout=receive.visibility,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            **more,
        )

    async def delete_messages(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """See `SqsApi.delete_messages`."""
        entries = [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(receipts)]
        return await self._ask(
            "DeleteMessageBatch",
            queue_arn,
            self._client.delete_message_batch,
            lambda answer: _failures(answer, len(receipts)),
            Entries=entries,
        )

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """See `SqsApi.change_visibility`."""
        entries = [
            {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds} for index, receipt in enumerate(receipts)
        ]
        return await self._ask(
            "ChangeMessageVisibilityBatch",
            queue_arn,
            self._client.change_message_visibility_batch,
            lambda answer: _failures(answer, len(receipts)),
            Entries=entries,
        )

    async def _ask(
        self, operation: str, queue_arn: str, call: Callable[..., Awaitable[Json]], read: Callable[[Json], T], **given: object
    ) -> T:
        """One call about a queue. One that is gone is looked up anew the next time."""
        url = await self._url(queue_arn)
        try:
            return await perform(Call(operation, queue_arn), call(QueueUrl=url, **given), read, self._timeout)
        except SourceGone:
            self._urls.pop(queue_arn, None)
            raise

    async def _url(self, queue_arn: str) -> str:
        if queue_arn not in self._urls:
            account, name = _account_and_name(queue_arn)
            request = self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            self._urls[queue_arn] = await perform(Call("GetQueueUrl", queue_arn), request, _queue_url, self._timeout)
        return self._urls[queue_arn]


def _account_and_name(queue_arn: str) -> tuple[str, str]:
    parts = queue_arn.split(":")
    if len(parts) != ARN_PARTS or parts[2] != "sqs":
        raise MappingError(f"{queue_arn} is not the ARN of a queue (arn:aws:sqs:REGION:ACCOUNT:NAME)")
    return parts[4], parts[5]


def _to_send(attribute: SqsAttribute) -> dict[str, str | bytes]:
    """As the SDK takes it: it encodes binary values itself."""
    sent: dict[str, str | bytes] = {"DataType": attribute["DataType"]}
    if "StringValue" in attribute:
        sent["StringValue"] = attribute["StringValue"]
    if "BinaryValue" in attribute:
        sent["BinaryValue"] = b64decode(attribute["BinaryValue"])
    return sent


def _queue_url(answer: Json) -> str:
    return str(answer["QueueUrl"])


def _message_id(answer: Json) -> str:
    """An answer that names no message confirms none."""
    return str(answer["MessageId"])


def _description(answer: Json) -> QueueDescription:
    given = answer["Attributes"]
    redrive = json.loads(given.get("RedrivePolicy") or "{}")
    count = redrive.get("maxReceiveCount")
    return QueueDescription(
        visibility_timeout=float(given["VisibilityTimeout"]),
        retention=float(given["MessageRetentionPeriod"]),
        maximum_receive_count=None if count is None else int(count),
        visible=int(given.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(given.get("ApproximateNumberOfMessagesNotVisible", 0)),
        delayed=int(given.get("ApproximateNumberOfMessagesDelayed", 0)),
    )


def _messages(answer: Json) -> list[SqsMessage]:
    """An answer without messages is what an empty queue gives."""
    messages = answer.get("Messages") or []
    if not isinstance(messages, list):
        raise TypeError("Messages is not a list")
    return messages


def _failures(answer: Json, entries: int) -> tuple[EntryFailure, ...]:
    """What failed of a batch: what the answer says so of, and what it does not name."""
    named = {int(entry["Id"]): entry for entry in answer.get("Failed") or []}
    done = {int(entry["Id"]) for entry in answer.get("Successful") or []} - named.keys()
    return tuple(_failure(index, named.get(index)) for index in range(entries) if index not in done)


def _failure(index: int, entry: Json | None) -> EntryFailure:
    if entry is None:
        return EntryFailure(index, gone=False, detail="missing")
    code = str(entry.get("Code", ""))
    return EntryFailure(index, gone=code.rpartition(".")[2] in HOPELESS, detail=code)
