"""The Kinesis Api through aiobotocore, when all is well: what is sent, and what an answer becomes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support.aws import WallClock
from support.hostile import Hostile, hostile, in_turn, reply

from poller import __version__
from poller.apis.client import AwsClients, AwsSettings
from poller.apis.kinesis import BotoKinesisApi
from poller.core.model import ShardId, StreamId
from poller.errors import Unavailable
from poller.ports import StreamDescription
from poller.services import KinesisShard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
SHARD = ShardId("shardId-000000000000")

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
    async with AwsClients() as clients:
        yield await clients.client("kinesis", AwsSettings(endpoint_url=server.url))


@pytest.fixture
def api(client: Any) -> BotoKinesisApi:
    return BotoKinesisApi(client, WallClock())


async def test_an_answer_is_taken_as_it_is(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, PAGE))
    page = await api.get_records(ARN, "iterator", 7)
    assert page.records == PAGE["Records"]
    assert (page.next_iterator, page.behind) == ("next", 2.1)
    assert server.requests[0].json() == {"StreamARN": ARN, "ShardIterator": "iterator", "Limit": 7}


@pytest.mark.parametrize("end", [{"NextShardIterator": None}, {}])
async def test_a_shard_ends_where_no_iterator_follows(server: Hostile, api: BotoKinesisApi, end: dict[str, None]) -> None:
    server.then(reply(200, {"Records": [], "MillisBehindLatest": 0, "ChildShards": [], **end}))
    page = await api.get_records(ARN, "iterator", 7)
    assert (page.next_iterator, page.children) == (None, ())


async def test_the_end_of_a_shard_names_its_children(server: Hostile, api: BotoKinesisApi) -> None:
    keys = {"StartingHashKey": "0", "EndingHashKey": "7"}
    children = [
        {"ShardId": "b", "ParentShards": ["a"], "HashKeyRange": keys},
        {"ShardId": "d", "ParentShards": ["a", "c"], "HashKeyRange": keys},
    ]
    server.then(reply(200, {"Records": [], "MillisBehindLatest": 0, "ChildShards": children}))
    a, b, c, d = (ShardId(name) for name in "abcd")
    named = (await api.get_records(ARN, "iterator", 7)).children
    assert named == (KinesisShard(id=b, parents=(a,)), KinesisShard(id=d, parents=(a, c)))


@pytest.mark.parametrize("nonsense", [[{}], [{"ShardId": "b"}], ["b"], 7, [{"ShardId": "b", "ParentShards": 7}]])
async def test_an_end_with_nonsense_for_children_is_no_end(server: Hostile, api: BotoKinesisApi, nonsense: object) -> None:
    server.then(reply(200, {"Records": [], "MillisBehindLatest": 0, "ChildShards": nonsense}))
    with pytest.raises(Unavailable) as caught:
        await api.get_records(ARN, "iterator", 7)
    assert caught.value.kind == "server"


async def test_requests_name_the_poller_and_its_version(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, PAGE))
    await api.get_records(ARN, "iterator", 7)
    assert server.requests[0].headers["user-agent"] == f"poller/{__version__}"


async def test_connections_are_kept_alive_by_tcp(server: Hostile, api: BotoKinesisApi) -> None:
    server.then(reply(200, PAGE))
    await api.get_records(ARN, "iterator", 7)
    assert timers_of_connections_from(server.requests[0].port) == ["02"]  # the kernel's code for a keep-alive timer


def timers_of_connections_from(port: int) -> list[str]:
    """Of those that are established: an earlier one may have had the same port of ours, and linger."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[5].split(":")[0] for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "01"]


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
    with pytest.raises(Unavailable) as caught:
        await api.list_shards(ARN)
    assert caught.value.kind == "server"


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
