"""The command line of `poller demo`, and what it says where there can be no demo."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from poller.cli import main
from poller.demo.run import Options

ROOT = Path(__file__).parents[2]

HEAVY = ("aiobotocore", "aiohttp", "asyncio", "botocore", "pydantic", "rich", "redis")


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What the demo would have been started with."""
    taken: list[Options] = []

    def run(given: Options) -> int:
        taken.append(given)
        return 0

    monkeypatch.setattr("poller.demo.run.run", run)
    return taken


def test_help_teaches_by_examples_and_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:\n  poller demo\n" in shown
    assert "exit codes:\n   0  " in shown
    assert "pip install 'poller[demo]'" in shown


def test_help_waits_for_nothing() -> None:
    program = (
        "import json, sys\nfrom poller.cli import main\n"
        "try:\n    main(['demo', '--help'])\nexcept SystemExit:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert set(json.loads(ended.stderr)).isdisjoint(HEAVY)


def test_without_options_it_runs_until_a_signal(options: list[Options]) -> None:
    assert main(["demo"]) == 0
    assert options == [Options(seconds=None, rate=40.0, keep=False, metrics_port=None)]


def test_options_are_handed_on(options: list[Options]) -> None:
    assert main(["demo", "--seconds", "1.5", "--rate", "1000", "--keep", "--metrics-port", "0"]) == 0
    assert options == [Options(seconds=1.5, rate=1000.0, keep=True, metrics_port=0)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--seconds", "0"], "'0' is not a number above 0"),
        (["--seconds", "soon"], "'soon' is not a number above 0"),
        (["--seconds", "nan"], "'nan' is not a number above 0"),
        (["--rate", "-1"], "'-1' is not a number above 0, at most 1000"),
        (["--rate", "1001"], "'1001' is not a number above 0, at most 1000"),
        (["--metrics-port", "65536"], "'65536' is not a port (0 to 65535)"),
        (["--metrics-port", "http"], "'http' is not a port (0 to 65535)"),
        (["now"], "unrecognized arguments: now"),
    ],
)
def test_wrong_usage_is_explained_and_exits_2(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", *arguments])
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err


def test_without_the_extra_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("poller.demo.servers.NEEDED", ("json", "no_ministack", "no_rich"))
    assert main(["demo"]) == 1
    assert capsys.readouterr() == (
        "",
        "poller demo: error: the extra is not installed (no no_ministack, no_rich): pip install 'poller[demo]'\n",
    )


def test_a_port_that_is_taken_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--metrics-port", str(port)]) == 1
    assert capsys.readouterr() == ("", f"poller demo: error: port {port} is taken: choose another --metrics-port\n")
    assert list(tmp_path.iterdir()) == []
