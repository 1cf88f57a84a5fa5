"""Signature Version 4, for a POST to `/` without a query: what JSON services take.

Source: AWS's documentation, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from botocore.exceptions import CredentialRetrievalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.apis.sdk import Sdk

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SIGNED: Final = frozenset({"host", "content-type"})
DATE: Final = "x-amz-date"
TOKEN: Final = "x-amz-security-token"  # noqa: S105  its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whom a signature is for."""

    region: str
    service: str


class Signer:
    """Signs requests that differ in their bodies, the time and the credentials alone.

    Signed are Host, Content-Type and all of X-Amz-*: what AWS wants signed at the least.
    """

    def __init__(self, headers: Mapping[str, str], host: str, scope: Scope) -> None:
        named = {name.lower(): value for name, value in headers.items()} | {"host": host}
        lines = sorted([(name, value) for name, value in named.items() if name in SIGNED or name.startswith("x-amz-")])
        before = [line for line in lines if line[0] < DATE]
        after = [line for line in lines if line[0] > TOKEN]
        if len(before) + len(after) != len(lines):
            raise ValueError("a header that signatures bring, or would have to be signed between them")
        self._scope = scope
        self._before, self._after = _canonical(before), _canonical(after)
        names = [";".join([name for name, _ in part]) for part in (before, after)]
        self._signed = ";".join([part for part in (names[0], DATE, names[1]) if part])
        self._signed_with_token = ";".join([part for part in (names[0], DATE, TOKEN, names[1]) if part])

    def sign(self, body: bytes, stamp: str, credentials: Sdk) -> str:
        """The headers that make it a signed request, each with its line end.

        `stamp` is the time as `20260102T030405Z`. Raises botocore's `CredentialRetrievalError` for what cannot be sent.
        """
        if not _fits_a_line(f"{credentials.access_key}{credentials.token}"):
            raise CredentialRetrievalError(provider="any", error_msg="they hold what no header may")
        token = f"{TOKEN}:{credentials.token}\n" if credentials.token else ""
        signed = self._signed_with_token if token else self._signed
        lines = f"{self._before}{DATE}:{stamp}\n{token}{self._after}"
        request = f"POST\n/\n\n{lines}\n{signed}\n{hashlib.sha256(body).hexdigest()}"
        day, scope = stamp[:8], self._scope
        place = f"{day}/{scope.region}/{scope.service}/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(
            key_of_day(credentials.secret_key, day, scope.region, scope.service), text.encode(), "sha256"
        ).hex()
        credential = f"{ALGORITHM} Credential={credentials.access_key}/{place}"
        sent = f"X-Amz-Security-Token: {credentials.token}\r\n" if token else ""
        return f"X-Amz-Date: {stamp}\r\n{sent}Authorization: {credential}, SignedHeaders={signed}, Signature={signature}\r\n"


def _fits_a_line(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _canonical(lines: list[tuple[str, str]]) -> str:
    return "".join([f"{name}:{' '.join(value.split())}\n" for name, value in lines])


@lru_cache(maxsize=64)
def key_of_day(secret: str, day: str, region: str, service: str) -> bytes:
    """The signing key."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
