"""Makes aiobotocore clients: once for each use, set up for what the poller does with them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import NoRegionError, PartialCredentialsError, ProfileNotFound
from botocore.loaders import create_loader

from poller import __version__
from poller.apis.direct import DirectCalls
from poller.apis.errors import FOREIGN, Call, translate
from poller.apis.parser import LeanParserFactory
from poller.apis.staying import StayingSession
from poller.apis.wire import Wire, watchful_socket
from poller.errors import ConfigError

if TYPE_CHECKING:
    from poller.apis.sdk import Sdk

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 30.0
"""Seconds between two pieces of an answer: longer than the longest long poll (20 s)."""


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
        self._transport = transport
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
        self._shorten(client)
        return client

    def _shorten(self, client: Sdk) -> None:
        """Sends calls of JSON services the short way."""
        model = client.meta.service_model
        if model.resolved_protocol != "json":
            return
        wire = Wire(self._transport, client._endpoint.http_session._verify)  # noqa: SLF001  nobody else says whom to trust
        self._stack.push_async_callback(wire.aclose)
        direct = DirectCalls(client, LeanParserFactory().create_parser("json"), wire)
        client.meta.events.register(f"before-call.{model.service_id.hyphenize()}", direct.before_call)
        client._make_api_call = direct.make_api_call  # noqa: SLF001  what the client's methods call

    def _session(self, profile: str | None) -> Sdk:
        if profile not in self._sessions:
            session: Sdk = AioSession(profile=profile)
            session.user_agent_extra = ""  # or botocore's name would follow ours
            session.register_component("response_parser_factory", LeanParserFactory())
            session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
            self._sessions[profile] = session
        return self._sessions[profile]


@cache
def _loader(data_path: str | None) -> Sdk:
    """Reads service models, each once for the process: that of Lambda takes a fifth of a second."""
    return create_loader(data_path)


def _config(transport: Transport) -> Sdk:
    return AioConfig(
        user_agent=f"poller/{__version__}",  # botocore would build its own anew for every request
        parameter_validation=False,  # our own code makes the parameters
        retries={"total_max_attempts": 1},  # callers retry, and count what they see
        max_pool_connections=transport.connections,
        connect_timeout=transport.connect_timeout,
        read_timeout=transport.read_timeout,
        connector_args={"socket_factory": watchful_socket},
        http_session_cls=StayingSession,
        warm_up_loader_caches=True,  # reads the service models in a thread, not on the loop
    )
