"""The example of a plug-in, installed as a user would install it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "poller-executor-command"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example's folder, its package installed into `site` below it."""
    folder = tmp_path_factory.mktemp("plugin") / EXAMPLE.name
    shutil.copytree(EXAMPLE, folder)
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", "site", ".")
    run(folder, "pip", *install)
    return folder


def run(folder: Path, module: str, *arguments: str) -> str:
    """What a program prints that must succeed, with what is installed in `site`."""
    environment = os.environ | {"PYTHONPATH": str(folder.parent / "site"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_configuration_is_valid_and_its_function_can_be_invoked(example: Path) -> None:
    assert run(example / "sample", "poller", "validate", "poller.yaml") == "poller.yaml: ok, 1 mapping, 1 function\n"
    invoke = ("invoke", "count", "-c", "poller.yaml", "--payload", '{"Records": []}', "--log-type", "Tail")
    assert json.loads(run(example / "sample", "poller", *invoke)) == {"batchItemFailures": []}


def test_it_passes_the_conformance_suite(example: Path) -> None:
    printed = run(example / "tests", "pytest", "-p", "no:cacheprovider", "-c", "../pyproject.toml", "-rs", ".")
    assert "failed" not in printed
    assert "3 skipped" in printed
    assert "context: a command has no context object" in printed
