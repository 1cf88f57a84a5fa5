"""Bugs to plant in a copy of the package, and the runs that have to notice them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.teeth import ROOT, Mutant, copied

if TYPE_CHECKING:
    from pathlib import Path

RUNS = "tests/simulation/test_simulation.py"

STREAM_SEEDS = 100
QUEUE_SEEDS = 60
"""How many seeds of each kind every change meets: from 0 on."""

PLAY = """
import sys
import poller
from support.sim.__main__ import main
assert poller.__file__.startswith(sys.argv[1]), poller.__file__
sys.exit(main(["--stop", "1", *sys.argv[2:]]))
"""


@dataclass(frozen=True, kw_only=True)
class Bug(Mutant):
    """A mutant that a run must notice.

    Attributes:
        seeds: where it was seen last. All others are played after them, as a change of anything may have moved it.
        queues: they are seeds of scenarios of queues.
        among: how many seeds are played, at the most, beside those: from 0 on.
    """

    tests: tuple[str, ...] = (RUNS,)
    seeds: str
    queues: bool = False
    among: int = STREAM_SEEDS

    @property
    def options(self) -> list[str]:
        """Of the command that plays it."""
        count = QUEUE_SEEDS if self.queues else self.among
        return ["--seeds", f"{self.seeds},0..{count - 1}", *(["--queues"] if self.queues else [])]


def broken(bug: Bug, folder: Path) -> str:
    """What is told of the first run that breaks a promise with the bug. Fails where none does."""
    copy = copied(folder)
    bug.plant(copy)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLAY, str(copy), *bug.options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{copy}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 1, f"{bug}: no seed noticed it\n{done.stdout}"
    return done.stdout
