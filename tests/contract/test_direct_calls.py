"""The short way through botocore asks as botocore does, signs as it does, and is taken."""

from __future__ import annotations

import asyncio
import datetime as dt
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.aws import WallClock
from support.hostile import Hostile, Request, hostile, reply

from poller.apis import direct
from poller.apis.client import AwsClients, AwsSettings
from poller.apis.kinesis import BotoKinesisApi
from poller.apis.signing import Scope, Signer
from poller.apis.sqs import BotoSqsApi
from poller.errors import Unavailable
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
BODY = b'{"QueueUrl":"q"}'
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
SIGNED_ANEW = {"x-amz-date", "authorization", "content-length"}

ANSWER = {"QueueUrl": "http://host/1/q", "MessageId": "m", "Records": [], "NextShardIterator": "n", "MillisBehindLatest": 0}

HOT: dict[str, Callable[[BotoSqsApi, BotoKinesisApi], Awaitable[object]]] = {
    "ReceiveMessage": lambda sqs, _: sqs.receive_messages(QUEUE, Receive(limit=3, wait=0, visibility=30, attempt_id="é")),
    "DeleteMessageBatch": lambda sqs, _: sqs.delete_messages(QUEUE, ["r0", 'r"1']),
    "ChangeMessageVisibilityBatch": lambda sqs, _: sqs.change_visibility(QUEUE, ["r0", "r1"], 60),
    "GetRecords": lambda _, kinesis: kinesis.get_records(STREAM, "iterator", 7),
}


@pytest_asyncio.fixture
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        running.then(reply(200, ANSWER))
        yield running


@pytest_asyncio.fixture
async def clients(server: Hostile) -> AsyncIterator[AwsClients]:
    async with AwsClients() as made:
        yield made


async def apis(clients: AwsClients, server: Hostile) -> tuple[BotoSqsApi, BotoKinesisApi]:
    settings = AwsSettings(endpoint_url=server.url)
    kinesis = BotoKinesisApi(await clients.client("kinesis", settings), WallClock())
    return BotoSqsApi(await clients.client("sqs", settings)), kinesis


# ------------------------------------------------------------------------------------------------------------------- signatures


@pytest.mark.parametrize("token", [None, "token"])
@pytest.mark.parametrize(
    "url", ["https://sqs.us-east-1.amazonaws.com/", "https://host:443/", "http://127.0.0.1:4566", "http://[::1]:4566/"]
)
def test_a_signature_is_the_one_that_botocore_makes(url: str, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_: NOW)
    given = {
        "X-Amz-Target": "AmazonSQS.ReceiveMessage",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-A": " before  the date ",
        "User-Agent": "ours",
    }
    theirs = AWSRequest(method="POST", url=url, data=BODY, headers=given)
    credentials = Credentials("access", "secret", token)
    auth.SigV4Auth(credentials, "sqs", "us-east-1").add_auth(theirs)
    origin = direct.plain_origin(url)
    assert origin is not None
    ours = Signer(given, direct.host_of(origin), Scope(region="us-east-1", service="sqs"))
    lines = ours.sign(BODY, "20260102T030405Z", credentials).split("\r\n")
    assert f"Authorization: {theirs.headers['Authorization']}" in lines
    assert (f"X-Amz-Security-Token: {token}" in lines) == (token is not None)


@pytest.mark.parametrize("header", ["X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Either"])
def test_headers_that_would_come_among_those_of_the_signature_are_refused(header: str) -> None:
    with pytest.raises(ValueError, match="signatures"):
        Signer({header: "x"}, "host", Scope(region="us-east-1", service="sqs"))


@pytest.mark.parametrize("url", ["http://host/path", "http://host/?query=1", "nothing", "http://me@host/", "ftp://host/"])
def test_what_is_more_than_a_host_goes_the_long_way(url: str) -> None:
    assert direct.plain_origin(url) is None


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("ending", ["\r\nX-Evil: 1", "é"])
async def test_credentials_that_fit_no_header_are_an_auth_error(
    server: Hostile, variable: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"key{ending}")
    async with AwsClients() as clients:
        _, kinesis = await apis(clients, server)
        with pytest.raises(Unavailable) as caught:
            await kinesis.get_records(STREAM, "iterator", 7)
    assert caught.value.kind == "auth"
    assert server.requests == []


# ------------------------------------------------------------------------------------------------------------------ the hot calls


def said(request: Request) -> tuple[str, dict[str, str], Any]:
    """What a request says, but for what its time and spelling change."""
    headers = {name: value for name, value in request.headers.items() if name not in SIGNED_ANEW}
    return request.line, headers, request.json()


@pytest.fixture
def long_ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that went through botocore."""
    taken: list[str] = []
    handler = direct.DirectCalls.before_call

    async def watched(self: direct.DirectCalls, *, model: Any, **given: Any) -> object:
        taken.append(model.name)
        return await handler(self, model=model, **given)

    monkeypatch.setattr(direct.DirectCalls, "before_call", watched)
    return taken


@pytest.mark.parametrize("operation", HOT)
async def test_what_was_learnt_from_botocore_asks_the_same(
    server: Hostile, clients: AwsClients, operation: str, long_ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    both = await apis(clients, server)
    for _ in range(3):
        await HOT[operation](*both)
    asked = [request for request in server.requests if request.operation == operation]
    assert said(asked[0]) == said(asked[1]) == said(asked[2])
    assert "x-amz-security-token" in asked[2].headers
    assert long_ways.count(operation) == 1
    assert len({request.port for request in asked}) == 1


async def test_what_was_learnt_is_learnt_anew_now_and_then(
    server: Hostile, clients: AwsClients, long_ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "LEARNT_FOR", -1.0)
    both = await apis(clients, server)
    for _ in range(2):
        await HOT["GetRecords"](*both)
    assert long_ways == ["GetRecords"] * 2


async def test_each_stream_has_an_endpoint_of_its_own_to_learn(
    server: Hostile, clients: AwsClients, long_ways: list[str]
) -> None:
    _, kinesis = await apis(clients, server)
    for stream in ("a", "b", "a", "b"):
        await kinesis.get_records(STREAM + stream, "iterator", 7)
    assert long_ways == ["GetRecords"] * 2


async def test_endpoints_differ_by_nothing_else_that_the_hot_calls_say(clients: AwsClients, server: Hostile) -> None:
    settings = AwsSettings(endpoint_url=server.url)
    known = {"ShardIterator", "Limit"} | {direct.RESOURCE}
    for service in ("sqs", "kinesis"):
        model = (await clients.client(service, settings)).meta.service_model
        for operation in direct.HOT & set(model.operation_names):
            chosen_by = {parameter.member_name for parameter in model.operation_model(operation).context_parameters}
            assert chosen_by & known <= {direct.RESOURCE}
            assert service == "kinesis" or not chosen_by


async def test_other_calls_are_signed_and_sent_the_short_way_too(
    server: Hostile, clients: AwsClients, long_ways: list[str]
) -> None:
    sqs, _ = await apis(clients, server)
    for _ in range(2):
        await sqs.send_message(QUEUE, "hello")
    assert long_ways == ["GetQueueUrl", "SendMessage", "SendMessage"]
    assert len({request.port for request in server.requests}) == 1
    assert all("amz-sdk-request" not in request.headers for request in server.requests)  # botocore's own endpoint would add it


# ----------------------------------------------------------------------------------------------------------------------- clocks


async def test_where_our_clock_is_wrong_the_services_is_gone_by(server: Hostile, clients: AwsClients) -> None:
    _, kinesis = await apis(clients, server)
    hour = dt.timedelta(hours=1)

    async def signed_at(date: dt.datetime, code: str | None) -> dt.timedelta:
        """How far ahead a request is dated; its answer is given at `date`."""
        body = {"__type": code} if code else ANSWER
        server.then(reply(400 if code else 200, body, date=format_datetime(date, usegmt=True)))
        (done,) = await asyncio.gather(kinesis.get_records(STREAM, "iterator", 7), return_exceptions=True)
        assert isinstance(done, Unavailable) == bool(code)
        stamp = dt.datetime.strptime(server.requests[0].headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
        return stamp - dt.datetime.now(dt.UTC)

    now, minute = dt.datetime.now(dt.UTC), dt.timedelta(minutes=1)
    assert abs(await signed_at(now + hour, None)) < minute
    assert abs(await signed_at(now + hour, "AccessDeniedException")) < minute
    assert abs(await signed_at(now + hour, "InvalidSignatureException")) < minute
    assert abs(await signed_at(now + hour, None) - hour) < minute
    assert abs(await signed_at(now, "InvalidSignatureException") - hour) < minute
    assert abs(await signed_at(now, None)) < minute


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 24 Nov 2026 19:00:00 -0000"])
def test_a_date_that_is_none_changes_no_clock(date: str) -> None:
    assert direct.ahead_by({"date": date}) == dt.timedelta()
