"""Completion scripts, tried in the shells that are there."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from poller.cli import completion, main
from poller.cli.completion import Argument, Command

if TYPE_CHECKING:
    from pathlib import Path


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.fixture
def bash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """The script for bash, in a folder with two files."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    path = tmp_path / "completion.bash"
    path.write_text(script("bash", capsys))
    (tmp_path / "poller.yaml").touch()
    (tmp_path / "my event.json").touch()
    return path


def offered(path: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    line = " ".join(f"'{word}'" for word in ("poller", *words))
    program = (
        f"source {path.name}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
        "$(complete -p poller | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ended = subprocess.run(["bash", "-c", program], cwd=path.parent, capture_output=True, text=True, timeout=20, check=True)
    assert ended.stderr == ""
    return [word for word in ended.stdout.splitlines() if word]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            [""],
            [
                *("run", "validate", "check", "status", "checkpoint", "invoke", "event", "explain", "policy", "import", "dlq"),
                *("demo", "completion"),
                *("--help", "--version"),
            ],
        ),
        (["v"], ["validate"]),
        (["run", "--log-l"], ["--log-level"]),
        (["run", "--log-level", "w"], ["warning"]),
        (["run", "-c", "p"], ["poller.yaml"]),
        (["check", "poll"], ["poller.yaml"]),
        (["invoke", "orders", "--log-type", ""], ["None", "Tail"]),
        (["invoke", "orders", "-e", "my"], ["my event.json"]),
        (["invoke", "orders", "--payload", ""], []),
        (["event", ""], ["kinesis", "sqs", "dynamodb"]),
        (["completion", "z"], ["zsh"]),
        (["dlq", "re"], ["redrive"]),
        (["checkpoint", "ex"], ["export"]),
        (["checkpoint", "import", "p"], ["poller.yaml"]),
        (["checkpoint", "set", "orders", "--ex"], ["--expect"]),
        (["status", "--da"], ["--daemon"]),
        (["dlq", "redrive", "orders", "--ra"], ["--rate"]),
        (["dlq", "list", "orders", "-c", "p"], ["poller.yaml"]),
        (["nothing", ""], []),
    ],
)
def test_bash_offers_what_fits(words: list[str], expected: list[str], bash: Path) -> None:
    assert offered(bash, *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_has_every_command_and_option_and_its_shell_can_read_it(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "completion"
    path.write_text(text := script(shell, capsys))
    for word in ("validate", "invoke", "import", "completion", "log-type", "metrics-port", "endpoint-url"):
        assert word in text
    if program := shutil.which(shell):
        ended = subprocess.run([program, "-n", str(path)], capture_output=True, text=True, timeout=20, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_quotes_and_brackets_of_help_texts_do_not_end_a_string() -> None:
    argument = Argument(names=("--path",), metavar="FILE", choices=(), path=True, help="poller's [own]: a\\b")
    command = Command(name="run", help="what it's for", arguments=(argument,))
    zsh, fish = "\n".join(completion.zsh([command])), "\n".join(completion.fish([command]))
    assert r"'*--path[poller'\''s \[own\]\: a\\b]:FILE:_files'" in zsh
    assert r"'run:what it'\''s for'" in zsh
    assert r"-l path -r -F -d 'poller\'s [own]: a\\b'" in fish
    assert r"-a run -d 'what it\'s for'" in fish


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["completion", "tcsh"])
    assert caught.value.code == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
