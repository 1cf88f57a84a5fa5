"""Plays seeds from the command line: `PYTHONPATH=tests python -m support.sim --seeds 0..100000`."""

from __future__ import annotations

import argparse
import sys
import time

from support.sim.journal import Trace, Violation
from support.sim.play import run


def main(arguments: list[str]) -> int:
    """Exit code 1 if any seed broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m support.sim", description=__doc__)
    parser.add_argument(
        "--seeds", default="0..99", help="one seed, several (3,14,15), a range with both ends (0..99), or all of it (42,0..99)"
    )
    parser.add_argument("--queues", action="store_true", help="scenarios of queues, not of streams")
    parser.add_argument("--trace", action="store_true", help="print every line, with the daemon's log between them")
    parser.add_argument("--digest", action="store_true", help="print the digest of each run")
    parser.add_argument("--stop", type=int, default=0, help="stop after so many violations; 0: never")
    options = parser.parse_args(arguments)
    began, wrong = time.perf_counter(), []
    seeds = list(numbers(options.seeds))
    for seed in seeds:
        if not played(seed, queues=options.queues, trace=options.trace, digest=options.digest):
            wrong.append(seed)
            if len(wrong) == options.stop:
                break
    print(f"{len(seeds)} seeds in {time.perf_counter() - began:.1f} s, broken: {wrong or 'none'}", file=sys.stderr)
    return 1 if wrong else 0


def played(seed: int, *, queues: bool, trace: bool, digest: bool) -> bool:
    """Whether a seed keeps all promises; prints what it is asked to, and what is wrong."""
    seen = Trace(keep=None) if trace else Trace()
    try:
        result = run(seed, seen, queues=queues, logs=trace)
    except Violation as violation:
        print(violation, flush=True)
        return False
    if trace:
        print("\n".join(seen.lines))
    if digest:
        print(seed, result.digest, round(result.calm, 1))
    return True


def numbers(text: str) -> list[int]:
    """`7`, `3,14,15`, `0..99`, or `42,0..99`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("..")
        found += range(int(first), int(last or first) + 1)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
