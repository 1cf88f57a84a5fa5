"""The short way through botocore signs as botocore does, and is taken."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from support.hostile import hostile, reply

from poller.apis import direct
from poller.apis.client import AwsClients, AwsSettings

if TYPE_CHECKING:
    from poller.apis.sdk import Json

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
BODY = b'{"QueueUrl":"q"}'


@pytest.mark.parametrize("token", [None, "token"])
@pytest.mark.parametrize(
    "url", ["https://sqs.us-east-1.amazonaws.com/", "https://host:443/", "http://127.0.0.1:4566", "http://[::1]:4566/"]
)
def test_a_signature_is_the_one_that_botocore_makes(url: str, token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (auth, direct):
        monkeypatch.setattr(module, "get_current_datetime", lambda *_: NOW)
    given = {"X-Amz-Target": "AmazonSQS.ReceiveMessage", "Content-Type": "application/x-amz-json-1.0"}
    theirs, ours = AWSRequest(method="POST", url=url, data=BODY, headers=given), dict(given)
    credentials = Credentials("access", "secret", token)
    auth.SigV4Auth(credentials, "sqs", "us-east-1").add_auth(theirs)
    host = direct.plain_host(url)
    assert host is not None
    direct.sign(ours, host, BODY, direct.Scope(region="us-east-1", service="sqs"), credentials)
    assert ours["Authorization"] == theirs.headers["Authorization"]


@pytest.mark.parametrize("url", ["http://host/path", "http://host/?query=1", "nothing"])
def test_what_is_more_than_a_host_goes_the_long_way(url: str) -> None:
    assert direct.plain_host(url) is None


async def test_a_call_goes_the_short_way(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Json | None] = []
    short = direct.DirectCalls.call

    async def watched(self: direct.DirectCalls, **given: object) -> object:
        answer = await short(self, **given)  # type: ignore[arg-type]  # as botocore calls it
        taken.append(None if answer is None else answer[1])
        return answer

    monkeypatch.setattr(direct.DirectCalls, "call", watched)
    async with hostile() as server, AwsClients() as clients:
        server.then(reply(200, {"QueueUrl": "http://host/1/q"}))
        client = await clients.client("sqs", AwsSettings(endpoint_url=server.url))
        await client.get_queue_url(QueueName="q")
    assert [answer and answer["QueueUrl"] for answer in taken] == ["http://host/1/q"]
