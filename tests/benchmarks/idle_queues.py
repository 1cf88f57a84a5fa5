"""Queues on which nothing happens, each with one open poll of 20 s: a bare loop of aiobotocore, and what the poller runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT = 20


async def bare(endpoint: str, count: int) -> None:
    """`receive_message` in a loop, one task a queue, without end."""
    config = AioConfig(max_pool_connections=count, read_timeout=WAIT + 30)
    async with get_session().create_client("sqs", region_name="us-east-1", endpoint_url=endpoint, config=config) as client:

        async def poll(number: int) -> NoReturn:
            url = f"{endpoint}/000000000000/idle-{number}"
            everything = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
            while True:
                await client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT, **everything)

        async with asyncio.TaskGroup() as polls:
            for number in range(count):
                polls.create_task(poll(number))


def reads(_endpoint: str) -> int:
    """Not counted: each has an open poll all the time."""
    return 0


def mappings(count: int) -> Iterator[dict[str, Any]]:
    """One for each queue."""
    for number in range(count):
        yield {
            "name": f"idle-{number}",
            "event_source_arn": f"arn:aws:sqs:us-east-1:000000000000:idle-{number}",
            "function_name": "nothing",
            "receive_wait": WAIT,
        }
