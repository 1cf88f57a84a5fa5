"""A URL as an on-failure destination: a POST for each batch or message that was given up."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import aiohttp

from poller.errors import MappingError, SourceGone, Unavailable
from poller.telling import report_id, tell
from poller.web.client import described, session, tls
from poller.web.reply import EXCERPT, MOVED, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poller.core.report import Report, Shortened
    from poller.errors import ApiErrorKind, PollerError
    from poller.ports import Clock

OPERATION: Final = "POST"
GONE: Final = frozenset({404, 410})
KINDS: Final[Mapping[int, ApiErrorKind]] = {
    401: "auth",
    403: "auth",
    407: "auth",
    408: "timeout",
    429: "throttled",
    504: "timeout",
}
REFUSED, SEE_OTHER = 4, 303
"""The class of the statuses that find fault with a request, and a redirect beside those that are `MOVED`."""

EXCERPT_SECONDS: Final = 1.0
"""For what an answer says beside its status: it may never come, and the status is what counts."""

LARGE: Final = 1024 * 1024
SECRET: Final = 8
"""Characters from which on a part of a header is taken for one, if an answer quotes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where documents are posted.

    Attributes:
        headers: of every request, besides those of a JSON document.
        ca_file: certificates of the authorities to trust; None: the system's.
        allow_link_local: connections to link-local addresses are made too.
        timeout: seconds for one request, from connecting to the end of the answer.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    allow_link_local: bool = False
    timeout: float = 30.0


class HttpDestination:
    """A `Destination`. Each report is a request on a connection of its own: there are few, and none is kept open for them.

    `Idempotency-Key` is the same for a report that is sent again after a lost answer. Raises `ConfigError` when it is made with a
    `ca_file` that is of no use.
    """

    def __init__(self, target: Target, clock: Clock, *, include_payload: bool = False) -> None:
        self._target = target
        self._clock = clock
        self._include_payload = include_payload
        self._tls = tls(target.ca_file) if target.url.startswith("https:") else None

    @property
    def kind(self) -> Literal["http"]:
        """For metrics."""
        return "http"

    async def send(self, report: Report) -> Shortened | None:
        """One accepted request for each report."""
        key = report_id(report)
        return await tell(report, lambda body: self._post(body, key), payload=self._include_payload)

    async def _post(self, body: bytes, key: str) -> None:
        url, seconds = self._target.url, self._target.timeout
        try:
            async with asyncio.timeout(seconds):
                reply = await self._asked(body, key)
        except TimeoutError:
            raise Unavailable(OPERATION, "timeout", f"{url}: no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(OPERATION, "connection", f"{url}: {described(error)}") from error
        if not reply.good:
            raise refusal(url, reply, self._clock.time())

    async def _asked(self, body: bytes, key: str) -> Reply:
        target = self._target
        headers = {**target.headers, "Content-Type": "application/json", "Idempotency-Key": key}
        async with (
            session(headers, self._tls, allow_link_local=target.allow_link_local, connections=1) as asking,
            asking.post(
                target.url,
                data=body if len(body) <= LARGE else io.BytesIO(body),
                timeout=aiohttp.ClientTimeout(),
                allow_redirects=False,
            ) as response,
        ):
            told = b"" if response.ok else without(target.headers, await beginning(response))
            return Reply(status=response.status, reason=response.reason or "", headers=response.headers, body=told)


async def beginning(response: aiohttp.ClientResponse) -> bytes:
    """Of the body, as far as it comes: who refuses a large request may hang up right behind the status."""
    with suppress(aiohttp.ClientError, OSError):  # `TimeoutError` is one
        async with asyncio.timeout(EXCERPT_SECONDS):
            return await response.content.read(4 * EXCERPT)
    return b""


def without(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body, less what it quotes of the headers: it goes to logs, and they may be secrets."""
    for value in headers.values():
        for part in (value, *value.split()):
            if len(part) >= SECRET:
                body = body.replace(part.encode(), b"***")
    return body


def refusal(url: str, reply: Reply, now: float) -> PollerError:
    """What an answer other than a 2xx means; `now` in Unix seconds."""
    said = f"{url}: {reply.line}"
    if reply.status in MOVED or reply.status == SEE_OTHER:
        return MappingError(f"{OPERATION}: {said}: redirects are not followed; it says that it is at {reply.target}")
    if reply.status in GONE:
        return SourceGone(f"{OPERATION}: {said}{reply.excerpt}; correct the destination, or what answers there")
    kind = KINDS.get(reply.status, "other" if reply.status // 100 == REFUSED else "server")
    return Unavailable(OPERATION, kind, f"{said}{reply.excerpt}", retry_after=reply.pause(now))
