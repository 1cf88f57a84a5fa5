"""The worker runs under Pythons that are older and newer than the project's own.

Those on the PATH are used, and those that POLLER_TEST_PYTHONS names, separated by colons.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from functions.room import MakeRoom, rooms

from poller.executors import worker
from poller.testing.executors import errored, returned

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


def interpreters() -> dict[str, str]:
    """The Pythons that there are, with their versions."""
    named = [path for path in os.environ.get("POLLER_TEST_PYTHONS", "").split(":") if path]
    found = [path for version in VERSIONS if (path := shutil.which(f"python{version}"))]
    tell = "import sys; print('%d.%d' % sys.version_info[:2])"
    versions = {}
    for path in [sys.executable, *named, *found]:
        done = subprocess.run([path, "-c", tell], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            versions[path] = done.stdout.strip()
    return versions


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRoom:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rooms(tmp_path)


@pytest.mark.parametrize(("python", "version"), interpreters().items())
async def test_a_function_runs_under_its_own_python(room: MakeRoom, python: str, version: str) -> None:
    async with room(python=python) as here:
        environment = returned(await here.invoke("environment"))["environ"]
        assert environment["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{version}"
        assert returned(await here.invoke("speaks")) is None
        error = errored(await here.invoke("raises_seven_megabytes"), "function_error")
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        await here.invoke("hangs", seconds=0.2)
        assert here.processes() == []
    assert ("stdout", "printed", "r") in here.events.lines


def test_the_worker_is_one_file_of_the_standard_library_and_python_3_8() -> None:
    tree = ast.parse(Path(worker.__file__).read_text(), feature_version=(3, 8))
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert not any(node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
