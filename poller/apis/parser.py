"""Reads the answers of JSON services as they are: base64 stays base64, timestamps stay numbers.

botocore would walk every answer by its model, decode all data and make datetimes: most of what reading a stream costs. It
would also turn an answer that is cut short into an empty one; here that is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from aiobotocore.parsers import AioResponseParserFactory
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from poller.apis.sdk import Json, Sdk

FIRST_ERROR_STATUS: Final = 300


class LeanParserFactory:
    """Takes the place of the session component `response_parser_factory`. Protocols other than JSON are read botocore's way."""

    def __init__(self) -> None:
        self._full: Sdk = AioResponseParserFactory()
        self._parsers: dict[str, Sdk] = {}

    def set_parser_defaults(self, **defaults: Sdk) -> None:
        """What botocore offers to change its own parsers."""
        self._full.set_parser_defaults(**defaults)
        self._parsers.clear()

    def create_parser(self, protocol_name: str) -> Sdk:
        """The parser for a protocol; botocore asks anew for every answer."""
        if protocol_name not in self._parsers:
            full = self._full.create_parser(protocol_name)
            self._parsers[protocol_name] = LeanJsonParser(full) if protocol_name == "json" else full
        return self._parsers[protocol_name]


class LeanJsonParser:
    """Reads the AWS JSON protocol. Errors and event streams go to botocore's own parser."""

    def __init__(self, full: Sdk) -> None:
        self._full = full

    async def parse(self, response: Json, shape: Sdk) -> Json:
        """The answer's JSON object with `ResponseMetadata`. Raises `ResponseParserError` where a success holds none."""
        if response["status_code"] >= FIRST_ERROR_STATUS:
            return await self._error(response, shape)
        if shape is not None and shape.event_stream_name:
            return await self._delegate(response, shape)
        headers = {name.lower(): value for name, value in response["headers"].items()}
        return success(response["status_code"], headers, b"{}" if shape is None else response["body"])

    async def _error(self, response: Json, shape: Sdk) -> Json:
        """Delegates to botocore's reading, which trips over bodies of an unexpected shape: those count as empty."""
        body = _object(response["body"])
        if body is None or not isinstance(body.get("__type", ""), str):
            response = {**response, "body": b""}
        return await self._delegate(response, shape)

    async def _delegate(self, response: Json, shape: Sdk) -> Json:
        parsed: Json = await self._full.parse(response, shape)
        return parsed


def success(status: int, headers: dict[str, str], body: bytes) -> Json:
    """The answer of a call that went well; header names are in lower case. Raises `ResponseParserError`."""
    answer = _object(body)
    if answer is None:
        raise ResponseParserError(f"the answer is not a JSON object ({len(body)} bytes)")
    request_id = headers.get("x-amzn-requestid", "")
    answer["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": headers, "RequestId": request_id}
    return answer


def _object(body: bytes) -> Json | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
