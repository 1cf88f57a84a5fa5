"""Whole runs of the daemon in a world that misbehaves by a seed. What is checked all the time: `docs/simulation.md`."""

from __future__ import annotations

import pytest
from support.sim.bugs import QUEUE_SEEDS, STREAM_SEEDS
from support.sim.play import run

SLOW = 500
SLOW_QUEUES = 300


@pytest.mark.parametrize("seed", range(STREAM_SEEDS))
def test_a_run_breaks_no_promise_and_works_everything_off(seed: int) -> None:
    assert run(seed).calm > 0


@pytest.mark.parametrize("seed", range(QUEUE_SEEDS))
def test_a_run_with_queues_breaks_no_promise_and_works_everything_off(seed: int) -> None:
    assert run(seed, queues=True).calm > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(STREAM_SEEDS, SLOW))
def test_many_more_runs_break_no_promise_and_work_everything_off(seed: int) -> None:
    assert run(seed).calm > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(QUEUE_SEEDS, SLOW_QUEUES))
def test_many_more_runs_with_queues_break_no_promise_and_work_everything_off(seed: int) -> None:
    assert run(seed, queues=True).calm > 0
