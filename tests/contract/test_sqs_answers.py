"""The SQS Api through aiobotocore: what it asks, and what it makes of answers, good and bad."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from contract.sqs_service import ATTRIBUTES
from support.hostile import Hostile, cut_short, hang_up, hostile, in_turn, reply, silence

from poller.apis.client import AwsClients, AwsSettings, Transport
from poller.apis.sqs import BotoSqsApi
from poller.errors import SourceGone, Unavailable
from poller.ports import EntryFailure
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from support.hostile import Behaviour

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:sqs:us-east-1:123456789012:orders.fifo"
URL = "https://sqs.elsewhere.invalid/123456789012/orders.fifo"
FOUND = reply(200, {"QueueUrl": URL})
RECEIVE = Receive(limit=10, wait=1, visibility=120)
MESSAGE = {"MessageId": "m", "ReceiptHandle": "r", "Body": "b", "MD5OfBody": "d"}
DESCRIBED = {"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600"}

CALLS: dict[str, Callable[[BotoSqsApi], Awaitable[object]]] = {
    "SendMessage": lambda api: api.send_message(ARN, "hello"),
    "GetQueueAttributes": lambda api: api.describe_queue(ARN),
    "ReceiveMessage": lambda api: api.receive_messages(ARN, RECEIVE),
    "DeleteMessageBatch": lambda api: api.delete_messages(ARN, ["r0", "r1"]),
    "ChangeMessageVisibilityBatch": lambda api: api.change_visibility(ARN, ["r0", "r1"], 60),
}
BATCHES = ["DeleteMessageBatch", "ChangeMessageVisibilityBatch"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(server: Hostile) -> AsyncIterator[AwsClients]:
    async with AwsClients(Transport(read_timeout=1.0)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def api(server: Hostile, clients: AwsClients) -> BotoSqsApi:
    settings = AwsSettings(endpoint_url=server.url)
    polls = await clients.client("sqs", settings, "polls")
    return BotoSqsApi(await clients.client("sqs", settings), polls=polls, call_timeout=0.3)


def answering(server: Hostile, **answers: Behaviour) -> None:
    server.then(reply(500))
    server.answers.update({"GetQueueUrl": FOUND, **answers})


def refusal(code: str, message: str = "because", status: int = 400, **headers: str) -> Behaviour:
    return reply(status, {"__type": f"com.amazonaws.sqs#{code}", "message": message}, **headers)


def asked(server: Hostile) -> list[tuple[str, Any]]:
    """What was asked but for the queue's URL."""
    return [(request.operation, request.json()) for request in server.requests if request.operation != "GetQueueUrl"]


async def failure_of(call: Awaitable[object]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await call
    return caught.value


# ------------------------------------------------------------------------------------------------------------------ what it asks


async def test_message_attributes_are_sent_with_binary_values_encoded_once(server: Hostile, api: BotoSqsApi) -> None:
    answering(server, SendMessage=reply(200, {"MessageId": "m"}))
    await api.send_message(ARN, "hello", ATTRIBUTES)
    assert asked(server) == [("SendMessage", {"QueueUrl": URL, "MessageBody": "hello", "MessageAttributes": ATTRIBUTES})]


@pytest.mark.parametrize("attempt_id", [None, "x"])
async def test_a_receive_asks_for_everything(server: Hostile, api: BotoSqsApi, attempt_id: str | None) -> None:
    answering(server, ReceiveMessage=reply(200, {}))
    assert await api.receive_messages(ARN, Receive(limit=3, wait=0, visibility=0, attempt_id=attempt_id)) == []
    attempt = {} if attempt_id is None else {"ReceiveRequestAttemptId": attempt_id}
    assert asked(server) == [
        (
            "ReceiveMessage",
            {
                "QueueUrl": URL,
                "MaxNumberOfMessages": 3,
                "WaitTimeSeconds": 0,
                "VisibilityTimeout": 0,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
                **attempt,
            },
        )
    ]


async def test_batches_name_their_entries_by_place(server: Hostile, api: BotoSqsApi) -> None:
    done = reply(200, {"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": []})
    answering(server, DeleteMessageBatch=done, ChangeMessageVisibilityBatch=done)
    assert await api.delete_messages(ARN, ["r0", "r1"]) == ()
    assert await api.change_visibility(ARN, ["r0", "r1"], 0) == ()
    entries = [{"Id": "0", "ReceiptHandle": "r0"}, {"Id": "1", "ReceiptHandle": "r1"}]
    assert asked(server) == [
        ("DeleteMessageBatch", {"QueueUrl": URL, "Entries": entries}),
        ("ChangeMessageVisibilityBatch", {"QueueUrl": URL, "Entries": [{**one, "VisibilityTimeout": 0} for one in entries]}),
    ]


async def test_long_polls_keep_no_other_call_waiting_for_a_connection(server: Hostile) -> None:
    answering(server, ReceiveMessage=silence, GetQueueAttributes=reply(200, {"Attributes": DESCRIBED}))
    settings = AwsSettings(endpoint_url=server.url)
    async with AwsClients(Transport(connections=1, read_timeout=30)) as clients, asyncio.TaskGroup() as group:
        polls = await clients.client("sqs", settings, "polls")
        api = BotoSqsApi(await clients.client("sqs", settings), polls=polls)
        await api.describe_queue(ARN)  # the queue's URL is known now
        polling = group.create_task(api.receive_messages(ARN, RECEIVE))
        async with asyncio.timeout(5):
            while [request.operation for request in server.requests][-2:] != ["ReceiveMessage", "GetQueueAttributes"]:
                await api.describe_queue(ARN)
        assert not polling.done()
        polling.cancel()


async def test_a_receive_may_take_as_long_as_it_waits_and_then_as_long_as_any_call(server: Hostile, api: BotoSqsApi) -> None:
    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        await reply(200, {"Attributes": DESCRIBED})(writer)

    answering(server, ReceiveMessage=late, GetQueueAttributes=late)
    assert (await failure_of(api.describe_queue(ARN))).kind == "timeout"
    assert await api.receive_messages(ARN, RECEIVE) == []


# ----------------------------------------------------------------------------------------------------------- when a call fails


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        pytest.param(cut_short({"Messages": [], "Successful": []}), "connection", id="cut-short"),
        pytest.param(hang_up, "connection", id="hangs-up"),
        pytest.param(reply(200, b'{"Queue'), "server", id="half-a-json"),
        pytest.param(reply(200, b"[]"), "server", id="no-object"),
        pytest.param(reply(503), "server", id="503"),
        pytest.param(refusal("OverLimit"), "throttled", id="over-limit"),
        pytest.param(refusal("RequestThrottled"), "throttled", id="throttled"),
        pytest.param(refusal("AccessDenied", status=403), "auth", id="denied"),
        pytest.param(refusal("UnsupportedOperation"), "other", id="refused"),
    ],
)
async def test_a_call_that_fails_is_unavailable(
    server: Hostile, api: BotoSqsApi, operation: str, behaviour: Behaviour, kind: str
) -> None:
    answering(server, **{operation: behaviour})
    error = await failure_of(CALLS[operation](api))
    assert (error.operation, error.kind) == (operation, kind)
    assert ARN in str(error)
    assert len(asked(server)) == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_how_long_to_wait_before_another_try_is_passed_on(server: Hostile, api: BotoSqsApi, operation: str) -> None:
    answering(server, **{operation: refusal("RequestThrottled", status=429, retry_after="7")})
    assert (await failure_of(CALLS[operation](api))).retry_after == 7


@pytest.mark.parametrize("operation", CALLS)
async def test_a_queue_that_was_gone_is_looked_up_anew(server: Hostile, api: BotoSqsApi, operation: str) -> None:
    gone = refusal("QueueDoesNotExist", x_amzn_query_error="AWS.SimpleQueueService.NonExistentQueue;Sender")
    answering(server, **{operation: in_turn(gone, reply(503))})
    with pytest.raises(SourceGone, match=ARN):
        await CALLS[operation](api)
    await failure_of(CALLS[operation](api))
    assert [request.operation for request in server.requests] == ["GetQueueUrl", operation] * 2


# --------------------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("answer", [{}, {"Messages": []}, {"Messages": None}])
async def test_no_messages_are_no_error(server: Hostile, api: BotoSqsApi, answer: dict[str, Any]) -> None:
    answering(server, ReceiveMessage=reply(200, answer))
    assert await api.receive_messages(ARN, RECEIVE) == []


async def test_a_message_is_passed_on_as_it_came_less_what_is_null(server: Hostile, api: BotoSqsApi) -> None:
    full = {
        **MESSAGE,
        "Attributes": {"SentTimestamp": "1"},
        "MessageAttributes": ATTRIBUTES,
        "MD5OfMessageAttributes": "d",
    }
    nulls = {**MESSAGE, "Attributes": None, "MessageAttributes": None, "MD5OfMessageAttributes": None}
    answering(server, ReceiveMessage=reply(200, {"Messages": [full, nulls]}))
    assert await api.receive_messages(ARN, RECEIVE) == [full, MESSAGE]


@pytest.mark.parametrize(
    "messages",
    [
        "m",
        7,
        {"MessageId": "m"},
        ["m"],
        [7],
        [None],
        [[]],
        *[[{name: value for name, value in MESSAGE.items() if name != missing}] for missing in MESSAGE],
        *[[{**MESSAGE, name: 7}] for name in MESSAGE],
        [{**MESSAGE, "Attributes": "a"}],
        [{**MESSAGE, "Attributes": [["SentTimestamp", "1"]]}],
        [{**MESSAGE, "Attributes": {"SentTimestamp": 1}}],
        [{**MESSAGE, "MessageAttributes": 7}],
        [{**MESSAGE, "MessageAttributes": {"a": "b"}}],
        [{**MESSAGE, "MessageAttributes": {"a": {}}}],
        [{**MESSAGE, "MessageAttributes": {"a": {"DataType": None}}}],
    ],
)
async def test_messages_of_another_shape_are_unavailable(server: Hostile, api: BotoSqsApi, messages: Any) -> None:
    answering(server, ReceiveMessage=reply(200, {"Messages": messages}))
    assert (await failure_of(api.receive_messages(ARN, RECEIVE))).kind == "server"


# ----------------------------------------------------------------------------------------------------------------- descriptions


@pytest.mark.parametrize("count", ["5", 5])
async def test_a_queue_is_described_by_strings(server: Hostile, api: BotoSqsApi, count: str | int) -> None:
    attributes = {
        **DESCRIBED,
        "RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN}", "maxReceiveCount": {count!r}}}'.replace("'", '"'),
        "ApproximateNumberOfMessages": "1",
        "ApproximateNumberOfMessagesNotVisible": "2",
        "ApproximateNumberOfMessagesDelayed": "3",
    }
    answering(server, GetQueueAttributes=reply(200, {"Attributes": attributes}))
    found = await api.describe_queue(ARN)
    assert (found.visibility_timeout, found.retention, found.maximum_receive_count) == (30, 345_600, 5)
    assert (found.visible, found.in_flight, found.delayed) == (1, 2, 3)
    assert asked(server) == [("GetQueueAttributes", {"QueueUrl": URL, "AttributeNames": ["All"]})]


@pytest.mark.parametrize("policy", [{}, {"RedrivePolicy": ""}, {"RedrivePolicy": None}])
async def test_a_queue_without_a_redrive_policy_has_no_maximum(server: Hostile, api: BotoSqsApi, policy: dict[str, Any]) -> None:
    answering(server, GetQueueAttributes=reply(200, {"Attributes": {**DESCRIBED, **policy}}))
    assert (await api.describe_queue(ARN)).maximum_receive_count is None


@pytest.mark.parametrize(
    "attributes",
    [
        None,
        "All",
        [],
        {},
        {"VisibilityTimeout": "30"},
        {**DESCRIBED, "VisibilityTimeout": "soon"},
        {**DESCRIBED, "ApproximateNumberOfMessages": "many"},
        *[{**DESCRIBED, "RedrivePolicy": policy} for policy in ("{", "7", "[]", "{}", '{"maxReceiveCount": null}', 7, {"a": 1})],
    ],
)
async def test_a_description_of_another_shape_is_unavailable(server: Hostile, api: BotoSqsApi, attributes: Any) -> None:
    answering(server, GetQueueAttributes=reply(200, {"Attributes": attributes}))
    assert (await failure_of(api.describe_queue(ARN))).kind == "server"


# ---------------------------------------------------------------------------------------------------------------------- batches


def failing(code: str) -> dict[str, Any]:
    return {"Id": "1", "Code": code, "SenderFault": True, "Message": "because"}


@pytest.mark.parametrize("operation", BATCHES)
@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        ({"Successful": [{"Id": "0"}, {"Id": "1"}]}, ()),
        ({"Successful": [{"Id": "1"}, {"Id": "0"}], "Failed": None}, ()),
        (
            {"Successful": [{"Id": "0"}], "Failed": [failing("InternalError")]},
            (EntryFailure(1, gone=False, detail="InternalError"),),
        ),
        ({"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": [failing("Odd")]}, (EntryFailure(1, gone=False, detail="Odd"),)),
        ({"Successful": [{"Id": "0"}], "Failed": [{"Id": "1"}]}, (EntryFailure(1, gone=False),)),
        ({"Successful": [{"Id": "0"}]}, (EntryFailure(1, gone=False, detail="missing"),)),
        ({"Successful": [{"Id": "0"}, {"Id": "7"}]}, (EntryFailure(1, gone=False, detail="missing"),)),
        ({}, (EntryFailure(0, gone=False, detail="missing"), EntryFailure(1, gone=False, detail="missing"))),
    ],
)
async def test_an_entry_has_failed_unless_the_answer_says_that_it_has_not(
    server: Hostile, api: BotoSqsApi, operation: str, answer: dict[str, Any], failures: tuple[EntryFailure, ...]
) -> None:
    answering(server, **{operation: reply(200, answer)})
    assert await CALLS[operation](api) == failures


@pytest.mark.parametrize("operation", BATCHES)
@pytest.mark.parametrize("prefix", ["", "AWS.SimpleQueueService."])
@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"])
async def test_an_entry_whose_message_is_not_ours_any_more_is_not_worth_a_retry(
    server: Hostile, api: BotoSqsApi, operation: str, prefix: str, code: str
) -> None:
    answering(server, **{operation: reply(200, {"Successful": [{"Id": "0"}], "Failed": [failing(prefix + code)]})})
    assert await CALLS[operation](api) == (EntryFailure(1, gone=True, detail=prefix + code),)


@pytest.mark.parametrize("operation", BATCHES)
@pytest.mark.parametrize(
    "answer",
    [
        {"Successful": 7},
        {"Successful": "0"},
        {"Successful": ["0"]},
        {"Successful": [{}]},
        {"Successful": [{"Id": "first"}]},
        {"Failed": {"Id": "0"}},
        {"Failed": [None]},
        {"Failed": [[]]},
    ],
)
async def test_a_batch_answer_of_another_shape_is_unavailable(
    server: Hostile, api: BotoSqsApi, operation: str, answer: dict[str, Any]
) -> None:
    answering(server, **{operation: reply(200, answer)})
    assert (await failure_of(CALLS[operation](api))).kind == "server"


@pytest.mark.parametrize("operation", BATCHES)
async def test_a_batch_that_is_refused_for_one_entry_is_asked_entry_by_entry(
    server: Hostile, api: BotoSqsApi, operation: str
) -> None:
    refused = refusal("ReceiptHandleIsInvalid", x_amzn_query_error="ReceiptHandleIsInvalid;Sender")
    answering(server, **{operation: in_turn(refused, reply(200, {"Successful": [{"Id": "0"}]}), refused)})
    assert await CALLS[operation](api) == (EntryFailure(1, gone=True, detail="ReceiptHandleIsInvalid"),)
    entries = [[entry["ReceiptHandle"] for entry in request["Entries"]] for _, request in asked(server)]
    assert entries == [["r0", "r1"], ["r0"], ["r1"]]
