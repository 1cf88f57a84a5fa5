"""Invokes a function over HTTP: a container with Lambda's Runtime Interface Emulator, a Knative service, or any other.

Requests go to the configured URL and nowhere else: no redirect is followed, no proxy of the environment used, and no connection
made to an address where clouds hand out credentials, whatever the host's name stands for today.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import aiohttp

from poller import __version__
from poller.core.envelope import MAX_EVENT_BYTES
from poller.core.model import Errored, Figures, Refused, TooLarge
from poller.errors import ConfigError
from poller.executors import payloads
from poller.executors.guard import guarded
from poller.executors.http_answer import Asked, Reply, judge
from poller.executors.http_request import headers_of
from poller.executors.worker import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poller.core.model import Answer, Invocation
    from poller.executors.http_request import Protocol
    from poller.ports import Clock

CONNECT_SECONDS: Final = 5.0
CONNECT_SHARE: Final = 0.8
"""What a connection may take: less than all the time there is, so that a missing host is no time-out of the function."""

IDLE_SECONDS: Final = 1.0
"""An idle connection is closed so soon because the other side closes it too, at a time of its own: a request that it has not seen
and one that it has taken and died over look the same from here, and must not be sent twice."""

NAMES_SECONDS: Final = 10
"""What the DNS said is believed for so long."""

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
        connector = aiohttp.TCPConnector(
            limit=spec.maximum_concurrency,
            ttl_dns_cache=NAMES_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
            ssl=self._tls or True,
            socket_factory=guarded(allow_link_local=spec.allow_link_local),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": f"poller/{__version__}", "Accept-Encoding": "identity", **spec.headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
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
            return Refused("unavailable", detail=f"no connection to {self._where}: {_described(error)}")
        except TimeoutError:
            return Errored("timeout", payloads.timed_out(invocation.request_id, allowed), self._figures(begun))
        except (aiohttp.ClientError, OSError) as error:
            text = f"the connection broke before the answer was there: {_described(error)}"
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


def _described(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"{type(error).__name__}: {' '.join(text.split())[:300]}" if text else type(error).__name__


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """How servers are checked. Raises `ConfigError` where the file is of no use."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # `SSLError` is an `OSError`
        raise ConfigError(f"ca_file {ca_file}: no certificates can be read from it: {error}") from error
