"""Help teaches, is instant, and says every exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from poller.cli import main

ROOT = Path(__file__).parents[2]
HEAVY = {"aiobotocore", "botocore", "redis", "aiohttp"}
COMMANDS = (
    *("run", "validate", "check", "status", "checkpoint", "invoke", "event", "explain", "policy", "import", "dlq", "demo"),
    "completion",
)

PROGRAM = """
import json, sys
from poller.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    """What a command has imported by its end."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(ended.stderr.splitlines()[-1]))


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda command: "-".join(command) or "poller")
def test_help_teaches_by_examples_and_names_the_exit_codes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert re.search(r"examples:\n  poller ", shown)
    assert re.search(r"exit codes:\n +0 ", shown)
    assert max(map(len, shown.splitlines())) <= 130


def test_every_command_is_among_those_tested(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    [listed] = re.findall(r"choose from (.*)\)", capsys.readouterr().err)
    assert sorted(listed.replace("'", "").split(", ")) == sorted(COMMANDS)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda command: "-".join(command) or "poller")
def test_help_waits_for_nothing(command: list[str]) -> None:
    modules = imported(*command, "--help")
    assert modules.isdisjoint(HEAVY | {"pydantic", "yaml", "asyncio"})
    assert "poller.cli" in modules


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["event", "kinesis"], set()),
        (["event", "sqs"], set()),
        (["completion", "bash"], set()),
        (["policy", "config/poller.yaml"], {"pydantic"}),
        (["import", "tests/data/templates/sam.yaml"], {"pydantic"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_that_ask_nobody_do_not_wait_for_the_sdk(arguments: list[str], needed: set[str]) -> None:
    modules = imported(*arguments)
    assert modules.isdisjoint(HEAVY)
    assert modules & {"pydantic"} == needed


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    ended = subprocess.run(
        ["/bin/bash", "-c", f"{sys.executable} -m poller event sqs --records 5000 | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (141, "{\n", "")


@pytest.mark.parametrize(
    "arguments", [["invoke", "f", "-c", "x", "one", "two"], ["invoke", "f", "out", "-c", "x", "two"], ["run", "-c", "x", "y"]]
)
def test_an_argument_too_many_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err
