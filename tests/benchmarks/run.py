"""`make bench`: each comparison in interleaved rounds on this machine; quoted are ratios of CPU a record.

A side's cost is that of its least disturbed laps, over all rounds: on a machine with other work, whole rounds differ by a half.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from support import install_servers

from benchmarks import dispatch, idle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TESTS = Path(__file__).parents[1]
SQS_CONSUMER = TESTS / "benchmarks" / "peers" / "sqs_consumer.cjs"
TIMEOUT = 300.0

ENVIRONMENT = {
    **os.environ,
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NODE_PATH": str(install_servers.PEERS / "node_modules"),
    "PYTHONPATH": str(TESTS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the poller is compared with, at what work.

    Attributes:
        lanes: shards, or receives at the same time.
        records: in all, of 1 kB.
        laps: parts of a round that are alike, each with its share of all work.
        unit: what a record is called there.
        goals: the highest ratio that will do, of one side's cost to another's.
    """

    service: str
    title: str
    unit: str
    lanes: int
    records: int
    laps: int
    goals: Mapping[tuple[str, str], float]


COMPARISONS = (
    Comparison(
        service="kinesis",
        title="Kinesis, 24 shards, batches of 100, inline no-op, event built",
        unit="record",
        lanes=24,
        records=240_000,
        laps=1,  # shards are read ahead in bursts
        goals={("poller", "bare"): 0.35},
    ),
    Comparison(
        service="sqs",
        title="SQS, 5 receives at a time, batches of 10, no-op inline and in light workers, event built",
        unit="message",
        lanes=5,
        records=40_000,
        laps=20,
        goals={("poller", "bare"): 0.37, ("poller", "sqs-consumer"): 0.55, ("poller-process", "bare"): 0.4},
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=[*(each.service for each in COMPARISONS), "dispatch", "idle"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, help="in all; of Kinesis a multiple of 24,000")
    parser.add_argument("--verbose", action="store_true", help="with the logs of all sides")
    given = parser.parse_args()
    met = []
    for comparison in COMPARISONS:
        if given.only in (None, comparison.service):
            sized = replace(comparison, records=given.records or comparison.records)
            met.append(compare(possible(sized), given.rounds, verbose=given.verbose))
    if given.only in (None, "dispatch"):
        met.append(dispatch.compare(given.rounds, ENVIRONMENT, verbose=given.verbose))
    if given.only in (None, "idle"):
        met.append(idle.compare(ENVIRONMENT, verbose=given.verbose))
    return 0 if all(met) else 1


def possible(comparison: Comparison) -> Comparison:
    """Without what is not installed here, and says so."""
    goals = {sides: goal for sides, goal in comparison.goals.items() if "sqs-consumer" not in sides}
    if len(goals) == len(comparison.goals) or install_servers.peers_installed():
        return comparison
    print("NOT COMPARED with npm's sqs-consumer, which is not installed: `python tests/support/install_servers.py peers`")
    return replace(comparison, goals=goals)


def compare(comparison: Comparison, rounds: int, *, verbose: bool) -> bool:
    """Runs and prints one comparison; whether its goals are met."""
    laps: dict[str, list[float]] = {name: [] for sides in comparison.goals for name in reversed(sides)}
    print(f"{comparison.title}: {comparison.records:,} {comparison.unit}s of 1 kB")
    with stand_in(comparison) as endpoint:
        for number in range(1, rounds + 1):
            for name in laps:
                figures = measure(name, comparison, endpoint, f"{name}-{number}", verbose=verbose)
                laps[name] += figures.laps
                cost = f"{undisturbed(figures.laps) * 1e6:7.2f} us of CPU a {comparison.unit}"
                print(f"round {number}  {name:14}  {cost}, {figures.memory_mb} MB of memory", flush=True)
    costs = {name: undisturbed(all_laps) for name, all_laps in laps.items()}
    print(f"all rounds: {', '.join(f'{name} {cost * 1e6:.2f} us' for name, cost in costs.items())}")
    verdicts = [verdict(sides, costs[sides[0]] / costs[sides[1]], goal) for sides, goal in comparison.goals.items()]
    return all(verdicts)


def undisturbed(laps: list[float]) -> float:
    """A tenth of the laps cost less. What only the very least leave out, such as collecting garbage, is in it."""
    return sorted(laps)[len(laps) // 10]


def verdict(sides: tuple[str, str], ratio: float, goal: float) -> bool:
    """Prints one ratio; whether it will do."""
    met = ratio <= goal
    print(f"{' / '.join(sides)}: {ratio:.2f} (goal: at most {goal}{'' if met else ', MISSED'})")
    return met


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one side says of one round: CPU seconds of a record, for each lap, and the most memory that it had."""

    laps: list[float]
    memory_mb: int


@contextmanager
def stand_in(comparison: Comparison) -> Iterator[str]:
    """The server of one comparison, in a process of its own."""
    size = ["--records", str(comparison.records), "--lanes", str(comparison.lanes)]
    command = [sys.executable, "-m", "benchmarks.stand_in", comparison.service, *size]
    with subprocess.Popen(command, cwd=TESTS, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(name: str, comparison: Comparison, endpoint: str, source: str, *, verbose: bool = False) -> Figures:
    """One side, one round, on a stream or queue that nobody has read."""
    program = [sys.executable, "-m", "benchmarks.contender", name]
    if name == "sqs-consumer":
        program = [str(install_servers.node()), str(SQS_CONSUMER)]
    work = {"service": comparison.service, "endpoint": endpoint, "source": source}
    work |= {key: str(getattr(comparison, key)) for key in ("lanes", "records", "laps")}
    command = [*program, *(word for key, value in work.items() for word in (f"--{key}", value))]
    said = None if verbose else subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, cwd=TESTS, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=said, text=True, check=True, timeout=TIMEOUT
        )
    except subprocess.SubprocessError as error:
        raise SystemExit(f"{name}: {error}; --verbose shows what it says") from None
    if comparison.service == "sqs":
        check_empty(endpoint, source)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def check_empty(endpoint: str, queue: str) -> None:
    """A consumer that has not deleted every message was not measured at its work."""
    body = json.dumps({"QueueUrl": f"{endpoint}/000000000000/{queue}", "AttributeNames": ["All"]}).encode()
    request = urllib.request.Request(endpoint, body, {"X-Amz-Target": "AmazonSQS.GetQueueAttributes"})
    with urllib.request.urlopen(request) as answer:
        attributes = json.load(answer)["Attributes"]
    left = {key: value for key, value in attributes.items() if key.startswith("ApproximateNumber") and value != "0"}
    if left:
        raise SystemExit(f"{queue} was not emptied: {left}")


if __name__ == "__main__":
    sys.exit(main())
