"""Planted bugs: a test that stays green over a known bug shows nothing.

A `Mutant` is one exact replacement in one source file. `bites` copies the package, plants the bug in the copy, runs the named
tests against it in a process of their own, and says which of them stayed green. The same tests must pass on an unchanged copy
(`healthy`), so that a red run means the bug and not the copying.

Make a table of mutants in a `test_teeth.py` beside the tests:

    MUTANTS = [Mutant(name="no fence", file="poller/stores/memory.py", old="...", new="...", tests=("tests/x.py::test_y",))]


    @pytest.mark.slow
    @pytest.mark.parametrize("mutant", MUTANTS, ids=str)
    def test_each_planted_bug_turns_its_tests_red(mutant: Mutant, tmp_path: Path) -> None:
        assert bites(mutant, tmp_path)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import poller

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
PACKAGE = "poller"
TIMEOUT = 110.0


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A bug to plant.

    Attributes:
        name: the bug, in a few words.
        file: the source file below the root of the repository, `poller/core/policy.py`.
        old: the text to replace, as it stands there, exactly once.
        new: what to put in its place.
        tests: ids of tests, each of which must fail on it. An id without parameters stands for all of its cases: one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return self.name

    def plant(self, copy: Path) -> None:
        """Replaces the text in the copy. Fails where the source has moved on, so that a mutant cannot go stale unseen."""
        path = copy / self.file
        source = path.read_text()
        places = source.count(self.old)
        assert places == 1, f"{self.name}: {self.old!r} stands {places} times in {self.file}"
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")
        path.write_text(changed)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What pytest said: its exit code, the ids that failed, and its output."""

    code: int
    failed: tuple[str, ...]
    output: str


def bites(mutant: Mutant, folder: Path, *, timeout: float = TIMEOUT) -> bool:
    """True if every named test fails on the mutant. Else fails itself, and shows the run."""
    copy = copied(folder)
    mutant.plant(copy)
    run = run_tests(mutant.tests, copy, timeout=timeout)
    green = [test for test in mutant.tests if not any(is_case(failed, test) for failed in run.failed)]
    assert run.code == 1, f"{mutant.name}: pytest ended with {run.code}\n{run.output}"
    assert not green, f"{mutant.name}: not noticed by {green}\n{run.output}"
    return True


def healthy(tests: Sequence[str], folder: Path, *, timeout: float = TIMEOUT) -> bool:
    """True if the tests pass on an unchanged copy. Else fails itself, and shows the run."""
    run = run_tests(tests, copied(folder), timeout=timeout)
    assert run.code == 0, run.output
    return True


def copied(folder: Path) -> Path:
    """A copy of the package in this folder, for `PYTHONPATH`."""
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run_tests(tests: Sequence[str], copy: Path, *, timeout: float = TIMEOUT) -> Run:
    """Runs tests of this repository against a copy of the package; the same examples each time, nothing left behind."""
    failures = copy / "failed.json"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    own = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / "hypothesis")}
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(copy), str(failures), *tests],
        cwd=ROOT,
        env=inherited | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    failed = json.loads(failures.read_text()) if failures.exists() else []
    return Run(code=done.returncode, failed=tuple(failed), output=done.stdout)


def is_case(failed: str, test: str) -> bool:
    """Whether a failed id is this test, or one of its cases."""
    return failed == test or failed.startswith((f"{test}[", f"{test}::"))


# ------------------------------------------------------------------------------------------------------- in the other process


class Watch:
    """Keeps the ids of the tests that failed, and keeps hypothesis from shrinking what nobody will read."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        import hypothesis  # noqa: PLC0415  earlier, pytest could not rewrite its assertions

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("teeth", phases=phases, deadline=None, derandomize=True, database=None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def main(copy: str, failures: str, *tests: str) -> int:
    """Runs pytest on the copy, and on nothing else."""
    assert Path(poller.__file__).is_relative_to(copy), poller.__file__
    seen = Watch()
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=teeth"]
    code = pytest.main([*options, *tests], plugins=[seen])
    Path(failures).write_text(json.dumps(seen.failed))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
