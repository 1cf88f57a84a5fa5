"""The clients that the Apis go through: endpoints, credentials, sharing, connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from support.aws import WallClock
from support.hostile import Hostile, hostile, reply

from poller.apis.client import AwsClients, AwsSettings, Transport
from poller.apis.kinesis import BotoKinesisApi
from poller.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
PAGE = {"Records": [], "NextShardIterator": "next", "MillisBehindLatest": 2100}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


async def failure_of(call: Callable[[], Awaitable[object]]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await call()
    return caught.value


async def test_without_an_endpoint_the_account_of_the_stream_has_its_own(
    server: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.then(reply(502))
    monkeypatch.setenv("HTTPS_PROXY", server.url)  # every request of the client asks our server for its way
    async with AwsClients() as clients:
        client = await clients.client("kinesis", AwsSettings(region="eu-west-1"))
        error = await failure_of(lambda: BotoKinesisApi(client, WallClock()).get_records(ARN, "iterator", 7))
    assert error.kind == "connection"
    assert [request.line.split()[:2] for request in server.requests] == [
        ["CONNECT", "000000000000.data-kinesis.eu-west-1.amazonaws.com:443"]
    ]


async def test_no_credentials_are_an_auth_error(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    server.then(reply(200, PAGE))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with AwsClients() as clients:
        client = await clients.client("kinesis", AwsSettings(endpoint_url=server.url))
        error = await failure_of(lambda: BotoKinesisApi(client, WallClock()).get_records(ARN, "iterator", 7))
    assert error.kind == "auth"
    assert server.requests == []


def profile(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> AwsSettings:
    (folder / "config").write_text(f"[profile p]\nregion = us-east-1\n{text}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    return AwsSettings(profile="p")


async def test_a_credential_program_that_fails_is_an_auth_error(
    tmp_path: Path, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = profile(tmp_path, "credential_process = /bin/false", monkeypatch)
    async with AwsClients() as clients:
        error = await failure_of(lambda: clients.client("kinesis", settings))
    assert error.kind == "auth"


async def test_a_role_that_may_not_be_assumed_is_an_auth_error(
    server: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("role_arn = arn:aws:iam::000000000000:role/r", "credential_source = Environment")
    settings = profile(tmp_path, "\n".join(lines), monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    refused = b"<ErrorResponse><Error><Code>ResourceNotFoundException</Code><Message>no role</Message></Error></ErrorResponse>"
    server.then(reply(400, refused))

    async def call() -> None:
        async with AwsClients() as clients:
            client = await clients.client("kinesis", settings)
            await BotoKinesisApi(client, WallClock()).get_records(ARN, "iterator", 7)

    assert (await failure_of(call)).kind == "auth"
    assert b"AssumeRole" in server.requests[0].body


@pytest.mark.parametrize(
    "settings", [AwsSettings(profile="nobody"), AwsSettings(endpoint_url="no url at all"), AwsSettings(region="not a region!")]
)
async def test_settings_that_cannot_work_are_a_configuration_error(
    settings: AwsSettings, aws_environment: dict[str, str]
) -> None:
    async with AwsClients() as clients:
        with pytest.raises(ConfigError, match="kinesis"):
            await clients.client("kinesis", settings)


async def test_no_region_is_a_configuration_error(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    async with AwsClients() as clients:
        with pytest.raises(ConfigError, match="region"):
            await clients.client("kinesis", AwsSettings())


async def test_clients_are_shared_by_service_settings_and_purpose(server: Hostile) -> None:
    settings = AwsSettings(endpoint_url=server.url)
    async with AwsClients() as clients, asyncio.TaskGroup() as group:
        both = [group.create_task(clients.client("kinesis", AwsSettings(endpoint_url=server.url))) for _ in range(2)]
        others = [
            group.create_task(clients.client("kinesis", settings, "long polls")),
            group.create_task(clients.client("sqs", settings)),
            group.create_task(clients.client("kinesis", AwsSettings(endpoint_url=server.url, region="eu-west-1"))),
        ]
    made = [task.result() for task in both + others]
    assert made[0] is made[1]
    assert len({id(client) for client in made}) == 4


async def test_a_client_opens_no_more_connections_than_it_may(server: Hostile) -> None:
    third = asyncio.Event()

    async def hold(writer: asyncio.StreamWriter) -> None:
        """Answers late, so that the calls meet here: as many as there may be connections."""
        if len(server.requests) > 2 and not first_answered.is_set():
            third.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(third.wait(), 0.1)
        first_answered.set()
        await reply(200, PAGE)(writer)

    first_answered = asyncio.Event()
    server.then(hold)
    async with AwsClients(Transport(connections=2)) as clients, asyncio.TaskGroup() as group:
        api = BotoKinesisApi(await clients.client("kinesis", AwsSettings(endpoint_url=server.url)), WallClock())
        calls = [group.create_task(api.get_records(ARN, "iterator", 7)) for _ in range(4)]
    assert [call.result().behind for call in calls] == [2.1] * 4
    assert not third.is_set()
