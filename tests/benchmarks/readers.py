"""The two readers of one comparison, each run as a process of its own: prints the CPU seconds that its records cost.

Counted from the first records to the last, so that what a process costs once (imports, clients) does not hide what records cost.

`bare`: the least that aiobotocore can be made to do: `get_records` in a loop, one task a shard; nothing is made of the records.
`poller`: the daemon, with a store in memory and an inline function that does nothing with the event that it is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
from pathlib import Path

from benchmarks.handler import Count, used
from poller.apis.client import AwsClients, Transport
from poller.clock import SystemClock
from poller.compose import World
from poller.config import load
from poller.daemon import loop_factory, serve, spare_the_collector
from poller.drain import Drain
from poller.observe.logs import configure
from poller.wiring import production

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
CONFIG = """
aws: {{endpoint_url: "{endpoint}"}}
store: {{url: "memory://"}}
http: {{listen: null}}
log: {{level: error}}
functions:
  nothing: {{executor: inline, handler: benchmarks.handler.nothing}}
event_source_mappings:
  - {{name: orders, event_source_arn: "{arn}", function_name: nothing, starting_position: TRIM_HORIZON, batch_size: 100}}
"""


async def bare(endpoint: str, shards: int, records: int) -> None:
    """Reads every shard to its end."""
    from aiobotocore.session import get_session  # noqa: PLC0415  not for the other reader

    async with get_session().create_client("kinesis", region_name="us-east-1", endpoint_url=endpoint) as client:

        async def read(shard: int) -> None:
            start = {"ShardId": f"shardId-{shard:012d}", "ShardIteratorType": "TRIM_HORIZON"}
            iterator = (await client.get_shard_iterator(StreamARN=ARN, **start))["ShardIterator"]
            left = records
            while left > 0:
                answer = await client.get_records(ShardIterator=iterator, StreamARN=ARN, Limit=1000)
                Count.before = Count.before or used()
                iterator = answer["NextShardIterator"]
                left -= len(answer["Records"])

        await asyncio.gather(*(read(shard) for shard in range(shards)))


async def poller(endpoint: str, shards: int, records: int, folder: Path) -> None:
    """Runs the daemon until its function has seen every record."""
    Count.enough = shards * records
    drain = Count.drain = Drain()
    path = folder / "poller.yaml"
    path.write_text(CONFIG.format(endpoint=endpoint, arn=ARN))
    clock = SystemClock()
    async with AwsClients(Transport(connections=100)) as clients:
        world = World(clock=clock, rng=random.Random(1), wiring=production(clients, clock), owner="bench")
        await serve(load(path, clock), world, drain)
    assert Count.seen == shards * records, Count.seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("reader", choices=("bare", "poller"))
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=loop_factory() if given.reader == "poller" else None) as runner:
        if given.reader == "bare":
            runner.run(bare(given.endpoint, given.shards, given.records))
        else:
            configure("info", json=True)
            spare_the_collector()
            runner.run(poller(given.endpoint, given.shards, given.records, given.folder))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"cpu": used() - Count.before, "memory_mb": memory // 1024}))


if __name__ == "__main__":
    main()
