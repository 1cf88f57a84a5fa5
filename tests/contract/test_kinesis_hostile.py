"""The Kinesis Api through aiobotocore, when what it talks to misbehaves."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support.aws import WallClock
from support.hostile import (
    Behaviour,
    Hostile,
    cut_short,
    hang_up,
    hostile,
    in_turn,
    nonsense,
    reply,
    reset,
    silence,
    trickle,
)
from support.servers import free_port

from poller.apis.client import AwsClients, AwsSettings, Transport
from poller.apis.kinesis import BotoKinesisApi
from poller.core.model import ShardId
from poller.errors import IteratorExpired, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
SHARD = ShardId("shardId-000000000000")
READ_TIMEOUT = 0.3

PAGE: dict[str, Any] = {
    "Records": [
        {
            "SequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "ApproximateArrivalTimestamp": 1545084650.987,
            "Data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "PartitionKey": "1",
        }
    ],
    "NextShardIterator": "next",
    "MillisBehindLatest": 2100,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: Hostile) -> AsyncIterator[Any]:
    async with AwsClients(Transport(read_timeout=READ_TIMEOUT)) as clients:
        yield await clients.client("kinesis", AwsSettings(endpoint_url=server.url))


@pytest.fixture
def api(client: Any) -> BotoKinesisApi:
    return BotoKinesisApi(client, WallClock())


async def failure_of(call: Callable[[], Awaitable[object]]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await call()
    return caught.value


def refusal(code: str, message: str = "because") -> dict[str, str]:
    return {"__type": code, "message": message}


# ---- answers that are none


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        pytest.param(cut_short(PAGE), "connection", id="cut-short"),
        pytest.param(cut_short({}), "connection", id="cut-short-after-an-object"),
        pytest.param(hang_up, "connection", id="hangs-up"),
        pytest.param(reset, "connection", id="resets"),
        pytest.param(nonsense, "connection", id="does-not-speak-http"),
        pytest.param(silence, "timeout", id="is-silent"),
        pytest.param(reply(200, b'{"Records": ['), "server", id="half-a-json"),
        pytest.param(reply(200, b"<html>welcome to the hotel</html>"), "server", id="not-json"),
        pytest.param(reply(200, b""), "server", id="empty"),
        pytest.param(reply(200, b"[]"), "server", id="a-list"),
        pytest.param(reply(200, b"null"), "server", id="null"),
        pytest.param(reply(200, b"\xff\xfe"), "server", id="not-utf8"),
        pytest.param(reply(200, {}), "server", id="without-members"),
        pytest.param(reply(200, {"Records": []}), "server", id="half-the-members"),
        pytest.param(reply(200, {"Records": None, "MillisBehindLatest": 0}), "server", id="null-records"),
        pytest.param(reply(200, {"Records": [], "MillisBehindLatest": "0"}), "server", id="text-for-a-number"),
    ],
)
async def test_no_usable_answer_is_unavailable(server: Hostile, api: BotoKinesisApi, behaviour: Behaviour, kind: str) -> None:
    server.then(behaviour)
    error = await failure_of(lambda: api.get_records(ARN, "iterator", 7))
    assert (error.operation, error.kind) == ("GetRecords", kind)
    assert ARN in str(error)
    assert "\n" not in str(error)
    assert len(server.requests) == 1


async def test_an_answer_that_trickles_has_an_end(server: Hostile, client: Any) -> None:
    server.then(trickle)
    error = await failure_of(lambda: BotoKinesisApi(client, WallClock(), call_timeout=0.5).get_records(ARN, "iterator", 7))
    assert error.kind == "timeout"


async def test_a_server_that_is_not_there_is_a_connection_error(aws_environment: dict[str, str]) -> None:
    async with AwsClients() as clients:
        client = await clients.client("kinesis", AwsSettings(endpoint_url=f"http://127.0.0.1:{free_port()}"))
        error = await failure_of(lambda: BotoKinesisApi(client, WallClock()).get_records(ARN, "iterator", 7))
    assert error.kind == "connection"


async def test_a_server_that_speaks_no_tls_is_a_connection_error(aws_environment: dict[str, str]) -> None:
    async with await greeter() as plain, AwsClients() as clients:
        url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        client = await clients.client("kinesis", AwsSettings(endpoint_url=url))
        error = await failure_of(lambda: BotoKinesisApi(client, WallClock()).get_records(ARN, "iterator", 7))
    assert error.kind == "connection"
    assert "SSL" in str(error)


async def greeter() -> asyncio.Server:
    """Says something before it is asked, as no TLS server does."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await reader.read()
        writer.close()

    return await asyncio.start_server(greet, "127.0.0.1", 0)


async def test_the_next_call_after_a_bad_one_works(server: Hostile, api: BotoKinesisApi) -> None:
    for behaviour in (reset, hang_up, silence, cut_short(PAGE)):
        server.then(in_turn(behaviour, reply(200, PAGE)))
        await failure_of(lambda: api.get_records(ARN, "iterator", 7))
        assert (await api.get_records(ARN, "iterator", 7)).records == PAGE["Records"]


async def test_a_cancelled_call_is_cancelled_and_harms_no_other(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(in_turn(silence, reply(200, PAGE)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await api.get_records(ARN, "iterator", 7)
    assert (await api.get_records(ARN, "iterator", 7)).records == PAGE["Records"]


# ---- errors that the service answers


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, refusal("ProvisionedThroughputExceededException"), "throttled"),
        (400, refusal("LimitExceededException"), "throttled"),
        (400, refusal("ThrottlingException"), "throttled"),
        (400, refusal("Throttling"), "throttled"),
        (400, refusal("RequestLimitExceeded"), "throttled"),
        (400, refusal("KMSThrottlingException"), "throttled"),
        (400, refusal("TooManyRequestsException"), "throttled"),
        (503, refusal("SlowDown"), "throttled"),
        (429, b"<html>slow down</html>", "throttled"),
        (400, refusal("com.amazonaws.kinesis#ProvisionedThroughputExceededException:http://x/"), "throttled"),
        (500, refusal("InternalFailure"), "server"),
        (503, refusal("ServiceUnavailable"), "server"),
        (500, b"", "server"),
        (502, b"<html>bad gateway</html>", "server"),
        (500, b"[1]", "server"),
        (500, {"__type": 5, "message": ["odd"]}, "server"),
        (500, {"message": None}, "server"),
        (403, refusal("AccessDeniedException", "User: u is not authorized"), "auth"),
        (400, refusal("AccessDenied"), "auth"),
        (400, refusal("UnrecognizedClientException"), "auth"),
        (403, refusal("InvalidClientTokenId"), "auth"),
        (400, refusal("ExpiredTokenException"), "auth"),
        (403, refusal("ExpiredToken"), "auth"),
        (403, refusal("SignatureDoesNotMatch"), "auth"),
        (400, refusal("InvalidSignatureException"), "auth"),
        (400, refusal("KMSAccessDeniedException"), "auth"),
        (400, refusal("KMSDisabledException"), "auth"),
        (403, b"<html>forbidden</html>", "auth"),
        (400, refusal("InvalidArgumentException"), "other"),
        (400, refusal("SomethingNewException"), "other"),
        (400, b"", "other"),
        (404, b"not here", "other"),
        (408, b"", "timeout"),
    ],
)
async def test_an_error_has_the_kind_of_its_code(
    server: Hostile, api: BotoKinesisApi, status: int, body: bytes | dict[str, Any], kind: str
) -> None:
    server.then(reply(status, body))
    error = await failure_of(lambda: api.get_records(ARN, "iterator", 7))
    assert (error.operation, error.kind) == ("GetRecords", kind)
    assert len(server.requests) == 1


async def test_an_error_names_operation_resource_and_code_on_one_line(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(400, refusal("ProvisionedThroughputExceededException", "Rate exceeded\nfor shard")))
    error = await failure_of(lambda: api.get_records(ARN, "iterator", 7))
    assert str(error) == f"GetRecords: {ARN}: ProvisionedThroughputExceededException: Rate exceeded for shard"


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("soon", None), ("-1", None), ("1e9", None)]
)
async def test_retry_after_is_told(server: Hostile, api: BotoKinesisApi, header: str, seconds: float | None) -> None:
    server.then(reply(503, b"", retry_after=header))
    assert (await failure_of(lambda: api.get_records(ARN, "iterator", 7))).retry_after == seconds


async def test_refused_credentials_leak_nothing_of_the_signed_request(server: Hostile, api: BotoKinesisApi) -> None:
    secret = "The Canonical String should have been 'x-amz-security-token:SECRET'"
    server.then(reply(403, refusal("InvalidSignatureException", secret)))
    error = await failure_of(lambda: api.get_records(ARN, "iterator", 7))
    assert "InvalidSignatureException" in str(error)
    assert "SECRET" not in "".join(traceback.format_exception(error))


async def test_an_expired_iterator_is_said_to_be_expired(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(400, refusal("ExpiredIteratorException", "Iterator expired")))
    with pytest.raises(IteratorExpired, match="GetRecords"):
        await api.get_records(ARN, "iterator", 7)


async def test_a_stream_that_is_not_there_is_gone(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(400, refusal("ResourceNotFoundException", "Stream s not found")))
    with pytest.raises(SourceGone, match=ARN):
        await api.get_records(ARN, "iterator", 7)
