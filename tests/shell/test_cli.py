from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from poller import __version__
from poller.cli import main
from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.config import Config

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config" / "poller.yaml"
DATA = ROOT / "tests" / "data" / "config"


class Daemon(ModuleType):
    """Stands where `poller.daemon` is: takes the configuration, and ends as it is told to."""

    def __init__(self, ending: int | Exception = 0) -> None:
        super().__init__("poller.daemon")
        self.configs: list[Config] = []
        self._ending = ending

    @staticmethod
    def ConfigFile(*, path: Path, read: Callable[[], Config]) -> tuple[Path, Callable[[], Config]]:  # noqa: N802  a class there
        return path, read

    def run(self, config: Config, file: tuple[Path, Callable[[], Config]]) -> int:
        assert file[0].is_absolute()
        assert file[1]() == config, "read again, it is the same"
        self.configs.append(config)
        if isinstance(self._ending, Exception):
            raise self._ending
        return self._ending


def with_daemon(monkeypatch: pytest.MonkeyPatch, ending: int | Exception = 0) -> Daemon:
    daemon = Daemon(ending)
    monkeypatch.setitem(sys.modules, "poller.daemon", daemon)
    monkeypatch.setattr("poller.daemon", daemon, raising=False)
    return daemon


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A Python process in an empty environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_validate_says_ok_and_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(SAMPLE)]) == 0
    assert capsys.readouterr() == (f"{SAMPLE}: ok, 1 mapping, 1 function\n", "")


def test_validate_counts_in_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("functions: {}\nevent_source_mappings: []\n")
    assert main(["validate", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: ok, 0 mappings, 0 functions\n"


def test_validate_shows_every_problem_on_stderr_and_exits_78(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DATA)
    assert main(["validate", "mistakes.yaml"]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (DATA / "mistakes.txt").read_text(encoding="utf-8")
    assert err.endswith("\n45 errors\n")
    assert "hunter2" not in err


def test_one_problem_is_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "nowhere.yaml"]) == 78
    assert capsys.readouterr() == ("", "nowhere.yaml: error: no such file\n")


def test_run_hands_the_configuration_to_the_daemon_and_returns_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = with_daemon(monkeypatch, ending=143)
    assert main(["run", "-c", str(SAMPLE)]) == 143
    (config,) = daemon.configs
    assert list(config.functions) == ["orders"]
    assert (config.log.level, config.log.format) == ("info", "auto")


def test_options_for_the_log_go_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = with_daemon(monkeypatch)
    assert main(["run", "--config", str(ROOT / "config" / "inline.yaml"), "--log-level", "debug"]) == 0
    assert main(["run", "--config", str(ROOT / "config" / "inline.yaml"), "--log-format", "json"]) == 0
    assert [(each.log.level, each.log.format) for each in daemon.configs] == [("debug", "console"), ("info", "json")]


def test_run_starts_nothing_with_a_wrong_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = with_daemon(monkeypatch)
    assert main(["run", "-c", str(DATA / "mistakes.yaml")]) == 78
    assert daemon.configs == []
    assert 'unknown key "bach_size"' in capsys.readouterr().err


def test_what_only_the_world_can_tell_about_a_configuration_exits_78_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_daemon(monkeypatch, ending=ConfigError("cannot listen on 127.0.0.1:9108"))
    assert main(["run", "-c", str(SAMPLE)]) == 78
    assert capsys.readouterr().err == "poller: error: cannot listen on 127.0.0.1:9108\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run"], "the following arguments are required: -c/--config"),
        (["run", "-c", ""], "the path is empty"),
        (["run", "-c", "x", "--log-level", "trace"], "invalid choice: 'trace'"),
        (["validate"], "the following arguments are required: FILE"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
    ],
)
def test_wrong_usage_is_explained_and_exits_2(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: poller" in capsys.readouterr().err


def test_the_package_runs_as_a_module_and_tells_its_version() -> None:
    ended = python("-m", "poller", "--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"poller {__version__}\n", "")


def test_the_exit_code_is_the_processs() -> None:
    ended = python("-m", "poller", "validate", "tests/data/config/mistakes.yaml")
    assert ended.returncode == 78
    assert ended.stderr.startswith("tests/data/config/mistakes.yaml:2:15: error: ")


def test_a_name_that_is_not_utf_8_is_shown_with_its_bytes_escaped(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.yaml")).write_text("a: 1\n")
    ended = python("-m", "poller", "validate", str(tmp_path), LC_ALL="C", PYTHONUTF8="0")
    assert ended.returncode == 78
    assert 'caf\\xe9.yaml:1:1: error: unknown key "a"' in ended.stderr


def test_such_a_name_can_be_told_as_ok_too(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.yaml")
    path.write_text("functions: {}\nevent_source_mappings: []\n")
    ended = python("-m", "poller", "validate", os.fspath(path), PYTHONUTF8="1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("caf\\xe9.yaml: ok, 0 mappings, 0 functions\n")
