"""Known bugs of the acting half, planted again: each must break a promise within the seeds that every change meets."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.teeth import ROOT, Mutant, copied

if TYPE_CHECKING:
    from pathlib import Path

RUN = "tests/simulation/test_simulation.py::test_a_run_breaks_no_promise_and_works_everything_off"
FAST = "0..99"

PLAY = """
import sys
import poller
from support.sim.__main__ import main
assert poller.__file__.startswith(sys.argv[1]), poller.__file__
sys.exit(main(["--stop", "1", "--seeds", sys.argv[2]]))
"""


@dataclass(frozen=True, kw_only=True)
class Bug(Mutant):
    """A mutant that a run must notice.

    Attributes:
        seeds: where it was seen last. All others are played after them, as a change of anything may have moved it.
    """

    tests: tuple[str, ...] = (RUN,)
    seeds: str = "0"


QUICK = [
    Bug(
        name="the checkpoint before the invocation",
        file="poller/lane.py",
        old="            decision = await invoke(attempt, work)\n",
        new="            await lane.settle(attempt.records)\n            decision = await invoke(attempt, work)\n",
        seeds="0",
    ),
    Bug(
        name="the budget is not reset after a partial answer",
        file="poller/core/policy.py",
        old="rest = Attempt(records=attempt.records[first:])",
        new="rest = replace(attempt, records=attempt.records[first:], retries=attempt.retries + 1, request_id=None)",
        seeds="1,3",
    ),
    Bug(
        name="an expired iterator is resumed after the checkpoint",
        file="poller/sources/kinesis.py",
        old="        except IteratorExpired as error:\n",
        new="        except IteratorExpired as error:\n            self._last = self._start.position\n",
        seeds="0,4",
    ),
    Bug(
        name="age is not looked at",
        file="poller/core/policy.py",
        old="        if late == 0:\n",
        new="        if late >= 0:\n",
        seeds="2,10",
    ),
]
"""A sample for every run; the others take their time."""

BUGS = [
    Bug(
        name="the store has no fence",
        file="poller/stores/memory.py",
        old="stored is not None and (stored.owner, stored.epoch) == (lease.owner, lease.epoch)",
        new="stored is not None",
    ),
    Bug(
        name="the store lets a checkpoint go back",
        file="poller/stores/memory.py",
        old="            return False\n        self._write",
        new="            pass\n        self._write",
    ),
    Bug(
        name="a lease is not given back",
        file="poller/shard.py",
        old="await (store.finish(lease) if finished else store.release(lease))",
        new="await (store.finish(lease) if finished else asyncio.sleep(0))",
    ),
    Bug(
        name="a lease is given back before all is durable",
        file="poller/shard.py",
        old="            await checkpointer.flush()\n",
        new="",
    ),
    Bug(
        name="a window goes by the wall clock",
        file="poller/lane.py",
        old="    now = clock.monotonic()\n    return now, clock.time() - now",
        new="    now = clock.time()\n    return now, 0.0",
    ),
    Bug(
        name="a batch does not wait for its window",
        file="poller/core/batching.py",
        old='        if now >= self._opened_at + self._limits.window:\n            return "window"',
        new='        if now >= self._opened_at:\n            return "window"',
    ),
    Bug(
        name="one retry too many",
        file="poller/core/policy.py",
        old="attempt.retries >= self.max_retries:",
        new="attempt.retries > self.max_retries:",
    ),
    Bug(
        name="permits are not given back",
        file="poller/function.py",
        old="            for served in self._ledger.give_back(ticket):",
        new="            for served in self._ledger.give_back(ticket) if held else ():",
    ),
]


@pytest.mark.parametrize("bug", QUICK, ids=str)
def test_a_planted_bug_breaks_a_promise(bug: Bug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_each_planted_bug_breaks_a_promise(bug: Bug, tmp_path: Path) -> None:
    assert "Again, in full" in broken(bug, tmp_path)


@pytest.mark.parametrize("bug", [*QUICK, *BUGS], ids=str)
def test_each_bug_can_still_be_planted(bug: Bug, tmp_path: Path) -> None:
    """Quick, so that a change of the source that leaves a bug behind is noticed at once."""
    bug.plant(copied(tmp_path))


def broken(bug: Bug, folder: Path) -> str:
    """What is told of the first run that breaks a promise with the bug. Fails where none does."""
    copy = copied(folder)
    bug.plant(copy)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLAY, str(copy), f"{bug.seeds},{FAST}"],
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
