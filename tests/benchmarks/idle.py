"""`make bench ARGS='--only idle'`: what queues and shards cost on which nothing happens.

All sides run at the same time, so that whatever else this machine does disturbs them alike. The poller looks at the depth of
each queue once a minute beside its polls, and keeps the lease of each shard, as it always does; the bare loops only poll.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TESTS = Path(__file__).parents[1]
TIMEOUT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is idle, and how much that may cost.

    Attributes:
        unit: what one of them is called.
        doing: what happens to each.
        bare: how many the bare loop has.
        poller: how many each of the pollers has; the last counts for the ratio.
        warm_up: seconds until all are known, and have been polled once.
        seconds: that are counted.
        goal: the highest ratio of the poller's CPU for one of them to the bare loop's.
        growth: the highest ratio of what one costs among many to what it costs among few.
    """

    service: str
    unit: str
    doing: str
    bare: int
    poller: tuple[int, ...]
    warm_up: float
    seconds: float
    goal: float
    growth: float = 1.25


COMPARISONS = (
    Comparison(
        service="sqs",
        unit="queue",
        doing="one open poll of 20 s each",
        bare=1000,
        poller=(1000,),
        warm_up=30.0,
        seconds=60.0,  # three polls, and a look
        goal=0.3,
    ),
    Comparison(
        service="kinesis",
        unit="shard",
        doing="read once a second",
        bare=500,  # of a thousand it can do no more than these
        poller=(250, 500, 1000),
        warm_up=20.0,
        seconds=40.0,
        goal=0.25,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one side costs.

    Attributes:
        cpu: seconds of CPU in a second, for each; of shards for a read, which is the same for who keeps up.
        memory: bytes that it has grown by since it knew of none, for each.
    """

    cpu: float
    memory: float


def compare(environment: Mapping[str, str], *, verbose: bool) -> bool:
    """Runs and prints the comparisons; whether all goals are met."""
    verdicts = [_compare(each, environment, verbose=verbose) for each in COMPARISONS]
    return all(verdicts)


def _compare(what: Comparison, environment: Mapping[str, str], *, verbose: bool) -> bool:
    print(f"idle {what.unit}s, {what.doing}, for {what.seconds:.0f} s")
    found = measure(what, environment, verbose=verbose)
    for (side, count), its in found.items():
        name = f"{side}, {count:,} {what.unit}s"
        print(f"  {name:20} {its.cpu * 1e6:5.0f} us of CPU a second and {what.unit}, {its.memory / 1024:4.0f} kB of memory each")
    bare, few, many = found["bare", what.bare], found["poller", what.poller[0]], found["poller", what.poller[-1]]
    verdicts = [_verdict("poller / bare: CPU", many.cpu / bare.cpu, what.goal)]
    print(f"poller / bare: memory {many.memory / bare.memory:.2f}")
    if len(what.poller) > 1:
        among = f"{what.poller[-1]:,} / among {what.poller[0]:,}"
        verdicts += [_verdict(f"one among {among}: CPU", many.cpu / few.cpu, what.growth)]
        verdicts += [_verdict(f"each of the last {what.unit}s / of the first: memory", _bend(what, found), what.growth)]
    return all(verdicts)


def _bend(what: Comparison, found: Mapping[tuple[str, int], Figures]) -> float:
    """How much more memory one takes that comes late than one that comes early: 1 where it grows in proportion."""
    few, some, many = what.poller
    total = {count: found["poller", count].memory * count for count in what.poller}
    early, late = (total[some] - total[few]) / (some - few), (total[many] - total[some]) / (many - some)
    print(f"memory of each further {what.unit}: {early / 1024:.0f} kB up to {some:,}, then {late / 1024:.0f} kB")
    return late / early


def _verdict(what: str, ratio: float, goal: float) -> bool:
    met = ratio <= goal
    print(f"{what} {ratio:.2f} (goal: at most {goal}{'' if met else ', MISSED'})")
    return met


def measure(what: Comparison, environment: Mapping[str, str], *, verbose: bool) -> dict[tuple[str, int], Figures]:
    """All sides at once, each in a process of its own, with a server of its own."""
    sides = [("bare", what.bare), *(("poller", count) for count in what.poller)]
    with ExitStack() as stack:
        running = {side: stack.enter_context(_side(side, what, environment, verbose=verbose)) for side in sides}
        return {side: _figures(side, what, process) for side, process in running.items()}


def _figures(side: tuple[str, int], what: Comparison, process: subprocess.Popen[str]) -> Figures:
    try:
        said, _ = process.communicate(timeout=TIMEOUT)
        found = json.loads(said.splitlines()[-1])
    except (subprocess.SubprocessError, IndexError, ValueError) as error:
        raise SystemExit(f"{side}: {error!r}; --verbose shows what it says") from None
    return Figures(cpu=found["cpu"] / (found["reads"] or what.seconds * side[1]), memory=found["memory"] / side[1])


@contextmanager
def _side(
    side: tuple[str, int], what: Comparison, environment: Mapping[str, str], *, verbose: bool
) -> Iterator[subprocess.Popen[str]]:
    name, count = side
    with server(what.service, count, environment) as endpoint:
        command = [sys.executable, "-m", "benchmarks.idle_sides", name, what.service, "--endpoint", endpoint]
        command += ["--count", str(count), "--warm-up", str(what.warm_up), "--seconds", str(what.seconds)]
        said = None if verbose else subprocess.DEVNULL
        with subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, stderr=said, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def server(service: str, count: int, environment: Mapping[str, str]) -> Iterator[str]:
    """A stand-in whose queues, or so many shards, are empty."""
    command = [sys.executable, "-m", "benchmarks.stand_in", service, "--records", "0", "--lanes", str(count)]
    with subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
