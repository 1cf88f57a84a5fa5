"""`make bench ARGS='--only dispatch'`: what it takes to have a function invoked, against the bare loop of each executor.

Both sides of a comparison take turns of milliseconds in one process (`dispatch_sides`), in several rounds, each with new workers.
Quoted is the least disturbed tenth of all turns: a machine with other work makes whole seconds dearer by a half.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TESTS = Path(__file__).parents[1]
SECONDS = 4.0
"""Of one comparison, in each round."""

BATCHES = (10, 100)
TIMEOUT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to a function.

    Attributes:
        title: what is on either side.
        goal: the lowest rate that will do, by that of the bare loop; None: told for information.
    """

    title: str
    goal: float | None = None


WAYS: Mapping[str, Way] = {
    "light": Way(title="light worker / a bare loop over a pair of sockets", goal=0.75),
    "awslambdaric": Way(title="awslambdaric / the same before a bare server", goal=0.9),
    "http": Way(title="http / a bare aiohttp client"),
    "inline": Way(title="inline / a bare await"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of an invocation, one at a time.

    Attributes:
        seconds: from the one to the next.
        cpu: seconds of the process that invokes.
        median: seconds of the one in the middle.
    """

    seconds: float
    cpu: float
    median: float

    def __str__(self) -> str:
        return f"{1 / self.seconds:7,.0f}/s, {self.cpu * 1e6:4.0f} us of CPU, p50 {self.median * 1e6:5.0f} us"


def compare(rounds: int, environment: Mapping[str, str], *, verbose: bool) -> bool:
    """Runs and prints all comparisons; whether their goals are met."""
    print("Dispatch, one worker, one invocation at a time, no-op handler")
    turns: dict[tuple[str, int], dict[str, list[list[float]]]] = {
        (way, batch): {"bare": [], "poller": []} for way in WAYS for batch in BATCHES
    }
    with target(environment) as url:
        for number in range(1, rounds + 1):
            for (way, batch), sides in turns.items():
                for side, its in measure(way, batch, url, environment, verbose=verbose).items():
                    sides[side] += its
            print(f"round {number} done", flush=True)
    met = [report(way, batch, {side: cost(its) for side, its in sides.items()}) for (way, batch), sides in turns.items()]
    return all(met)


def report(way: str, batch: int, costs: Mapping[str, Cost]) -> bool:
    """Prints one comparison; whether its goal is met."""
    ours, bare = costs["poller"], costs["bare"]
    print(f"{WAYS[way].title}, batches of {batch} x 1 kB")
    for side, its in costs.items():
        print(f"  {side:7} {its}")
    rate, goal = bare.seconds / ours.seconds, WAYS[way].goal
    met = goal is None or rate >= goal
    wanted = "" if goal is None else f" (goal: at least {goal}{'' if met else ', MISSED'})"
    print(f"  poller / bare: rate {rate:.2f}{wanted}, CPU {ours.cpu / bare.cpu:.2f}, p50 {ours.median / bare.median:.2f}")
    return met


def cost(turns: list[list[float]]) -> Cost:
    """A tenth of the turns took less."""
    seconds, cpu, median = (sorted(column)[len(turns) // 10] for column in zip(*turns, strict=True))
    return Cost(seconds=seconds, cpu=cpu, median=median)


@contextmanager
def target(environment: Mapping[str, str]) -> Iterator[str]:
    """The URL of a function that does nothing."""
    command = [sys.executable, "-m", "benchmarks.dispatch_target"]
    with subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def measure(way: str, batch: int, url: str, environment: Mapping[str, str], *, verbose: bool) -> dict[str, list[list[float]]]:
    """All turns of both sides, in a process of their own."""
    size = ["--batch", str(batch), "--seconds", str(SECONDS), "--url", url]
    command = [sys.executable, "-m", "benchmarks.dispatch_sides", way, *size]
    said = None if verbose else subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, stderr=said, text=True, check=True, timeout=TIMEOUT
        )
    except subprocess.SubprocessError as error:
        raise SystemExit(f"{way}: {error}; --verbose shows what it says") from None
    turns: dict[str, list[list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return turns
