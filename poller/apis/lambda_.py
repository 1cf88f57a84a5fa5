"""Lambda's Invoke through aiobotocore."""

from __future__ import annotations

import asyncio
import io
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from aiohttp import ClientConnectorError
from aiohttp import ClientError as AiohttpError
from botocore import exceptions as boto
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from poller.apis.errors import FOREIGN, Call, translate
from poller.core.model import TooLarge
from poller.services import LambdaAnswer, LambdaLost

if TYPE_CHECKING:
    from poller.apis.sdk import Json, Sdk
    from poller.services import LambdaInvoke

LARGEST_ANSWER: Final = 6 * 1024 * 1024 + 100
"""Bytes: what Lambda lets a function answer."""

LARGE: Final = 1024 * 1024
"""Bytes of a body that aiohttp wants to read from a file, so as not to write it in one go."""

TOO_LARGE: Final = frozenset({"RequestTooLargeException", "SerializedRequestEntityTooLargeException"})

LOST: Final = (
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    ResponseParserError,
    AiohttpError,
)
"""The request had been sent when these were raised."""


class BotoLambdaApi:
    """`LambdaApi` over a client of `AwsClients`, whose read time-out is longer than any function it invokes."""

    def __init__(self, client: Sdk) -> None:
        self._client = client

    async def invoke(self, request: LambdaInvoke, patience: float) -> LambdaAnswer | LambdaLost | TooLarge:
        """See `LambdaApi.invoke`."""
        call = Call("Invoke", request.function_name)
        async with asyncio.timeout(patience):
            try:
                return await _read(await self._client.invoke(**_parameters(request)))
            except FOREIGN as error:
                return _failed(error, request, call)


def _parameters(request: LambdaInvoke) -> Json:
    parameters: Json = {
        "FunctionName": request.function_name,
        "InvocationType": "RequestResponse",
        "LogType": "Tail" if request.tail else "None",
        "Payload": request.payload if len(request.payload) <= LARGE else io.BytesIO(request.payload),
    }
    return parameters if request.qualifier is None else {**parameters, "Qualifier": request.qualifier}


async def _read(answer: Json) -> LambdaAnswer:
    body, size = await _payload(answer["Payload"])
    return LambdaAnswer(payload=body, size=size, function_error=answer.get("FunctionError"), log=_log(answer.get("LogResult")))


async def _payload(stream: Sdk) -> tuple[bytes, int]:
    """The payload, and 0; of one above the limit a part, and how much of it there was at least."""
    parts, size = bytearray(), 0
    async with stream as body:
        while size <= LARGEST_ANSWER and (part := await body.read(LARGEST_ANSWER)):
            parts += part
            size = len(parts)
    return bytes(parts), size if size > LARGEST_ANSWER else 0


def _log(encoded: str | None) -> bytes:
    try:
        return b64decode(encoded or "")
    except ValueError:
        return b""


def _failed(error: Exception, request: LambdaInvoke, call: Call) -> LambdaLost | TooLarge:
    """What an error means where it is not raised."""
    if isinstance(error, ClientError):
        response: Json = error.response
        code = str(response.get("Error", {}).get("Code"))
        if code in TOO_LARGE:
            return TooLarge(len(request.payload))
        if reason := response.get("Reason"):
            response["Error"]["Message"] = f"{reason}: {response['Error'].get('Message', '')}"
    elif _was_sent(error):
        return LambdaLost(str(translate(error, call)))
    raise translate(error, call) from None  # the SDK's message may hold the signed request, session token included


def _was_sent(error: Exception) -> bool:
    """Whether the function may have run. A connection that was never made is told from one that broke by what caused it."""
    if isinstance(error, boto.EndpointConnectionError):
        cause = getattr(error, "kwargs", {}).get("error")
        return isinstance(cause, AiohttpError) and not isinstance(cause, ClientConnectorError)
    return isinstance(error, LOST)
