"""`make bench`: each comparison in interleaved rounds on this machine; quoted is the ratio of the least CPU of each side."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
GOAL = 0.35
SHARDS = 24


@contextmanager
def stand_in(records: int) -> Iterator[str]:
    """The server of one run, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stand_in", "--shards", str(SHARDS), "--records", str(records)]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(reader: str, endpoint: str, records: int, folder: str) -> dict[str, float]:
    """One reader, one round."""
    command = [sys.executable, "-m", "benchmarks.readers", reader, "--endpoint", endpoint, "--folder", folder]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        [*command, "--shards", str(SHARDS), "--records", str(records)],
        cwd=TESTS,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=300,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=10_000, help="of each of the shards, 1 kB each")
    given = parser.parse_args()
    total = SHARDS * given.records
    costs: dict[str, list[float]] = {"bare": [], "poller": []}
    with stand_in(given.records) as endpoint, tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds):
            for reader, cost in costs.items():
                figures = measure(reader, endpoint, given.records, folder)
                cost.append(figures["cpu"] / total * 1e6)
                print(
                    f"round {number + 1}  {reader:7}  {cost[-1]:6.2f} us of CPU a record, {figures['memory_mb']:.0f} MB of memory"
                )
    ratio = min(costs["poller"]) / min(costs["bare"])
    print(
        f"\nKinesis, {total:,} records of 1 kB in {SHARDS} shards, batches of 100, inline no-op, event built:\n"
        f"poller {min(costs['poller']):.2f} us, bare aiobotocore get_records {min(costs['bare']):.2f} us of CPU a record: "
        f"ratio {ratio:.2f} (goal: at most {GOAL})"
    )
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
