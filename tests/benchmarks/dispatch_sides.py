"""Both sides of one comparison in one process, in turns of some milliseconds: the poller's executor, and its bare loop.

Whatever else the machine does, it does to both. Prints what an invocation took, for each turn of each side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import bare_dispatch
from benchmarks.bare_dispatch import ARN, FUNCTIONS, REQUEST_ID, TIMEOUT, Ask
from poller.clock import SystemClock
from poller.config import load
from poller.core.model import Invocation, Returned
from poller.daemon import loop_factory, spare_the_collector
from poller.testing.doubles import RecordedEvents
from poller.wiring import Worker, executor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORKERS: dict[str, object] = {"executor": "process", "runtime": "python", "handler": "nothing.handler", "code": str(FUNCTIONS)}
WAYS: dict[str, dict[str, object]] = {
    "light": WORKERS,
    "awslambdaric": {**WORKERS, "runtime_client": "awslambdaric"},
    "http": {"executor": "http"},
    "inline": {"executor": "inline", "handler": "nothing.async_handler", "code": str(FUNCTIONS)},
}
BARE = {
    "light": bare_dispatch.light,
    "awslambdaric": bare_dispatch.awslambdaric,
    "http": bare_dispatch.http,
    "inline": bare_dispatch.inline,
}
TURN = 0.001
"""Seconds of a turn of the bare loop, and of the rest before each turn: who has rested, and is done before its share of the
processor is used up, is not interrupted even on a busy machine."""


class Turn(NamedTuple):
    """One turn: seconds of an invocation, seconds of this process's CPU for it, and the median of those seconds."""

    seconds: float
    cpu: float
    median: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=BARE)
    parser.add_argument("--batch", type=int, required=True, help="records of 1 kB")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--url", required=True, help="of a function that does nothing")
    given = parser.parse_args()
    event = sqs_event(given.batch)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop_factory()) as runner:
        config = Path(folder) / "poller.yaml"
        config.write_text(configuration(given.way, given.url))
        turns = runner.run(measure(given.way, given.url, config, event, given.seconds))
    print(json.dumps(turns))


async def measure(way: str, url: str, config: Path, event: bytes, seconds: float) -> dict[str, list[Turn]]:
    """All turns of both."""
    async with AsyncExitStack() as stack:
        sides = {
            "bare": await stack.enter_async_context(BARE[way](url)),
            "poller": await stack.enter_async_context(poller(way, config)),
        }
        for ask in sides.values():
            await turn(ask, event, 20)
        spare_the_collector()
        turns: dict[str, list[Turn]] = {name: [] for name in sides}
        count = max(3, int(TURN / (await turn(sides["bare"], event, 100)).median))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, ask in sides.items():
                await asyncio.sleep(TURN)
                turns[name].append(await turn(ask, event, count))
        return turns


def configuration(way: str, url: str) -> str:
    """The daemon's, with one function of this way's name."""
    where = {"url": url} if way == "http" else {}
    return json.dumps({"functions": {way: {**WAYS[way], **where, "timeout": TIMEOUT}}, "event_source_mappings": []})


async def turn(ask: Ask, event: bytes, count: int) -> Turn:
    """So many invocations, one after the other."""
    marks = [time.perf_counter()]
    used = time.process_time()
    for _ in range(count):
        await ask(event)
        marks.append(time.perf_counter())
    used = time.process_time() - used
    each = [later - earlier for earlier, later in pairwise(marks)]
    return Turn((marks[-1] - marks[0]) / count, used / count, median(each))


@asynccontextmanager
async def poller(way: str, path: Path) -> AsyncIterator[Ask]:
    """The executor of a configured function, as the daemon makes it."""
    clock = SystemClock()
    config = load(path, clock).functions[way]
    worker = Worker(name=way, arn=ARN, config=config, events=RecordedEvents(), clock=clock)
    async with executor(worker) as entered:

        async def ask(event: bytes) -> bytes:
            invocation = Invocation(request_id=REQUEST_ID, event=event, deadline=clock.time() + TIMEOUT, arn=ARN)
            answer = await entered.invoke(invocation)
            assert isinstance(answer, Returned), answer
            return answer.payload

        yield ask


def sqs_event(messages: int) -> bytes:
    """What a function gets from a queue; each message has a body of 1 kB, JSON as well."""
    now = str(int(time.time() * 1000))
    message = {
        "receiptHandle": "AQEB" + "x" * 340,
        "body": '{"order":"' + "x" * 1012 + '"}',
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": now,
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": now,
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:orders",
        "awsRegion": "us-east-1",
    }
    records = [{"messageId": f"00000000-0000-4000-8000-{number:012d}", **message} for number in range(messages)]
    return json.dumps({"Records": records}, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
