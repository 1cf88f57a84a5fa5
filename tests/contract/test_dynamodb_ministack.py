"""The DynamoDB Streams Api through aiobotocore, against ministack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from contract.dynamodb_contract import DynamoDb, DynamoDbContract, item, names
from support.aws import Tables, WallClock, client

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.dynamodb_streams import BotoDynamoDbStreamsApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dynamodb(ministack: Server) -> AsyncIterator[DynamoDb]:
    async with AwsClients() as clients, client("dynamodb", ministack.url) as made:
        streams = await clients.client("dynamodbstreams", AwsSettings(endpoint_url=ministack.url))
        yield DynamoDb(api=BotoDynamoDbStreamsApi(streams, WallClock()), writer=Tables(made), clock=WallClock())


class TestMinistack(DynamoDbContract):
    pass


async def test_binary_values_stay_base64(dynamodb: DynamoDb) -> None:
    arn = await dynamodb.stream()
    await dynamodb.writer.put(arn, item(0, data={"B": b"\x00\xff"}, set={"BS": [b"\x01"]}))
    (record,) = await dynamodb.read(arn, await dynamodb.horizon(arn))
    assert record["dynamodb"]["NewImage"] == item(0, data={"B": "AP8="}, set={"BS": ["AQ=="]})


async def test_a_stream_that_was_stopped_gives_its_records_and_ends(dynamodb: DynamoDb) -> None:
    arn = await dynamodb.writer.create(next(names))
    await dynamodb.writer.put(arn, item(0))
    assert isinstance(dynamodb.writer, Tables)
    await dynamodb.writer.stop_stream(arn)
    (shard,) = await dynamodb.api.list_shards(arn)
    assert shard.closed
    page = await dynamodb.api.get_records(arn, await dynamodb.horizon(arn), 10)
    assert (len(page.records), page.next_iterator) == (1, None)
