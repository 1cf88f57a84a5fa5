"""The short way for the calls that the poller makes all day.

Plain POSTs to JSON services need little of botocore: it resolves endpoints, serialises, finds credentials, and reads errors. What
lies between, its general request, signer, retries and HTTP client, is most of what a call costs. Here a handler of the event
`before-call`, which may answer for the network, signs and sends instead.

The calls of each batch skip the rest as well. How botocore sends one is learnt from the last that went its way: where to, with
which headers, signed for whom. Then its parameters are its JSON. What cannot be done here goes the long way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson
from botocore.compat import get_current_datetime
from botocore.exceptions import NoCredentialsError

from poller.apis.parser import FIRST_ERROR_STATUS, success
from poller.apis.signing import Scope, Signer
from poller.apis.wire import Origin, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.apis.http1 import Answer
    from poller.apis.parser import LeanJsonParser
    from poller.apis.sdk import Json, Sdk

HOT: Final = frozenset({
    "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "GetQueueAttributes", "GetRecords",
})  # fmt: skip
"""Operations whose parameters are their JSON as they stand."""

RESOURCE: Final = "StreamARN"
"""The one parameter of these by which endpoints differ."""

LEARNT_FOR: Final = 300.0
"""Seconds after which a call goes botocore's way again: whatever else its rules look at, they are not behind for longer."""

MAX_ROUTES: Final = 10_000

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

SKEWED: Final = frozenset({
    "InvalidSignatureException", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
})  # fmt: skip
"""Errors of a clock that is wrong, among other things."""

TOLERATED: Final = timedelta(minutes=4)
"""How far a clock may be off; AWS takes five minutes. Beyond that the service's own is gone by."""


class DirectCalls:
    """Makes the calls of one client."""

    def __init__(self, client: Sdk, parser: LeanJsonParser, wire: Wire) -> None:
        self._client = client
        self._long = client._make_api_call  # noqa: SLF001  what its methods call
        self._signer = client._request_signer  # noqa: SLF001  nobody else hands out its credentials
        self._proxies = client._endpoint.http_session._proxy_config  # noqa: SLF001  (the same)
        self._parser = parser
        self._wire = wire
        self._routes: dict[tuple[str, str | None], Route] = {}
        self._ahead = timedelta()

    async def make_api_call(self, operation: str, params: Json) -> Json:
        """In the place of the client's own: answers, and raises, what that does."""
        if operation not in HOT:
            return await self._botocore(operation, params)
        route = self._routes.get((operation, params.get(RESOURCE)))
        if route is None or asyncio.get_running_loop().time() > route.until:
            return await self._botocore(operation, params)
        answer = await self._send(route, orjson.dumps(params))
        if answer.status_code < FIRST_ERROR_STATUS:
            return success(*answer)
        parsed = await self._parse(answer, self._client.meta.service_model.operation_model(operation))
        raise self._client.exceptions.from_code(parsed.get("Error", {}).get("Code"))(parsed, operation)

    async def _botocore(self, operation: str, params: Json) -> Json:
        answer: Json = await self._long(operation, params)
        return answer

    async def before_call(
        self, *, model: Sdk, params: Json, request_signer: Sdk, context: Json, **_: object
    ) -> tuple[Answer, Json] | None:
        """The handler: the HTTP answer, and what is in it. None: go the long way."""
        signer = context.get("auth_type") or request_signer.signature_version
        plain = signer == "v4" and not params["query_string"] and not model.has_event_stream_output
        if not plain or self._proxies.proxy_url_for(params["url"]):
            return None
        route = self._route(params, context.get("signing", {}))
        if route is None:
            return None
        if model.name in HOT:
            self._learn(model.name, params["body"], route)
        answer = await self._send(route, params["body"])
        return answer, await self._parse(answer, model)

    # ----------------------------------------------------------------------------------------------------------------- routes

    def _route(self, params: Json, signing: Json) -> Route | None:
        origin = plain_origin(params["url"])
        if origin is None:
            return None
        scope = Scope(
            region=signing.get("region") or self._signer.region_name,
            service=signing.get("signing_name") or self._signer.signing_name,
        )
        headers = {**params["headers"], "User-Agent": self._client.meta.config.user_agent, "Accept-Encoding": "identity"}
        try:
            signer = Signer(headers, host_of(origin), scope)
        except ValueError:
            return None
        until = asyncio.get_running_loop().time() + LEARNT_FOR
        return Route(origin=origin, head=_head(origin, headers), signer=signer, until=until)

    def _learn(self, operation: str, body: bytes, route: Route) -> None:
        if len(self._routes) >= MAX_ROUTES:
            self._routes.clear()
        self._routes[operation, orjson.loads(body).get(RESOURCE)] = route

    # -------------------------------------------------------------------------------------------------------------- one call

    async def _send(self, route: Route, body: bytes) -> Answer:
        credentials = self._signer._credentials  # noqa: SLF001  nobody else hands them out
        if credentials is None:
            raise NoCredentialsError
        frozen = await credentials.get_frozen_credentials()
        stamp = stamp_of(int((get_current_datetime(remove_tzinfo=False) + self._ahead).timestamp()))
        head = f"{route.head}Content-Length: {len(body)}\r\n{route.signer.sign(body, stamp, frozen)}\r\n"
        return await self._wire.send(route.origin, head.encode("latin-1") + body)

    async def _parse(self, answer: Answer, model: Sdk) -> Json:
        response = {**answer._asdict(), "context": {"operation_name": model.name}}
        parsed = await self._parser.parse(response, model.output_shape)
        if answer.status_code >= FIRST_ERROR_STATUS and parsed.get("Error", {}).get("Code") in SKEWED:
            self._ahead = ahead_by(answer.headers)
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How an operation is asked for.

    Attributes:
        head: the request line and the headers that are always the same, each with its line end.
        until: when it is to be learnt anew; steady, by the loop.
    """

    origin: Origin
    head: str
    signer: Signer
    until: float


def _head(origin: Origin, headers: Mapping[str, str]) -> str:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if name.lower() not in ("content-length", "host")]
    return f"POST / HTTP/1.1\r\nHost: {host_of(origin)}\r\n{''.join(lines)}"


def host_of(origin: Origin) -> str:
    """What Host says."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == DEFAULT_PORTS["https" if origin.tls else "http"] else f"{host}:{origin.port}"


@lru_cache(maxsize=64)
def plain_origin(url: str) -> Origin | None:
    """Whom a URL of nothing but a host means; None for others."""
    parts = urlsplit(url)
    if parts.query or parts.hostname is None or parts.path not in ("", "/") or parts.scheme not in DEFAULT_PORTS or "@" in url:
        return None
    return Origin(parts.scheme == "https", parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])


@lru_cache(maxsize=4)
def stamp_of(second: int) -> str:
    """A time as signatures have it."""
    return f"{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%SZ}"


def ahead_by(headers: Mapping[str, str]) -> timedelta:
    """How far the service's clock is ahead of ours, where that is too far; else nothing."""
    try:
        ahead = parsedate_to_datetime(headers.get("date", "")) - get_current_datetime(remove_tzinfo=False)
    except (TypeError, ValueError):  # not a date, or one without a time zone
        return timedelta()
    return ahead if abs(ahead) > TOLERATED else timedelta()
