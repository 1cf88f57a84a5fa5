"""`make bench ARGS='--only idle'`: what queues cost on which nothing happens, each with one open poll of 20 s.

Both sides run at the same time, so that whatever else this machine does disturbs them alike. The poller looks at the depth of
each queue twice a minute beside its polls, as it always does; the bare loop only polls.
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
QUEUES = 1000
SECONDS = 60.0
"""That are counted: three polls, and two looks."""

WARM_UP = 30.0
"""Until all queues are known, and have been polled once."""

GOAL = 0.3
TIMEOUT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one side says of itself.

    Attributes:
        cpu: seconds of the counted time, all queues together.
        memory: bytes that it has grown by since it knew of no queue.
    """

    cpu: float
    memory: int


def compare(environment: Mapping[str, str], *, verbose: bool) -> bool:
    """Runs and prints the comparison; whether its goal is met."""
    print(f"{QUEUES:,} idle queues, one open poll each, for {SECONDS:.0f} s")
    found = measure(environment, verbose=verbose)
    for side, its in found.items():
        cpu, memory = its.cpu / SECONDS / QUEUES, its.memory / QUEUES
        print(f"  {side:7} {cpu * 1e6:5.0f} us of CPU a second and queue, {memory / 1024:4.0f} kB of memory a queue")
    ours, bare = found["poller"], found["bare"]
    ratio = ours.cpu / bare.cpu
    met = ratio <= GOAL
    wanted = f"goal: at most {GOAL}{'' if met else ', MISSED'}"
    print(f"poller / bare: CPU {ratio:.2f} ({wanted}), memory {ours.memory / bare.memory:.2f}")
    return met


def measure(environment: Mapping[str, str], *, verbose: bool) -> dict[str, Figures]:
    """Both sides at once, each in a process of its own, with a server of its own."""
    with ExitStack() as stack:
        running = {side: stack.enter_context(_side(side, environment, verbose=verbose)) for side in ("bare", "poller")}
        return {side: _figures(side, process) for side, process in running.items()}


def _figures(side: str, process: subprocess.Popen[str]) -> Figures:
    try:
        said, _ = process.communicate(timeout=TIMEOUT)
        return Figures(**json.loads(said.splitlines()[-1]))
    except (subprocess.SubprocessError, IndexError, ValueError) as error:
        raise SystemExit(f"{side}: {error!r}; --verbose shows what it says") from None


@contextmanager
def _side(side: str, environment: Mapping[str, str], *, verbose: bool) -> Iterator[subprocess.Popen[str]]:
    with server(environment) as endpoint:
        command = [sys.executable, "-m", "benchmarks.idle_sides", side, "--endpoint", endpoint]
        said = None if verbose else subprocess.DEVNULL
        with subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, stderr=said, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def server(environment: Mapping[str, str]) -> Iterator[str]:
    """A stand-in whose queues are empty."""
    command = [sys.executable, "-m", "benchmarks.stand_in", "sqs", "--records", "0", "--lanes", "1"]
    with subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
