"""The short way through botocore for the calls that the poller makes all day.

botocore still resolves endpoints, serialises, finds credentials, and maps the errors of the network. What lies between, its
general request, its signer and its retries, is a third of what a call costs; for plain POSTs of JSON services this takes its
place, as a handler of the event `before-call`, which may answer for the network. What it cannot do goes the long way.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botocore.compat import get_current_datetime
from botocore.exceptions import NoCredentialsError

if TYPE_CHECKING:
    from poller.apis.sdk import Json, Sdk

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whom a signature is for."""

    region: str
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What botocore's HTTP session takes."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"
    stream_output: bool = False
    context: Json = field(default_factory=dict)


class DirectCalls:
    """Answers `before-call` of one client."""

    def __init__(self, client: Sdk, parser: Sdk) -> None:
        self._session = client._endpoint.http_session  # noqa: SLF001  nobody else hands it out
        self._user_agent = client.meta.config.user_agent
        self._parser = parser

    async def call(self, *, model: Sdk, params: Json, request_signer: Sdk, context: Json, **_: object) -> tuple[Sdk, Json] | None:
        """The HTTP answer, and what is in it; None: go the long way."""
        host = plain_host(params["url"])
        signer = context.get("auth_type") or request_signer.signature_version
        if host is None or params["query_string"] or signer != "v4" or model.has_event_stream_output:
            return None
        signing = context.get("signing", {})
        scope = Scope(
            region=signing.get("region") or request_signer.region_name,
            service=signing.get("signing_name") or request_signer.signing_name,
        )
        credentials = request_signer._credentials  # noqa: SLF001  nobody else hands them out
        if credentials is None:
            raise NoCredentialsError
        body = params["body"]
        headers = {**params["headers"], "User-Agent": self._user_agent}
        sign(headers, host, body, scope, await credentials.get_frozen_credentials())
        http = await self._session.send(Request(url=params["url"], headers=headers, body=body))
        answer = {"headers": http.headers, "status_code": http.status_code, "body": await http.content}
        return http, await self._parser.parse(answer | {"context": {"operation_name": model.name}}, model.output_shape)


def sign(headers: dict[str, str], host: str, body: bytes, scope: Scope, credentials: Sdk) -> None:
    """Adds what Signature Version 4 asks of a POST to `/` without a query.

    Signed are Host, Content-Type and all of X-Amz-*: what AWS wants signed at the least.
    """
    stamp = f"{get_current_datetime():%Y%m%dT%H%M%SZ}"
    headers["X-Amz-Date"] = stamp
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    named = [(name.lower(), value) for name, value in headers.items()]
    lines = sorted([("host", host), *[(name, value) for name, value in named if name.startswith(("x-amz-", "content-type"))]])
    signed = ";".join([name for name, _ in lines])
    canonical = "".join([f"{name}:{value}\n" for name, value in lines])
    request = f"POST\n/\n\n{canonical}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{stamp}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(key_of_day(credentials.secret_key, stamp[:8], scope), text.encode(), "sha256").hex()
    credential = f"{credentials.access_key}/{place}"
    headers["Authorization"] = f"{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"


@lru_cache(maxsize=64)
def key_of_day(secret: str, day: str, scope: Scope) -> bytes:
    """The signing key."""
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=64)
def plain_host(url: str) -> str | None:
    """What Host says for a URL of nothing but a host; None for others."""
    parts = urlsplit(url)
    if parts.query or parts.hostname is None or parts.path not in ("", "/"):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
