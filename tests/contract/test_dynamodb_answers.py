"""The DynamoDB Streams Api through aiobotocore: what is sent, what an answer becomes, and what odd ones do not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support.aws import WallClock
from support.hostile import Hostile, hostile, in_turn, reply

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.dynamodb_streams import BotoDynamoDbStreamsApi
from poller.core.model import ShardId, StreamId
from poller.errors import DataTrimmed, IteratorExpired, PollerError, SourceGone, Unavailable
from poller.ports import StreamDescription
from poller.services import DynamoDbShard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"
SHARD = ShardId("shardId-00000001573701689000-1e3c6bd3")

CHANGE: dict[str, Any] = {
    "ApproximateCreationDateTime": 1.54508465e9,
    "Keys": {"id": {"N": "101"}},
    "NewImage": {"z": {"S": "\u00e4"}, "data": {"B": "AAEC"}, "id": {"N": "101"}, "a": {"L": [{"NULL": True}]}},
    "SequenceNumber": "4421584500000000017450439091",
    "SizeBytes": 26,
    "StreamViewType": "NEW_AND_OLD_IMAGES",
}
PAGE: dict[str, Any] = {"Records": [{"eventID": "1", "eventName": "INSERT", "dynamodb": CHANGE}], "NextShardIterator": "next"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(aws_environment: dict[str, str]) -> AsyncIterator[Hostile]:
    async with hostile() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: Hostile) -> AsyncIterator[Any]:
    async with AwsClients() as clients:
        yield await clients.client("dynamodbstreams", AwsSettings(endpoint_url=server.url))


@pytest.fixture
def api(client: Any) -> BotoDynamoDbStreamsApi:
    return BotoDynamoDbStreamsApi(client, WallClock())


@pytest.mark.rule("dynamodb.event.images")
async def test_an_answer_is_taken_as_it_is_in_the_order_in_which_it_came(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    server.then(reply(200, PAGE))
    for _ in range(2):  # the first goes botocore's way, the second the short one
        page = await api.get_records(ARN, "iterator", 7)
        assert json.dumps(page.records) == json.dumps(PAGE["Records"])
        assert page.next_iterator == "next"
    assert [request.json() for request in server.requests] == [{"ShardIterator": "iterator", "Limit": 7}] * 2
    assert {request.headers["x-amz-target"] for request in server.requests} == {"DynamoDBStreams_20120810.GetRecords"}
    assert all("/dynamodb/aws4_request" in request.headers["authorization"] for request in server.requests)


@pytest.mark.rule("dynamodb.poll.end-of-shard")
@pytest.mark.parametrize("end", [{"NextShardIterator": None}, {}], ids=["null", "absent"])
async def test_a_shard_ends_where_no_iterator_follows(server: Hostile, api: BotoDynamoDbStreamsApi, end: dict[str, None]) -> None:
    server.then(reply(200, {"Records": [], **end}))
    assert (await api.get_records(ARN, "iterator", 7)).next_iterator is None


def record_with(**change: object) -> dict[str, Any]:
    return {"Records": [{"dynamodb": CHANGE | change}], "NextShardIterator": "next"}


ODD: dict[str, dict[str, Any]] = {
    "empty": {},
    "without-records": {"NextShardIterator": "next"},
    "records-null": {"Records": None, "NextShardIterator": None},
    "records-no-list": {"Records": {}, "NextShardIterator": "next"},
    "iterator-empty": {"Records": [], "NextShardIterator": ""},
    "iterator-a-number": {"Records": [], "NextShardIterator": 7},
    "record-null": {"Records": [None], "NextShardIterator": "next"},
    "record-without-change": {"Records": [{"eventID": "1"}], "NextShardIterator": "next"},
    "change-null": {"Records": [{"dynamodb": None}], "NextShardIterator": "next"},
    "change-a-text": {"Records": [{"dynamodb": "x"}], "NextShardIterator": "next"},
    "number-null": record_with(SequenceNumber=None),
    "number-no-text": record_with(SequenceNumber=17),
    "time-a-text": record_with(ApproximateCreationDateTime="2026-01-01T00:00:00Z"),
    "keys-null": record_with(Keys=None),
    "key-no-value": record_with(Keys={"id": "101"}),
}


@pytest.mark.rule("dynamodb.poll.end-of-shard")
@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
async def test_an_answer_that_lacks_something_is_no_answer_and_no_end(
    server: Hostile, api: BotoDynamoDbStreamsApi, answer: dict[str, Any]
) -> None:
    server.then(reply(200, answer))
    with pytest.raises(Unavailable) as caught:
        await api.get_records(ARN, "iterator", 7)
    assert caught.value.kind == "server"


async def test_a_stream_is_described_from_json_numbers(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    described = {"StreamDescription": {"CreationRequestDateTime": 1764080000.25, "Shards": [], "StreamArn": ARN}}
    server.then(reply(200, described))
    expected = StreamDescription(id=StreamId(arn=ARN, created_at=1764080000.25), retention=86_400.0)
    assert await api.describe_stream(ARN) == expected
    assert server.requests[0].json() == {"StreamArn": ARN, "Limit": 1}


def shards(*entries: dict[str, Any], last: str | None = None) -> dict[str, Any]:
    return {"StreamDescription": {"Shards": list(entries)} | ({"LastEvaluatedShardId": last} if last else {})}


async def test_shards_are_listed_over_all_pages(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    closed = {"ShardId": "a", "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"}}
    child = {"ShardId": "b", "ParentShardId": "a", "SequenceNumberRange": {"StartingSequenceNumber": "10"}}
    server.then(in_turn(reply(200, shards(closed, last="a")), reply(200, shards(last="aa")), reply(200, shards(child))))
    a, b = ShardId("a"), ShardId("b")
    assert await api.list_shards(ARN) == (DynamoDbShard(id=a, closed=True), DynamoDbShard(id=b, parent=a))
    following = [request.json().get("ExclusiveStartShardId") for request in server.requests]
    assert following == [None, "a", "aa"]  # a page may hold no shard at all


async def test_a_page_of_shards_that_is_lost_leaves_no_part_of_the_list(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    server.then(in_turn(reply(200, shards({"ShardId": "a"}, last="a")), reply(500)))
    with pytest.raises(Unavailable) as caught:
        await api.list_shards(ARN)
    assert caught.value.kind == "server"


async def test_pages_of_shards_that_do_not_go_on_are_no_list(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    server.then(reply(200, shards({"ShardId": "a"}, last="a")))
    with pytest.raises(Unavailable, match="do not go beyond a") as caught:
        await api.list_shards(ARN)
    assert caught.value.kind == "server"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [{}, {"StreamDescription": {}}, {"StreamDescription": {"Shards": [{}]}}, shards({"ShardId": 7}), shards({"ShardId": ""})],
)
async def test_shards_that_have_no_name_are_no_answer(
    server: Hostile, api: BotoDynamoDbStreamsApi, answer: dict[str, Any]
) -> None:
    server.then(reply(200, answer))
    with pytest.raises(Unavailable):
        await api.list_shards(ARN)


async def test_an_iterator_is_asked_for_with_just_what_its_kind_needs(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    server.then(reply(200, {"ShardIterator": "i"}, date="Mon, 23 Nov 2026 06:28:33 GMT"))
    assert (await api.get_shard_iterator(ARN, SHARD, "LATEST")).server_time == 1795415313.0
    await api.get_shard_iterator(ARN, SHARD, "AFTER_SEQUENCE_NUMBER", sequence_number="42")
    shard = {"StreamArn": ARN, "ShardId": SHARD}
    assert [request.json() for request in server.requests] == [
        {**shard, "ShardIteratorType": "LATEST"},
        {**shard, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "42"},
    ]


async def test_without_a_date_header_the_time_is_the_clocks(server: Hostile, api: BotoDynamoDbStreamsApi) -> None:
    server.then(reply(200, {"ShardIterator": "i"}))
    before = time.time()
    assert before <= (await api.get_shard_iterator(ARN, SHARD, "LATEST")).server_time <= time.time()


PREFIX = "com.amazonaws.dynamodb.v20120810#"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("TrimmedDataAccessException", DataTrimmed),
        ("ExpiredIteratorException", IteratorExpired),
        ("ResourceNotFoundException", SourceGone),
    ],
)
async def test_errors_say_what_to_do(server: Hostile, api: BotoDynamoDbStreamsApi, code: str, error: type[PollerError]) -> None:
    server.then(reply(400, {"__type": PREFIX + code, "message": "because"}))
    with pytest.raises(error, match="because"):
        await api.get_records(ARN, "iterator", 7)
    with pytest.raises(error, match=SHARD):
        await api.get_shard_iterator(ARN, SHARD, "LATEST")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "LimitExceededException", "throttled"),
        (400, "ThrottlingException", "throttled"),
        (400, "AccessDeniedException", "auth"),
        (400, "ValidationException", "other"),
        (500, "InternalServerError", "server"),
    ],
)
async def test_other_errors_are_tried_again_later(
    server: Hostile, api: BotoDynamoDbStreamsApi, status: int, code: str, kind: str
) -> None:
    server.then(reply(status, {"__type": PREFIX + code, "message": "because"}))
    with pytest.raises(Unavailable) as caught:
        await api.get_records(ARN, "iterator", 7)
    assert caught.value.kind == kind
