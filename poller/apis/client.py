"""Makes aiobotocore clients: once for each use, set up for what the poller does with them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import NoRegionError, PartialCredentialsError, ProfileNotFound

from poller import __version__
from poller.apis.direct import DirectCalls
from poller.apis.errors import FOREIGN, Call, translate
from poller.apis.parser import LeanParserFactory
from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.apis.sdk import Sdk

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 30.0
"""Seconds between two pieces of an answer: longer than the longest long poll (20 s)."""

KEEPALIVE_IDLE: Final = 60
KEEPALIVE_INTERVAL: Final = 15
KEEPALIVE_PROBES: Final = 4
"""A connection is probed after 60 silent seconds, and given up after four probes without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """Where a service is, and who asks it.

    Attributes:
        region: None: as the AWS SDKs find it (AWS_DEFAULT_REGION, the profile).
        endpoint_url: where all requests go; None: botocore's endpoint rules decide for each request.
        profile: a profile of the AWS configuration files; None: the SDKs' usual chain of credentials.
    """

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How clients talk.

    Attributes:
        connections: open at the same time for each client, at the most. A long poll holds one for its whole time.
        connect_timeout: seconds.
        read_timeout: seconds between two pieces of an answer.
    """

    connections: int = 10
    connect_timeout: float = CONNECT_TIMEOUT
    read_timeout: float = READ_TIMEOUT


DEFAULT_TRANSPORT: Final = Transport()


class AwsClients:
    """Clients of AWS services, made when first asked for, shared, and closed together at the end.

    Used as an async context manager around everything that uses its clients.
    """

    def __init__(self, transport: Transport = DEFAULT_TRANSPORT) -> None:
        self._config = _config(transport)
        self._clients: dict[tuple[str, AwsSettings, str], Sdk] = {}
        self._sessions: dict[str | None, Sdk] = {}
        self._making = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._clients.clear()
        await self._stack.aclose()

    async def client(self, service: str, settings: AwsSettings, purpose: str = "") -> Sdk:
        """The client for a service (`kinesis`, `sqs`), the same one for the same arguments.

        Another `purpose` gets a client, and so a connection pool, of its own: long polls must not keep deletes waiting.

        Raises:
            ConfigError: the profile does not exist, there is no region, or the endpoint is no URL.
            Unavailable: the credentials cannot be loaded.
        """
        key = (service, settings, purpose)
        async with self._making:
            if key not in self._clients:
                self._clients[key] = await self._make(service, settings)
            return self._clients[key]

    async def _make(self, service: str, settings: AwsSettings) -> Sdk:
        region, url = settings.region, settings.endpoint_url
        try:
            creating = self._session(settings.profile).create_client(
                service, region_name=region, endpoint_url=url, config=self._config
            )
            client: Sdk = await self._stack.enter_async_context(creating)
        except (ProfileNotFound, NoRegionError, PartialCredentialsError, ValueError) as error:
            raise ConfigError(f"cannot make a client for {service} (region {region}, endpoint {url}): {error}") from error
        except FOREIGN as error:
            raise translate(error, Call("CreateClient", service)) from None
        _shorten(client)
        return client

    def _session(self, profile: str | None) -> Sdk:
        if profile not in self._sessions:
            session: Sdk = AioSession(profile=profile)
            session.user_agent_extra = ""  # or botocore's name would follow ours
            session.register_component("response_parser_factory", LeanParserFactory())
            self._sessions[profile] = session
        return self._sessions[profile]


def _shorten(client: Sdk) -> None:
    """Sends calls of JSON services the short way."""
    model = client.meta.service_model
    if model.resolved_protocol == "json":
        direct = DirectCalls(client, LeanParserFactory().create_parser("json"))
        client.meta.events.register(f"before-call.{model.service_id.hyphenize()}", direct.call)


def _config(transport: Transport) -> Sdk:
    return AioConfig(
        user_agent=f"poller/{__version__}",  # botocore would build its own anew for every request
        parameter_validation=False,  # our own code makes the parameters
        retries={"total_max_attempts": 1},  # callers retry, and count what they see
        max_pool_connections=transport.connections,
        connect_timeout=transport.connect_timeout,
        read_timeout=transport.read_timeout,
        connector_args={"socket_factory": _socket},
        warm_up_loader_caches=True,  # reads the service models in a thread, not on the loop
    )


def _socket(address: Sequence[Sdk]) -> socket.socket:
    """A socket that notices a dead peer; aiobotocore ignores `tcp_keepalive`."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    return made
