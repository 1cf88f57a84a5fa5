"""One question to an AWS service, and what to say where it is not answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.apis.client import AwsSettings
from poller.apis.errors import Call, perform
from poller.errors import ConfigError, MappingError, SourceGone, Unavailable
from poller.iam import ACTIONS, OF_TABLES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.apis.client import AwsClients
    from poller.apis.sdk import Json, Sdk
    from poller.check.finding import Finding, Subject
    from poller.config import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service at an endpoint, for one mapping's questions.

    Attributes:
        name: `kinesis`, `dynamodbstreams`, `sqs`, ...
        patience: seconds for one call.
    """

    clients: AwsClients
    name: str
    connection: Connection
    patience: float

    @property
    def where(self) -> str:
        """What is asked, and as whom."""
        connection = self.connection
        place = connection.endpoint_url or f"region {connection.region}"
        return f"{place}, profile {connection.profile}" if connection.profile else place

    async def client(self) -> Sdk:
        """Its client. Raises `ConfigError`, `Unavailable`."""
        connection = self.connection
        settings = AwsSettings(region=connection.region, endpoint_url=connection.endpoint_url, profile=connection.profile)
        return await self.clients.client(self.name, settings)

    async def ask(self, operation: str, arn: str, request: Callable[[Sdk], Awaitable[Json]]) -> Json:
        """An answer as it came. Raises the errors of `perform`."""
        return await perform(Call(operation, arn), request(await self.client()), lambda answer: answer, self.patience)


def explained(error: Exception, about: Subject, service: Service, thing: str) -> Finding:
    """Why a question about a thing (`stream orders`) was not answered."""
    match error:
        case SourceGone():
            return about.failed(f"{thing} does not exist ({service.where})", "create it, or correct its ARN, region or account")
        case Unavailable():
            return about.failed(f"{thing}: {said(error)}", _remedy(error, service))
        case ConfigError() | MappingError():
            return about.failed(f"{thing}: {error}", "correct the configuration")
    raise error


def said(error: Unavailable) -> str:
    """The error without the ARN that it is about: the line it stands on says so."""
    operation, _, rest = str(error).partition(": ")
    resource, separator, detail = rest.partition(": ")
    return f"{operation}: {detail if separator and resource.startswith('arn:') else rest}"


def _remedy(error: Unavailable, service: Service) -> str:
    actions = OF_TABLES if service.name == "dynamodbstreams" else ACTIONS
    if error.kind == "auth" and ("redential" in str(error) or error.operation not in actions):
        return "give poller AWS credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID, or the role of its host"
    if error.kind == "auth":
        return (
            f"check which credentials poller has, and that they allow {actions[error.operation]}"
            " (`poller policy` prints what is needed)"
        )
    if error.kind in {"connection", "timeout"}:
        return f"check the network and the endpoint: {service.where}"
    return "try again later" if error.kind in {"throttled", "server"} else "see what the service says"
