"""A seed tells everything: without that, a violation that was seen once could not be looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.sim.journal import Trace
from support.sim.play import run

TESTS = Path(__file__).parents[1]
SEEDS = "0..7"


def test_the_same_seed_makes_the_same_trace_line_by_line() -> None:
    first, second = Trace(keep=None), Trace(keep=None)
    run(1, first)
    run(1, second)
    assert list(first.lines) == list(second.lines)


def test_the_same_seed_makes_the_same_trace_of_queues() -> None:
    first, second = Trace(keep=None), Trace(keep=None)
    run(1, first, queues=True)
    run(1, second, queues=True)
    assert list(first.lines) == list(second.lines)
    assert run(1).digest != first.digest


def test_another_seed_makes_another_trace() -> None:
    assert run(1).digest != run(2).digest


def test_what_is_only_for_the_reader_changes_nothing() -> None:
    assert run(3).digest == run(3, Trace(keep=None), logs=True).digest


@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [(), ("--queues",)], ids=["streams", "queues"])
def test_processes_that_hash_differently_make_the_same_traces(options: tuple[str, ...]) -> None:
    assert digests("1", *options) == digests("4711", *options)


def digests(hash_seed: str, *options: str) -> list[str]:
    """Of the sample, played in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "support.sim", "--seeds", SEEDS, "--digest", *options],
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 8, done.stdout
    return lines
