"""SNS through aiobotocore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.apis.errors import CALL_TIMEOUT, Call, perform
from poller.apis.sqs import to_send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.apis.sdk import Json, Sdk
    from poller.services import SqsAttribute


class BotoSnsApi:
    """`SnsApi` over a client of `AwsClients`."""

    def __init__(self, client: Sdk, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._timeout = call_timeout

    async def publish(self, topic_arn: str, message: str, attributes: Mapping[str, SqsAttribute] | None = None) -> None:
        """See `SnsApi.publish`."""
        request: Json = {"TopicArn": topic_arn, "Message": message}
        if attributes:
            request["MessageAttributes"] = {name: to_send(given) for name, given in attributes.items()}
        call = Call("Publish", topic_arn)
        await perform(call, self._client.publish(**request), lambda answer: answer["MessageId"], self._timeout)
