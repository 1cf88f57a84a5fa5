"""The lean HTTP client speaks TLS to those it has reason to trust, on both event loops."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import wire
from support.aws import WallClock
from support.hostile import Hostile, cut_short, hostile, in_turn, raw, reply
from support.wire import GOOD, REQUEST

from poller.apis.client import AwsClients, AwsSettings, Transport
from poller.apis.connection import WireError
from poller.apis.kinesis import BotoKinesisApi
from poller.apis.wire import Origin, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.wire import Scene

FOLDER = Path(__file__).parents[1] / "data" / "tls"
CERTIFICATE = str(FOLDER / "certificate.pem")


run = wire.on_both_loops


@asynccontextmanager
async def secure() -> AsyncIterator[Hostile]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, FOLDER / "key.pem")
    async with hostile(context) as server:
        yield server


async def failure_of(server: Hostile, host: str, verify: bool | str) -> WireError:  # noqa: FBT001  botocore's
    client = Wire(Transport(read_timeout=5), verify)
    try:
        with pytest.raises(WireError) as caught:
            await client.send(Origin(tls=True, host=host, port=int(server.url.rpartition(":")[2])), REQUEST)
    finally:
        await client.aclose()
    return caught.value


def test_a_connection_is_kept_and_large_answers_come_whole(run: Scene) -> None:
    async def scene() -> None:
        async with secure() as server:
            client = Wire(Transport(read_timeout=5), CERTIFICATE)
            origin = Origin(tls=True, host="127.0.0.1", port=int(server.url.rpartition(":")[2]))
            large = b"x" * 5_000_000
            server.then(in_turn(reply(200, large), cut_short(b"hello"), GOOD, raw(b"HTTP/1.1 200 OK\r\n\r\nall", end=True)))
            assert (await client.send(origin, REQUEST)).body == large
            with pytest.raises(WireError) as caught:
                await client.send(origin, REQUEST)
            assert caught.value.kind == "connection"
            assert (await client.send(origin, REQUEST)).body == b"good"
            assert (await client.send(origin, REQUEST)).body == b"all"
            first, second, third, fourth = [request.port for request in server.requests]
            assert first == second != third == fourth
            await client.aclose()
            assert client.connections == 0

    run(scene())


def test_a_server_of_an_unknown_authority_is_not_asked(run: Scene) -> None:
    async def scene() -> None:
        async with secure() as server:
            error = await failure_of(server, "127.0.0.1", verify=True)
            assert error.kind == "connection"
            assert "certificate" in str(error)
            assert server.requests == []

    run(scene())


def test_a_server_of_another_name_is_not_asked(run: Scene) -> None:
    async def scene() -> None:
        async with secure() as server:
            error = await failure_of(server, "localhost", verify=CERTIFICATE)
            assert error.kind == "connection"
            assert "certificate" in str(error)
            assert server.requests == []

    run(scene())


def test_a_bundle_of_authorities_that_is_not_there_is_a_connection_error(run: Scene, tmp_path: Path) -> None:
    async def scene() -> None:
        async with secure() as server:
            assert (await failure_of(server, "127.0.0.1", verify=str(tmp_path / "none.pem"))).kind == "connection"

    run(scene())


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_authorities_are_those_that_the_aws_sdks_are_told_to_trust(
    run: Scene, variable: str, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, CERTIFICATE)

    async def scene() -> None:
        async with secure() as server, AwsClients() as clients:
            server.then(reply(200, {"Records": [], "NextShardIterator": "next", "MillisBehindLatest": 2100}))
            api = BotoKinesisApi(await clients.client("kinesis", AwsSettings(endpoint_url=server.url)), WallClock())
            for _ in range(3):
                assert (await api.get_records("arn:aws:kinesis:us-east-1:000000000000:stream/s", "i", 7)).behind == 2.1
            assert len({request.port for request in server.requests}) == 1

    run(scene())
