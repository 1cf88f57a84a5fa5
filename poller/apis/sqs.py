"""SQS through aiobotocore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.apis.errors import CALL_TIMEOUT, Call, perform
from poller.errors import MappingError, SourceGone

if TYPE_CHECKING:
    from poller.apis.sdk import Json, Sdk

ARN_PARTS: Final = 6


class BotoSqsApi:
    """`SqsApi` over a client of `AwsClients`.

    A queue's URL is asked for once and kept. It only names the queue: requests go to the client's endpoint, whatever host the
    URL has.
    """

    def __init__(self, client: Sdk, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._timeout = call_timeout
        self._urls: dict[str, str] = {}

    async def send_message(self, queue_arn: str, body: str) -> None:
        """See `SqsApi.send_message`. Raises `MappingError` where the ARN is not a queue's."""
        request = self._client.send_message(QueueUrl=await self._url(queue_arn), MessageBody=body)
        try:
            await perform(Call("SendMessage", queue_arn), request, _message_id, self._timeout)
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


def _queue_url(answer: Json) -> str:
    return str(answer["QueueUrl"])


def _message_id(answer: Json) -> str:
    """An answer that names no message confirms none."""
    return str(answer["MessageId"])
