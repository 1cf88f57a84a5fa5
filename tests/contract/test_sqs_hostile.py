"""The SQS Api through aiobotocore, when what it talks to misbehaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support.hostile import Behaviour, Hostile, cut_short, hang_up, hostile, in_turn, reply, reset, silence

from poller.apis.client import AwsClients, AwsSettings, Transport
from poller.apis.sqs import BotoSqsApi
from poller.errors import MappingError, SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:sqs:us-east-1:123456789012:dead-letters"
URL = "https://sqs.elsewhere.invalid/123456789012/dead-letters"
FOUND = reply(200, {"QueueUrl": URL})
SENT = reply(200, {"MessageId": "m", "MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: Hostile) -> AsyncIterator[Any]:
    async with AwsClients(Transport(read_timeout=0.3)) as clients:
        yield await clients.client("sqs", AwsSettings(endpoint_url=server.url))


@pytest.fixture
def api(client: Any) -> BotoSqsApi:
    return BotoSqsApi(client)


def answering(server: Hostile, **answers: Behaviour) -> None:
    server.then(reply(500))
    server.answers.update(answers)


def refusal(code: str, query_error: str | None = None, status: int = 400) -> Behaviour:
    headers = {} if query_error is None else {"x_amzn_query_error": query_error}
    return reply(status, {"__type": f"com.amazonaws.sqs#{code}", "message": "because"}, **headers)


async def test_a_queue_is_looked_up_once_in_the_account_of_its_arn(server: Hostile, api: BotoSqsApi) -> None:
    answering(server, GetQueueUrl=FOUND, SendMessage=SENT)
    await api.send_message(ARN, "hello")
    await api.send_message(ARN, "again")
    assert [(request.operation, request.json()) for request in server.requests] == [
        ("GetQueueUrl", {"QueueName": "dead-letters", "QueueOwnerAWSAccountId": "123456789012"}),
        ("SendMessage", {"QueueUrl": URL, "MessageBody": "hello"}),
        ("SendMessage", {"QueueUrl": URL, "MessageBody": "again"}),
    ]


async def test_messages_go_to_the_endpoint_whatever_host_the_queues_url_has(server: Hostile, api: BotoSqsApi) -> None:
    answering(server, GetQueueUrl=FOUND, SendMessage=SENT)
    await api.send_message(ARN, "hello")
    assert server.requests[1].operation == "SendMessage"
    assert server.requests[1].headers["host"] == server.url.removeprefix("http://")


@pytest.mark.parametrize("operation", ["GetQueueUrl", "SendMessage"])
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        pytest.param(cut_short({"QueueUrl": URL, "MessageId": "m"}), "connection", id="cut-short"),
        pytest.param(hang_up, "connection", id="hangs-up"),
        pytest.param(reset, "connection", id="resets"),
        pytest.param(silence, "timeout", id="is-silent"),
        pytest.param(reply(200, b""), "server", id="empty"),
        pytest.param(reply(200, b'{"Queue'), "server", id="half-a-json"),
        pytest.param(reply(200, {}), "server", id="without-members"),
        pytest.param(reply(500), "server", id="500"),
        pytest.param(refusal("RequestThrottled", "RequestThrottled;Sender"), "throttled", id="throttled"),
        pytest.param(refusal("OverLimit", "OverLimit;Sender"), "throttled", id="over-limit"),
        pytest.param(refusal("KmsThrottled", "KMS.ThrottlingException;Sender"), "throttled", id="kms-throttled"),
        pytest.param(refusal("KmsAccessDenied", "KMS.AccessDeniedException;Sender"), "auth", id="kms-denied"),
        pytest.param(refusal("AccessDenied", "AccessDenied;Sender", 403), "auth", id="denied"),
        pytest.param(refusal("InvalidClientTokenId", "InvalidClientTokenId;Sender", 403), "auth", id="unknown-key"),
        pytest.param(refusal("InvalidMessageContents", "InvalidMessageContents;Sender"), "other", id="refused"),
        pytest.param(reply(400, {"__type": "ThrottlingException"}, x_amzn_query_error="odd"), "throttled", id="odd-header"),
    ],
)
async def test_no_confirmation_is_unavailable(
    server: Hostile, api: BotoSqsApi, operation: str, behaviour: Behaviour, kind: str
) -> None:
    answering(server, **{"GetQueueUrl": FOUND, "SendMessage": SENT, operation: behaviour})
    with pytest.raises(Unavailable) as caught:
        await api.send_message(ARN, "hello")
    assert (caught.value.operation, caught.value.kind) == (operation, kind)
    assert ARN in str(caught.value)
    assert [request.operation for request in server.requests].count(operation) == 1


@pytest.mark.parametrize("operation", ["GetQueueUrl", "SendMessage"])
@pytest.mark.parametrize(
    "behaviour",
    [
        refusal("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender"),
        refusal("QueueDoesNotExist"),
        refusal("ResourceNotFoundException"),
    ],
    ids=["query", "json", "not-found"],
)
async def test_a_queue_that_is_not_there_is_gone_by_all_its_names(
    server: Hostile, api: BotoSqsApi, operation: str, behaviour: Behaviour
) -> None:
    answering(server, **{"GetQueueUrl": FOUND, "SendMessage": SENT, operation: behaviour})
    with pytest.raises(SourceGone, match=ARN):
        await api.send_message(ARN, "hello")


async def test_a_queue_that_was_gone_is_looked_up_anew(server: Hostile, api: BotoSqsApi) -> None:
    answering(server, GetQueueUrl=FOUND, SendMessage=in_turn(refusal("QueueDoesNotExist"), SENT))
    with pytest.raises(SourceGone):
        await api.send_message(ARN, "hello")
    await api.send_message(ARN, "hello")
    assert [request.operation for request in server.requests] == ["GetQueueUrl", "SendMessage"] * 2


@pytest.mark.parametrize("arn", ["dead-letters", "arn:aws:sns:us-east-1:123456789012:topic", ARN + ":more", ""])
async def test_what_is_not_the_arn_of_a_queue_stops_the_mapping_before_any_request(
    server: Hostile, api: BotoSqsApi, arn: str
) -> None:
    answering(server, GetQueueUrl=FOUND, SendMessage=SENT)
    with pytest.raises(MappingError, match="ARN of a queue"):
        await api.send_message(arn, "hello")
    assert server.requests == []
