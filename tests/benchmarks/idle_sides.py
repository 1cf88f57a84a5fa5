"""One side of the comparison of idle queues, a process of its own: prints its CPU seconds and the memory that it has grown by."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.handler import used
from benchmarks.idle import QUEUES, SECONDS, WARM_UP
from poller.apis.client import AwsClients, Transport
from poller.clock import SystemClock
from poller.compose import World
from poller.config import load
from poller.daemon import CONNECTIONS, loop_factory, raise_descriptor_limit, serve, spare_the_collector
from poller.drain import Drain
from poller.observe.logs import configure
from poller.wiring import production

if TYPE_CHECKING:
    from collections.abc import Coroutine

WAIT = 20


async def bare(endpoint: str) -> None:
    """`receive_message` in a loop, one task a queue, without end."""
    config = AioConfig(max_pool_connections=QUEUES, read_timeout=WAIT + 30)
    async with get_session().create_client("sqs", region_name="us-east-1", endpoint_url=endpoint, config=config) as client:

        async def poll(number: int) -> NoReturn:
            url = f"{endpoint}/000000000000/idle-{number}"
            everything = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
            while True:
                await client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT, **everything)

        async with asyncio.TaskGroup() as polls:
            for number in range(QUEUES):
                polls.create_task(poll(number))


async def poller(endpoint: str) -> None:
    """The daemon, with a mapping for each queue."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poller.yaml"
        path.write_text(configuration(endpoint))
        config = load(path, clock)
    async with AwsClients(Transport(connections=CONNECTIONS)) as clients:
        world = World(clock=clock, rng=random.Random(1), wiring=production(clients, clock), owner="bench")
        await serve(config, world, Drain())


def configuration(endpoint: str) -> str:
    """JSON is YAML as well, and read faster."""
    mappings = [
        {
            "name": f"idle-{number}",
            "event_source_arn": f"arn:aws:sqs:us-east-1:000000000000:idle-{number}",
            "function_name": "nothing",
            "receive_wait": WAIT,
        }
        for number in range(QUEUES)
    ]
    return json.dumps(
        {
            "aws": {"endpoint_url": endpoint},
            "store": {"url": "memory://"},
            "http": {"listen": None},
            "log": {"level": "error"},
            "functions": {"nothing": {"executor": "inline", "handler": "benchmarks.handler.nothing"}},
            "event_source_mappings": mappings,
        }
    )


async def counted(side: Coroutine[object, object, None]) -> dict[str, float]:
    """CPU seconds from the end of the warm-up on, and bytes of memory since before."""
    before = memory()
    task = asyncio.get_running_loop().create_task(side)
    await asyncio.wait([task], timeout=WARM_UP)
    began = used()
    await asyncio.wait([task], timeout=SECONDS)
    figures = {"cpu": used() - began, "memory": memory() - before}
    if task.done():
        task.result()
    return figures


def memory() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("bare", "poller"))
    parser.add_argument("--endpoint", required=True)
    given = parser.parse_args()
    raise_descriptor_limit()
    if given.side == "bare":
        runner, side = asyncio.Runner(), bare(given.endpoint)
    else:
        configure("error", json=True)
        spare_the_collector()
        runner, side = asyncio.Runner(loop_factory=loop_factory()), poller(given.endpoint)
    print(json.dumps(runner.run(counted(side))), flush=True)
    os._exit(0)  # what is open need not be closed


if __name__ == "__main__":
    main()
