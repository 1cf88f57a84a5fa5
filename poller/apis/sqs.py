"""SQS through aiobotocore."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, cast

from botocore.exceptions import ClientError

from poller.apis.errors import CALL_TIMEOUT, Call, perform
from poller.errors import MappingError, SourceGone
from poller.ports import EntryFailure, QueueDescription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from poller.apis.sdk import Json, Sdk
    from poller.services import InGroup, Receive, SqsAttribute, SqsMessage

    Asking = Callable[..., Awaitable[Json]]

T = TypeVar("T")

ARN_PARTS: Final = 6

HOPELESS: Final = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "InvalidIdFormat"})
"""Codes without their prefix that no repetition mends: the message is gone, another's, or at its 12 hours."""

REFUSED: Final = "Refused"
"""The member of an answer that stands for a batch call which was refused as a whole for the sake of an entry."""


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

    async def send_message(
        self, queue_arn: str, body: str, attributes: Mapping[str, SqsAttribute] | None = None, place: InGroup | None = None
    ) -> None:
        """See `SqsApi.send_message`. Raises `MappingError` where the ARN is not a queue's."""
        message: Json = {"MessageBody": body}
        if attributes:
            message["MessageAttributes"] = {name: to_send(given) for name, given in attributes.items()}
        if place is not None:
            message |= {"MessageGroupId": place.group, "MessageDeduplicationId": place.deduplication}
        await self._ask(Call("SendMessage", queue_arn), self._client.send_message, message, _message_id)

    async def describe_queue(self, queue_arn: str) -> QueueDescription:
        """See `SqsApi.describe_queue`."""
        call = Call("GetQueueAttributes", queue_arn)
        return await self._ask(call, self._client.get_queue_attributes, {"AttributeNames": ["All"]}, _description)

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """See `SqsApi.receive_messages`."""
        request: Json = {
            "MaxNumberOfMessages": receive.limit,
            "WaitTimeSeconds": receive.wait,
            "VisibilityTimeout": receive.visibility,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if receive.attempt_id is not None:
            request["ReceiveRequestAttemptId"] = receive.attempt_id
        call = Call("ReceiveMessage", queue_arn)
        return await self._ask(call, self._polls.receive_message, request, _messages, wait=receive.wait)

    async def delete_messages(self, queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
        """See `SqsApi.delete_messages`."""
        call = Call("DeleteMessageBatch", queue_arn)
        return await self._batch(call, self._client.delete_message_batch, receipts, {})

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """See `SqsApi.change_visibility`."""
        call, more = Call("ChangeMessageVisibilityBatch", queue_arn), {"VisibilityTimeout": seconds}
        return await self._batch(call, self._client.change_message_visibility_batch, receipts, more)

    async def _batch(self, call: Call, ask: Asking, receipts: Sequence[str], more: Json) -> tuple[EntryFailure, ...]:
        """A call about several messages. Servers that refuse it as a whole for one of them are asked about each alone."""
        entries = [{"Id": str(index), "ReceiptHandle": receipt, **more} for index, receipt in enumerate(receipts)]

        def read(answer: Json) -> tuple[EntryFailure, ...] | str:
            return _outcome(answer, len(entries))

        outcome = await self._ask(call, lambda **given: _unless_hopeless(ask(**given)), {"Entries": entries}, read)
        if not isinstance(outcome, str):
            return outcome
        if len(receipts) == 1:
            return (EntryFailure(0, gone=True, detail=outcome),)
        alone = [await self._batch(call, ask, [receipt], more) for receipt in receipts]
        return tuple([replace(failure, index=index) for index, failures in enumerate(alone) for failure in failures])

    async def _ask(self, call: Call, ask: Asking, given: Json, read: Callable[[Json], T], *, wait: float = 0.0) -> T:
        """One call about a queue, which may take `wait` seconds more than others. A queue that is gone is looked up anew."""
        url = await self._url(call.resource)
        try:
            return await perform(call, ask(QueueUrl=url, **given), read, self._timeout + wait)
        except SourceGone:
            self._urls.pop(call.resource, None)
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


def to_send(attribute: SqsAttribute) -> dict[str, str | bytes]:
    """As the SDK takes it, for SQS and for SNS: it encodes binary values itself."""
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
    visibility_timeout = float(given["VisibilityTimeout"])
    text = given.get("RedrivePolicy")
    policy: Json | None = json.loads(text) if text else None
    return QueueDescription(
        visibility_timeout=visibility_timeout,
        retention=float(given["MessageRetentionPeriod"]),
        maximum_receive_count=None if policy is None else int(policy["maxReceiveCount"]),
        dead_letters=None if policy is None else str(policy["deadLetterTargetArn"]),
        visible=int(given.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(given.get("ApproximateNumberOfMessagesNotVisible", 0)),
        delayed=int(given.get("ApproximateNumberOfMessagesDelayed", 0)),
    )


def _messages(answer: Json) -> list[SqsMessage]:
    """An answer without messages is what an empty queue gives. One with a member of another kind cannot be used."""
    messages = answer.get("Messages") or []
    if not isinstance(messages, list):
        raise TypeError("Messages is not a list")
    return [_message(message) for message in messages]


def _message(message: Json) -> SqsMessage:
    """What a message must have, and nothing that is null. Run for every message: lean."""
    texts = [message["MessageId"], message["ReceiptHandle"], message["Body"], message["MD5OfBody"]]
    texts += _values(message.get("Attributes"))
    if (attributes := message.get("MessageAttributes")) is not None:
        texts += [attribute["DataType"] for attribute in _values(attributes)]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError("a member of a message is not a string")
    if None in message.values():
        message = {name: value for name, value in message.items() if value is not None}
    return cast("SqsMessage", message)


def _values(member: Json | None) -> Iterable[Sdk]:
    """Of a JSON object that may be missing."""
    if member is not None and not isinstance(member, dict):
        raise TypeError("a member of a message is not an object")
    return () if member is None else member.values()


async def _unless_hopeless(request: Awaitable[Json]) -> Json:
    """The answer; for an error that speaks of a message the code in its place."""
    try:
        return await request
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if _is_hopeless(code):
            return {REFUSED: code}
        raise


def _outcome(answer: Json, entries: int) -> tuple[EntryFailure, ...] | str:
    """What failed of a batch: what the answer says so of, and what it does not name. The code where all was refused."""
    if REFUSED in answer:
        return str(answer[REFUSED])
    named = {int(entry["Id"]): entry for entry in answer.get("Failed") or []}
    done = {int(entry["Id"]) for entry in answer.get("Successful") or []} - named.keys()
    return tuple([_failure(index, named.get(index)) for index in range(entries) if index not in done])


def _failure(index: int, entry: Json | None) -> EntryFailure:
    if entry is None:
        return EntryFailure(index, gone=False, detail="missing")
    code = str(entry.get("Code", ""))
    return EntryFailure(index, gone=_is_hopeless(code), detail=code)


def _is_hopeless(code: str) -> bool:
    return code.rpartition(".")[2] in HOPELESS
