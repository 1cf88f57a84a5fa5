"""One side of a comparison, a process of its own: prints the CPU seconds of a record, for each lap, and its memory.

Counted from the first records to the last, so that what a process costs once (imports, clients) does not hide what records cost.

`bare`: aiobotocore in a loop (`bare.py`).
`poller`: the daemon, with a store in memory and an inline function that does nothing with the event that it is given.
`poller-process`: the same, with a function in worker processes, whose CPU is not counted; that of handing them events is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import bare
from benchmarks.handler import Laps
from poller.apis.client import AwsClients, Transport
from poller.clock import SystemClock
from poller.compose import World
from poller.config import load
from poller.daemon import loop_factory, serve, spare_the_collector
from poller.drain import Drain
from poller.observe.logs import configure
from poller.wiring import production

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from poller.config import Connection
    from poller.ports import EntryFailure
    from poller.services import SqsApi

CONFIG = """
aws: {{endpoint_url: "{endpoint}"}}
store: {{url: "memory://"}}
http: {{listen: null}}
log: {{level: error}}
functions:
  nothing: {{{function}, maximum_concurrency: {lanes}}}
event_source_mappings:
  - {{name: orders, event_source_arn: "arn:aws:{service}:us-east-1:000000000000:{source}", function_name: nothing, {mapping}}}
"""
CODE = Path(__file__).parent / "functions"
FUNCTIONS = {
    "poller": "executor: inline, handler: benchmarks.handler.nothing",
    "poller-process": f"executor: process, runtime: python, code: {CODE}, handler: nothing.handler",
}
MAPPINGS = {
    "kinesis": "starting_position: TRIM_HORIZON, batch_size: 100",
    "sqs": "batch_size: 10, receive_wait: 1",
}
SOURCES = {"kinesis": "stream/{}", "sqs": "{}"}
BARE = {"kinesis": bare.kinesis, "sqs": bare.sqs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all contenders of one comparison are given.

    Attributes:
        service: `kinesis` or `sqs`.
        source: name of the stream or queue.
        lanes: shards that it has, or receives at the same time.
        records: that it holds.
        laps: in which their cost is told.
    """

    service: str
    endpoint: str
    source: str
    lanes: int
    records: int
    laps: int


async def poller(work: Work, path: Path, *, counted: bool) -> None:
    """Runs the daemon until every record was seen by its function, or else is `counted` as it is deleted; lets it drain."""
    Laps.enough = work.records
    drain = Laps.drain = Drain()
    clock = SystemClock()
    async with AwsClients(Transport(connections=100)) as clients:
        wiring = production(clients, clock)
        wiring = replace(wiring, sqs=counting(wiring.sqs)) if counted else wiring
        world = World(clock=clock, rng=random.Random(1), wiring=wiring, owner="bench")
        await serve(load(path, clock), world, drain)


def counting(sqs: Callable[[Connection], Awaitable[SqsApi]]) -> Callable[[Connection], Awaitable[SqsApi]]:
    """The same Api. What it deletes was seen."""

    async def made(connection: Connection) -> SqsApi:
        api = await sqs(connection)
        delete = api.delete_messages

        async def delete_messages(queue_arn: str, receipts: Sequence[str]) -> tuple[EntryFailure, ...]:
            failures = await delete(queue_arn, receipts)
            Laps.saw(len(receipts))
            return failures

        api.delete_messages = delete_messages  # type: ignore[method-assign]  # so that it costs next to nothing
        return api

    return made


def config(contender: str, work: Work) -> str:
    """The daemon's configuration."""
    source = SOURCES[work.service].format(work.source)
    mapping = MAPPINGS[work.service]
    names = {"endpoint": work.endpoint, "service": work.service, "source": source, "lanes": work.lanes}
    return CONFIG.format(**names, mapping=mapping, function=FUNCTIONS[contender])


def run(contender: str, work: Work) -> None:
    """Until all is read."""
    Laps.lap = work.records // work.laps
    if contender == "bare":
        asyncio.run(BARE[work.service](work))
    else:
        configure("info", json=True)
        spare_the_collector()
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop_factory()) as runner:
            path = Path(folder) / "poller.yaml"
            path.write_text(config(contender, work))
            runner.run(poller(work, path, counted=contender == "poller-process"))
    assert Laps.seen == work.records, Laps.seen


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=("bare", *FUNCTIONS))
    parser.add_argument("--service", choices=("kinesis", "sqs"), required=True)
    for text in ("--endpoint", "--source"):
        parser.add_argument(text, required=True)
    for number in ("--lanes", "--records", "--laps"):
        parser.add_argument(number, type=int, required=True)
    given = vars(parser.parse_args())
    run(given.pop("contender"), Work(**given))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"laps": Laps.costs(), "memory_mb": memory // 1024}))


if __name__ == "__main__":
    main()
