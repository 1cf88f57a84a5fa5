"""One side of the comparison of what is idle, in its own process: prints its CPU seconds and the memory it has grown by."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import idle_queues, idle_shards
from benchmarks.handler import used
from poller.apis.client import AwsClients, Transport
from poller.clock import SystemClock
from poller.compose import World
from poller.config import load
from poller.daemon import CONNECTIONS, loop_factory, raise_descriptor_limit, serve, spare_the_collector
from poller.drain import Drain
from poller.observe.logs import configure
from poller.wiring import production

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

SOURCES = {"sqs": idle_queues, "kinesis": idle_shards}


async def poller(endpoint: str, mappings: Iterable[dict[str, Any]]) -> None:
    """The daemon, with these mappings."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poller.yaml"
        path.write_text(configuration(endpoint, mappings))
        config = load(path, clock)
    async with AwsClients(Transport(connections=CONNECTIONS)) as clients:
        world = World(clock=clock, rng=random.Random(1), wiring=production(clients, clock), owner="bench")
        await serve(config, world, Drain())


def configuration(endpoint: str, mappings: Iterable[dict[str, Any]]) -> str:
    """JSON is YAML as well, and read faster."""
    return json.dumps(
        {
            "aws": {"endpoint_url": endpoint},
            "store": {"url": "memory://"},
            "http": {"listen": None},
            "log": {"level": "error"},
            "functions": {"nothing": {"executor": "inline", "handler": "benchmarks.handler.nothing"}},
            "event_source_mappings": list(mappings),
        }
    )


async def counted(
    side: Coroutine[object, object, None], reads: Callable[[], int], warm_up: float, seconds: float
) -> dict[str, float]:
    """CPU seconds and reads from the end of the warm-up on, and bytes of memory since before."""
    before = memory()
    task = asyncio.get_running_loop().create_task(side)
    await asyncio.wait([task], timeout=warm_up)
    began, read = used(), reads()
    await asyncio.wait([task], timeout=seconds)
    figures = {"cpu": used() - began, "reads": reads() - read, "memory": memory() - before}
    if task.done():
        task.result()
    return figures


def memory() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("bare", "poller"))
    parser.add_argument("service", choices=SOURCES)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--count", type=int, required=True, help="queues, or shards")
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    raise_descriptor_limit()
    source = SOURCES[given.service]
    if given.side == "bare":
        runner, side = asyncio.Runner(), source.bare(given.endpoint, given.count)
    else:
        configure("error", json=True)
        spare_the_collector()
        runner, side = asyncio.Runner(loop_factory=loop_factory()), poller(given.endpoint, source.mappings(given.count))
    asked = partial(source.reads, given.endpoint)
    print(json.dumps(runner.run(counted(side, asked, given.warm_up, given.seconds))), flush=True)
    os._exit(0)  # what is open need not be closed


if __name__ == "__main__":
    main()
