"""What operators ask of SQS through aiobotocore: the requests, and what is made of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from contract.sqs_service import ATTRIBUTES
from support.hostile import Hostile, hostile, in_turn, reply

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.dead_letters import BotoDeadLetterApi
from poller.errors import SourceGone, Unavailable
from poller.ports import EntryFailure
from poller.services import MoveTask, Outgoing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.hostile import Behaviour

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:sqs:eu-west-1:123456789012:dead"
TO = "arn:aws:sqs:eu-west-1:123456789012:orders"
URL = "https://sqs.elsewhere.invalid/123456789012/dead"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(server: Hostile) -> AsyncIterator[BotoDeadLetterApi]:
    async with AwsClients() as clients:
        yield BotoDeadLetterApi(await clients.client("sqs", AwsSettings(endpoint_url=server.url)))


def answering(server: Hostile, **answers: Behaviour) -> None:
    server.then(reply(500))
    server.answers.update({"GetQueueUrl": reply(200, {"QueueUrl": URL}), **answers})


def asked(server: Hostile) -> list[tuple[str, Any]]:
    """What was asked but for the queue's URL."""
    return [(request.operation, request.json()) for request in server.requests if request.operation != "GetQueueUrl"]


async def test_messages_go_with_all_that_they_carry_and_what_is_not_named_has_failed(
    server: Hostile, api: BotoDeadLetterApi
) -> None:
    answer = {
        "Successful": [{"Id": "0", "MessageId": "m0", "MD5OfMessageBody": "x"}],
        "Failed": [
            {"Id": "1", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"},
            {"Id": "2", "SenderFault": False, "Code": "InternalError"},
        ],
    }
    answering(server, SendMessageBatch=reply(200, answer))
    first = Outgoing(body="a", attributes=ATTRIBUTES, group="g", deduplication="d", trace="Root=1")
    outcomes = await api.send_messages(ARN, [first, *[Outgoing(body=body) for body in "bcd"]])
    assert outcomes == (
        "m0",
        EntryFailure(1, gone=True, detail="InvalidMessageContents: no"),
        EntryFailure(2, gone=False, detail="InternalError"),
        EntryFailure(3, gone=False, detail="missing"),
    )
    [(operation, request)] = asked(server)
    assert operation == "SendMessageBatch"
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    assert request == {
        "QueueUrl": URL,
        "Entries": [
            {
                "Id": "0",
                "MessageBody": "a",
                "MessageAttributes": ATTRIBUTES,
                "MessageGroupId": "g",
                "MessageDeduplicationId": "d",
                "MessageSystemAttributes": trace,
            },
            *[{"Id": str(index), "MessageBody": body} for index, body in enumerate("bcd", 1)],
        ],
    }


async def test_the_queues_that_give_up_to_it_come_as_arns_from_all_pages(server: Hostile, api: BotoDeadLetterApi) -> None:
    pages = [
        {"queueUrls": [f"https://sqs.eu-west-1.amazonaws.com/123456789012/{name}"], **more}
        for name, more in (("a", {"NextToken": "t"}), ("b.fifo", {}))
    ]
    answering(server, ListDeadLetterSourceQueues=in_turn(*[reply(200, page) for page in pages]))
    found = await api.dead_letter_sources(ARN)
    assert found == ("arn:aws:sqs:eu-west-1:123456789012:a", "arn:aws:sqs:eu-west-1:123456789012:b.fifo")
    assert [request.get("NextToken") for _, request in asked(server)] == [None, "t"]


async def test_a_task_is_started_listed_and_cancelled_by_its_names(server: Hostile, api: BotoDeadLetterApi) -> None:
    running = {"TaskHandle": "h", "Status": "RUNNING", "SourceArn": ARN, "ApproximateNumberOfMessagesMoved": 7}
    failed = {"Status": "FAILED", "SourceArn": ARN, "ApproximateNumberOfMessagesToMove": 9, "FailureReason": "AccessDenied"}
    answering(
        server,
        StartMessageMoveTask=reply(200, {"TaskHandle": "h"}),
        ListMessageMoveTasks=reply(200, {"Results": [running, failed]}),
        CancelMessageMoveTask=reply(200, {"ApproximateNumberOfMessagesMoved": 7}),
    )
    assert await api.start_move(ARN, TO, 50) == "h"
    assert await api.start_move(ARN, TO, None) == "h"
    assert await api.move_tasks(ARN) == (
        MoveTask(handle="h", status="RUNNING", moved=7),
        MoveTask(handle="", status="FAILED", moved=0, in_all=9, reason="AccessDenied"),
    )
    await api.cancel_move(ARN, "h")
    assert asked(server) == [
        ("StartMessageMoveTask", {"SourceArn": ARN, "DestinationArn": TO, "MaxNumberOfMessagesPerSecond": 50}),
        ("StartMessageMoveTask", {"SourceArn": ARN, "DestinationArn": TO}),
        ("ListMessageMoveTasks", {"SourceArn": ARN, "MaxResults": 10}),
        ("CancelMessageMoveTask", {"TaskHandle": "h"}),
    ]


async def test_servers_without_tasks_are_told_from_queues_that_are_gone(server: Hostile, api: BotoDeadLetterApi) -> None:
    answering(server, ListMessageMoveTasks=reply(400, {"__type": "com.amazonaws.sqs#InvalidAction", "message": "not valid"}))
    with pytest.raises(Unavailable) as caught:
        await api.move_tasks(ARN)
    assert caught.value.kind == "other"
    answering(server, ListMessageMoveTasks=reply(404, {"__type": "com.amazonaws.sqs#ResourceNotFoundException"}))
    with pytest.raises(SourceGone):
        await api.move_tasks(ARN)
