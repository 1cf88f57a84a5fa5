"""Whole runs of the daemon in a world that misbehaves by a seed. What is checked all the time: `docs/simulation.md`."""

from __future__ import annotations

import pytest
from support.sim.play import run

FAST = range(100)
SLOW = range(100, 600)


@pytest.mark.parametrize("seed", FAST)
def test_a_run_breaks_no_promise_and_works_everything_off(seed: int) -> None:
    assert run(seed).calm > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW)
def test_many_more_runs_break_no_promise_and_work_everything_off(seed: int) -> None:
    assert run(seed).calm > 0
