"""The least that aiobotocore can be made to do, by its default settings: nothing is made of what is read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiobotocore.session import get_session

from benchmarks.handler import Laps

if TYPE_CHECKING:
    from benchmarks.contender import Work


async def kinesis(work: Work) -> None:
    """Reads every shard to its end: `get_records` in a loop, one task a shard."""
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{work.source}"
    async with get_session().create_client("kinesis", region_name="us-east-1", endpoint_url=work.endpoint) as client:

        async def read(shard: int) -> None:
            start = {"ShardId": f"shardId-{shard:012d}", "ShardIteratorType": "TRIM_HORIZON"}
            iterator = (await client.get_shard_iterator(StreamARN=arn, **start))["ShardIterator"]
            left = work.records // work.lanes
            while left > 0:
                answer = await client.get_records(ShardIterator=iterator, StreamARN=arn, Limit=1000)
                iterator = answer["NextShardIterator"]
                left -= len(answer["Records"])
                Laps.saw(len(answer["Records"]))

        await asyncio.gather(*(read(shard) for shard in range(work.lanes)))


async def sqs(work: Work) -> None:
    """Empties the queue: `receive_message` and `delete_message_batch` in a loop, one task a lane."""
    url = f"{work.endpoint}/000000000000/{work.source}"
    everything = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, **everything}
    async with get_session().create_client("sqs", region_name="us-east-1", endpoint_url=work.endpoint) as client:

        async def consume() -> None:
            while Laps.seen < work.records:
                messages = (await client.receive_message(**asked)).get("Messages", [])
                Laps.saw(len(messages))
                if messages:
                    entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
                    await client.delete_message_batch(QueueUrl=url, Entries=entries)

        await asyncio.gather(*(consume() for _ in range(work.lanes)))
