"""Invokes a function over HTTP: a container with Lambda's Runtime Interface Emulator, a Knative service, or any other.

Requests go to the configured URL and nowhere else: no redirect is followed, no proxy of the environment used, and no connection
made to an address where clouds hand out credentials, whatever the host's name stands for today.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import aiohttp

from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import Errored, Figures, Refused, TooLarge
from poller.executors import payloads
from poller.executors.http_answer import Asked, judge
from poller.executors.http_request import headers_of
from poller.executors.worker import MAX_ANSWER_BYTES
from poller.web.client import described, session, tls
from poller.web.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poller.core.model import Answer, Invocation
    from poller.executors.http_request import Protocol
    from poller.ports import Clock

CONNECT_SECONDS: Final = 5.0
CONNECT_SHARE: Final = 0.8
"""What a connection may take: less than all the time there is, so that a missing host is no time-out of the function."""

LARGE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSpec:
    """A function behind a URL.

    Attributes:
        arn: for invocations that name none.
        headers: of every request, besides those of the protocol.
        ca_file: certificates of the authorities to trust; None: the system's.
        allow_link_local: connections to link-local addresses are made too.
        maximum_concurrency: connections at the same time.
    """

    url: str
    arn: str = ""
    protocol: Protocol = "raw"
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    allow_link_local: bool = False
    maximum_concurrency: int = 1000


class HttpExecutor:
    """Posts events to one URL. What runs elsewhere cannot be stopped: a cancelled invocation is only not waited for."""

    def __init__(self, spec: HttpSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._tls = tls(spec.ca_file) if spec.url.startswith("https:") else None
        self._where = urlsplit(spec.url).netloc
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        spec = self._spec
        self._session = session(
            spec.headers, self._tls, allow_link_local=spec.allow_link_local, connections=spec.maximum_concurrency
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `poller.ports.Executor`. The deadline holds for all of it: connecting, sending, reading the answer."""
        size = len(invocation.event)
        if size > MAX_EVENT_BYTES:
            return TooLarge(size)
        begun, now = self._clock.monotonic(), self._clock.time()
        allowed = max(0.0, invocation.deadline - now)
        try:
            async with asyncio.timeout(allowed):
                reply = await self._post(invocation, allowed, now)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return Refused("unavailable", detail=f"no connection to {self._where}: {described(error)}")
        except TimeoutError:
            return Errored("timeout", payloads.timed_out(invocation.request_id, allowed), self._figures(begun))
        except (aiohttp.ClientError, OSError) as error:
            text = f"the connection broke before the answer was there: {described(error)}"
            return Errored("crash", payloads.broken_off(invocation.request_id, text), self._figures(begun))
        asked = Asked(
            protocol=self._spec.protocol,
            request_id=invocation.request_id,
            event_size=size,
            now=self._clock.time(),
            figures=self._figures(begun),
        )
        return judge(reply, asked)

    async def _post(self, invocation: Invocation, allowed: float, now: float) -> Reply:
        assert self._session is not None  # noqa: S101 - it has been entered
        event = invocation.event
        async with self._session.post(
            self._spec.url,
            data=event if len(event) <= LARGE else io.BytesIO(event),
            headers=headers_of(self._spec.protocol, invocation, invocation.arn or self._spec.arn, now),
            timeout=aiohttp.ClientTimeout(connect=min(CONNECT_SECONDS, CONNECT_SHARE * allowed)),
            allow_redirects=False,
        ) as response:
            body, size = await _body(response)
            return Reply(status=response.status, reason=response.reason or "", headers=response.headers, body=body, size=size)

    def _figures(self, begun: float) -> Figures:
        return Figures(duration=self._clock.monotonic() - begun)


async def _body(response: aiohttp.ClientResponse) -> tuple[bytes, int]:
    """The body, and 0; of one above the limit its beginning, and its size as far as it is known."""
    promised = response.content_length or 0
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if max(size, promised) > MAX_ANSWER_BYTES:
            return parts[0], max(size, promised)
    return parts[0] if len(parts) == 1 else b"".join(parts), 0
