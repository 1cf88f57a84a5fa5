"""S3 through aiobotocore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.apis.errors import CALL_TIMEOUT, Call, perform

if TYPE_CHECKING:
    from poller.apis.sdk import Sdk

CONTENT_TYPE: Final = "application/octet-stream"


class BotoS3Api:
    """`S3Api` over a client of `AwsClients`."""

    def __init__(self, client: Sdk, *, call_timeout: float = CALL_TIMEOUT) -> None:
        self._client = client
        self._timeout = call_timeout

    async def put_object(self, bucket: str, key: str, body: bytes) -> None:
        """See `S3Api.put_object`."""
        request = self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=CONTENT_TYPE)
        await perform(Call("PutObject", f"{bucket}/{key}"), request, lambda answer: answer["ETag"], self._timeout)
