"""A handler that is hard on its surroundings, in the way that `ORDEAL` names."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

MEGABYTE = 1024 * 1024
LINE = "x" * 127 + "\n"
BUSY_SECONDS = 0.2
LINES = 2_000


def busy() -> None:
    """Keeps a processor busy, and prints more than a log takes in that time."""
    end = time.perf_counter() + BUSY_SECONDS
    sys.stdout.write("".join(f"line {number}\n" for number in range(LINES)))
    while time.perf_counter() < end:
        pass


def floods() -> None:
    """Prints 100 MB, short lines first."""
    sys.stdout.write("\n" * MEGABYTE)
    for _ in range(99):
        sys.stdout.write(LINE * (MEGABYTE // len(LINE)))


def answers() -> dict[str, Any]:
    """Returns 6 MB that have to be looked into."""
    return {"batchItemFailures": [], "more": "x" * (6 * MEGABYTE - 100)}


def handler(_event: dict[str, Any], _context: object) -> object:
    """What `ORDEAL` says."""
    ordeals: dict[str, Any] = {"busy": busy, "floods": floods, "answers": answers}
    return ordeals[os.environ["ORDEAL"]]()
