"""The Kinesis Api through aiobotocore, when what it talks to misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from pathlib import Path
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

from poller import __version__
from poller.apis.client import AwsClients, AwsSettings, Transport
from poller.apis.kinesis import BotoKinesisApi
from poller.core.model import ShardId, StreamId
from poller.errors import ConfigError, IteratorExpired, SourceGone, Unavailable
from poller.ports import KinesisShard, StreamDescription

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


# ---- what a sound answer becomes


async def test_an_answer_is_taken_as_it_is(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, PAGE))
    page = await api.get_records(ARN, "iterator", 7)
    assert page.records == PAGE["Records"]
    assert (page.next_iterator, page.behind) == ("next", 2.1)
    assert server.requests[0].json() == {"StreamARN": ARN, "ShardIterator": "iterator", "Limit": 7}


@pytest.mark.parametrize("end", [{"NextShardIterator": None}, {}])
async def test_a_shard_ends_where_no_iterator_follows(server: Hostile, api: BotoKinesisApi, end: dict[str, None]) -> None:
    server.then(reply(200, {"Records": [], "MillisBehindLatest": 0, "ChildShards": [], **end}))
    assert (await api.get_records(ARN, "iterator", 7)).next_iterator is None


async def test_requests_name_the_poller_and_its_version(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, PAGE))
    await api.get_records(ARN, "iterator", 7)
    assert server.requests[0].headers["user-agent"] == f"poller/{__version__}"


async def test_connections_are_kept_alive_by_tcp(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, PAGE))
    await api.get_records(ARN, "iterator", 7)
    assert timers_of_connections_from(server.requests[0].port) == ["02"]  # the kernel's code for a keep-alive timer


def timers_of_connections_from(port: int) -> list[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[5].split(":")[0] for row in rows if row[1] == f"0100007F:{port:04X}"]


async def test_a_stream_is_described_from_json_numbers(server: Hostile, api: BotoKinesisApi) -> None:
    summary = {"StreamCreationTimestamp": 1764080000.25, "RetentionPeriodHours": 48, "StreamARN": ARN}
    server.then(reply(200, {"StreamDescriptionSummary": summary}))
    expected = StreamDescription(id=StreamId(arn=ARN, created_at=1764080000.25), retention=172_800.0)
    assert await api.describe_stream(ARN) == expected


async def test_shards_are_listed_over_all_pages(server: Hostile, api: BotoKinesisApi) -> None:
    first = {"Shards": [{"ShardId": "a"}, {"ShardId": "b", "ParentShardId": "a"}], "NextToken": "more"}
    last = {"Shards": [{"ShardId": "c", "ParentShardId": "a", "AdjacentParentShardId": "b"}]}
    server.then(in_turn(reply(200, first), reply(200, last)))
    a, b, c = ShardId("a"), ShardId("b"), ShardId("c")
    assert await api.list_shards(ARN) == (
        KinesisShard(id=a),
        KinesisShard(id=b, parents=(a,)),
        KinesisShard(id=c, parents=(a, b)),
    )
    assert [request.json() for request in server.requests] == [{"StreamARN": ARN}, {"NextToken": "more"}]


async def test_a_page_of_shards_that_is_lost_leaves_no_part_of_the_list(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(in_turn(reply(200, {"Shards": [{"ShardId": "a"}], "NextToken": "more"}), reply(500)))
    assert (await failure_of(lambda: api.list_shards(ARN))).kind == "server"


async def test_the_servers_time_is_its_date_header(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, {"ShardIterator": "i"}, date="Mon, 23 Nov 2026 06:28:33 GMT"))
    assert (await api.get_shard_iterator(ARN, SHARD, "LATEST")).server_time == 1795415313.0


async def test_without_a_date_header_the_time_is_the_clocks(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, {"ShardIterator": "i"}))
    before = time.time()
    assert before <= (await api.get_shard_iterator(ARN, SHARD, "LATEST")).server_time <= time.time()


async def test_an_iterator_is_asked_for_with_just_what_its_kind_needs(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, {"ShardIterator": "i"}))
    await api.get_shard_iterator(ARN, SHARD, "TRIM_HORIZON")
    await api.get_shard_iterator(ARN, SHARD, "AFTER_SEQUENCE_NUMBER", sequence_number="42")
    await api.get_shard_iterator(ARN, SHARD, "AT_TIMESTAMP", timestamp=1764080000.1239)
    shard = {"StreamARN": ARN, "ShardId": SHARD}
    assert [request.json() for request in server.requests] == [
        {**shard, "ShardIteratorType": "TRIM_HORIZON"},
        {**shard, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "42"},
        {**shard, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1764080000.123},
    ]


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


# ---- endpoints and credentials


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
