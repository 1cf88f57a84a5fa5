"""Shards in which nothing happens, each read once a second: a bare loop of aiobotocore, and what the poller runs."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import TYPE_CHECKING, Any, NoReturn

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE = 1.0
CONNECTIONS = 50


async def bare(endpoint: str, count: int) -> None:
    """`get_records` in a loop, one task a shard, without end."""
    config = AioConfig(max_pool_connections=CONNECTIONS)
    async with get_session().create_client("kinesis", region_name="us-east-1", endpoint_url=endpoint, config=config) as client:

        async def read(number: int) -> NoReturn:
            await asyncio.sleep(PAUSE * number / count)
            shard = f"shardId-{number:012d}"
            granted = await client.get_shard_iterator(StreamName="idle", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
            iterator = granted["ShardIterator"]
            while True:
                page = await client.get_records(ShardIterator=iterator, Limit=1000)
                iterator = page["NextShardIterator"]
                await asyncio.sleep(PAUSE)

        async with asyncio.TaskGroup() as reads:
            for number in range(count):
                reads.create_task(read(number))


def reads(endpoint: str) -> int:
    """How many the server has answered: who has much to do falls behind, and then reads less often."""
    request = urllib.request.Request(endpoint, b"{}", {"X-Amz-Target": "StandIn.Reads"})
    with urllib.request.urlopen(request) as answer:
        return int(answer.read())


def mappings(_count: int) -> Iterator[dict[str, Any]]:
    """One for all shards, which are of one stream."""
    yield {
        "name": "idle",
        "event_source_arn": "arn:aws:kinesis:us-east-1:000000000000:stream/idle",
        "function_name": "nothing",
        "starting_position": "TRIM_HORIZON",
    }
