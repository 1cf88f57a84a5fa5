"""The whole configuration. Defaults are Lambda's where Lambda has the field; each field says its unit, default and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic import ValidationInfo as Info

from poller.config.fields import Endpoint, FolderPath, Listen, Name, Region, Text  # noqa: TC001  (the same)
from poller.config.functions import FunctionConfig, LambdaFunctionConfig
from poller.config.mappings import MappingConfig  # noqa: TC001  (the same)
from poller.config.reservations import reservations
from poller.config.rules import collisions
from poller.config.secret_files import filled_in
from poller.config.section import Section, origin
from poller.config.store import shown_store_url, store_url

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails


class AwsConfig(Section):
    """Defaults for all mappings and their destinations."""

    region: Region | None = Field(
        default=None,
        description="Region where neither the mapping nor an ARN names one. Default: none, ARNs of queues and streams do.",
    )
    endpoint_url: Endpoint | None = Field(
        default=None,
        description="Base URL of all services, for a server that stands in for AWS. Default: AWS itself.",
    )
    profile: Text | None = Field(
        default=None,
        description="Profile of the AWS configuration files. Default: botocore's usual search for credentials.",
    )


class StoreConfig(Section):
    """Where leases and checkpoints live."""

    url: Annotated[str, AfterValidator(store_url)] = Field(
        default="sqlite:///poller.db",
        repr=False,  # it may hold a password
        description="sqlite:///PATH, relative to the file (sqlite:////PATH is absolute), for one host; redis://HOST, rediss://HOST,"
        " redis+sentinel://HOST,HOST/SERVICE or unix:///PATH for many; memory:// forgets all at exit."
        " Default sqlite:///poller.db, because a restart must find its checkpoints.",
    )
    url_file: FolderPath | None = Field(
        default=None,
        description="Instead of `url`: a file that holds it, for a URL with a password; relative to the file. Read whenever the"
        " configuration is read; a line break at its end does not count. Default: none.",
    )
    lease_duration: float = Field(
        default=10,
        ge=1,
        le=300,
        description="Seconds that a shard stays ours without renewal: how long others wait after a crash. Default 10.",
    )

    @classmethod
    def from_files(cls, given: dict[str, object], info: Info) -> list[InitErrorDetails]:
        """`url_file`."""
        return filled_in(given, "url", origin(info).folder)

    @property
    def scheme(self) -> str:
        """Of the URL: `memory`, `sqlite`, or one of Redis's (`redis`, `rediss+sentinel`, `unix`, ...)."""
        return self.url.partition(":")[0]

    @property
    def shown_url(self) -> str:
        """The URL for logs: without users and passwords."""
        return shown_store_url(self.url)

    @property
    def path(self) -> Path | None:
        """The absolute path of the SQLite file; None: the store is another."""
        return Path(self.url.removeprefix("sqlite:///")) if self.url.startswith("sqlite:") else None


class HttpConfig(Section):
    """The listener for /metrics, /livez, /readyz and /status."""

    listen: Listen | None = Field(
        default="127.0.0.1:9108",
        description="HOST:PORT, or null for no listener. Default 127.0.0.1:9108: nobody outside reaches it.",
    )


class LogConfig(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least severe level that is logged. Default info: one line a batch.",
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="json: an object a line; console: for people. Default auto: console on a terminal, else json.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach an AWS service; equal connections can share a client.

    Attributes:
        region: of the endpoint and of signatures; None: as the AWS SDKs find it.
        endpoint_url: a base URL, or None for AWS itself.
        profile: of the AWS configuration files, or None.
    """

    region: str | None
    endpoint_url: str | None
    profile: str | None


class Config(Section):
    """All that a file, or a folder of files, says."""

    aws: AwsConfig = Field(default_factory=AwsConfig, description="Defaults for all mappings and destinations.")
    store: StoreConfig = Field(default_factory=StoreConfig, description="Where leases and checkpoints live.")
    http: HttpConfig = Field(default_factory=HttpConfig, description="The listener for metrics and health.")
    log: LogConfig = Field(default_factory=LogConfig, description="What is logged, and how.")
    drain_timeout: float = Field(
        default=30,
        ge=0,
        description="Seconds that invocations in flight get to finish after SIGTERM. Default 30, as Kubernetes's grace period.",
    )
    concurrency_limit: int = Field(
        default=1000,
        ge=1,
        description="Invocations at the same time in this process, over all functions; what functions reserve is a part of it."
        " Default 1000, as an account in Lambda.",
    )
    functions: Mapping[Name, FunctionConfig] = Field(description="Functions by name.")
    event_source_mappings: Annotated[tuple[MappingConfig, ...], Field(strict=False)] = Field(
        description="What feeds which function."
    )

    def source_connection(self, mapping: MappingConfig) -> Connection:
        """How to reach the mapping's source: the mapping's own settings, then the region in the ARN, then `aws`."""
        return self._connection(mapping, mapping.region or mapping.arn.region)

    def destination_connection(self, mapping: MappingConfig) -> Connection | None:
        """How to reach its failure destination: the region in the ARN, the mapping's settings, `aws`. None: AWS has none."""
        target = mapping.destination_config.on_failure
        return self._connection(mapping, target.region or mapping.region) if target.of_aws else None

    def function_connection(self, name: str) -> Connection | None:
        """How to reach a function that AWS runs: the region in its ARN, its own settings, `aws`. None: AWS does not."""
        function = self.functions.get(name)
        if not isinstance(function, LambdaFunctionConfig):
            return None
        region = function.arn.region if function.arn is not None else function.region
        return self._connection(function, region)

    def _connection(self, mapping: MappingConfig | LambdaFunctionConfig, region: str | None) -> Connection:
        return Connection(
            region=region or self.aws.region,
            endpoint_url=mapping.endpoint_url or self.aws.endpoint_url,
            profile=mapping.profile or self.aws.profile,
        )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """Mappings name functions that exist, and do not collide; functions do not reserve more than there is."""
        yield from collisions(given)
        yield from reservations(given, usual=cls.model_fields["concurrency_limit"].default)
