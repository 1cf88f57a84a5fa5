from __future__ import annotations

from pathlib import Path

import pytest

from poller.cli import main
from poller.clock import SystemClock
from poller.config import Config, InvalidConfig, ProcessFunctionConfig, load

CANARY = "hunter2"
FUNCTION = """\
functions:
  f:
    executor: process
    runtime: python
    handler: app.handler
    environment:
      TABLE: orders
      TOKEN: hunter2
"""


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def in_one_line(line: str) -> str:
    return FUNCTION.replace("environment:\n      TABLE: orders\n      TOKEN: hunter2", line)


def with_files(text: str) -> Path:
    """The configuration, beside the files that it may name."""
    Path("url").write_text("redis://:hunter2@cache/hunter2\n")
    Path("token").write_text("hunter2\n")
    path = Path("config.yaml")
    path.write_text(text)
    return path


def loaded(text: str, **environ: str) -> Config:
    return load(with_files(text), SystemClock(), environ=environ)


def message(text: str, **environ: str) -> str:
    with pytest.raises(InvalidConfig) as caught:
        loaded(text, **environ)
    return str(caught.value)


def test_a_line_below_environment_is_shown_without_its_value() -> None:
    assert message(FUNCTION.replace("TOKEN", "1TOKEN") + "event_source_mappings: []\n").splitlines()[1:] == [
        "     8 |       1TOKEN: ********",
        "       |       ^",
    ]


TEXTS = [
    FUNCTION.replace("TOKEN:", "TOKEN: [") + "    ]\nevent_source_mappings: []\n",
    FUNCTION.replace(": hunter2", ":\n        hunter2: [hunter2, {a: hunter2}]".replace("hunter2:", "a:")),
    FUNCTION.replace("hunter2", '"hunter2'),
    FUNCTION.replace("hunter2", "hunter2: hunter2"),
    FUNCTION.replace("hunter2", "@hunter2"),
    FUNCTION.replace("hunter2", "!hunter2 hunter2"),
    FUNCTION.replace("hunter2", "*hunter2"),
    FUNCTION.replace("hunter2", "&hunter2 [*hunter2]"),
    FUNCTION.replace("hunter2", "%hunter2"),
    FUNCTION.replace("hunter2", '"hunter2\\0"'),
    FUNCTION.replace("hunter2", '"hunter2 ${"'),
    FUNCTION.replace("hunter2", "|\n        hunter2\n       hunter2"),
    FUNCTION.replace("      TOKEN", "     TOKEN"),
    FUNCTION.replace("TABLE: orders", "TABLE: [orders"),
    FUNCTION.replace("TABLE: orders", 'TABLE: "orders'),
    FUNCTION.replace("handler: app.handler", 'handler: "app.handler'),
    FUNCTION.replace("handler: app.handler", "handler: [app.handler"),
    FUNCTION.replace("handler: app.handler", "handler: {app.handler"),
    in_one_line("environment: {TOKEN: hunter2 hunter2: b}"),
    in_one_line("environment: TOKEN=hunter2"),
    in_one_line("enviroment: {TOKEN: hunter2}"),
    in_one_line("env: {TOKEN: hunter2}"),
    in_one_line("environment: {TOKEN: 'hunter2}"),
    in_one_line("environment_file: {TOKEN: hunter2}"),
    in_one_line("environment_file: {TOKEN: token, 1TOKEN: token}"),
    in_one_line("environment_file: hunter2"),
    in_one_line("environmentfile: {TOKEN: token"),
    "{functions: {f: {executor: process, environment: {TOKEN: 'hunter2}}}}\n",
    "aws: {endpoint_url: 'http://admin:hunter2@localhost'}\n",
    "aws: {endpoint_url: 'http://hunter2@localhost', region: }\n",
    "aws: {endpoint_url: http://admin:hun%40ter2/hunter2@localhost\n",
    "store: {url: 'redis://:hunter2@cache:6379/0'}\n",
    "store: {url: '${STORE}'}\n",
    "store: {url_file: 'redis://:hunter2@cache'}\n",
    "store: {url_file: url}\n",
    "store: {url_file: url, lease_duration: 10s}\n",
    "store: {url_file: url, url: 'redis://:hunter2@cache'}\n",
    "log: {level: '${TOKEN}'}\ndrain_timeout: ${TOKEN}\naws: {endpoint_url: '${TOKEN}', region: '${TOKEN} '}\n",
    "http: {listen: '${TOKEN}'}\nconcurrency_limit: ${TOKEN}\nstore: {url: '${TOKEN}'}\n",
]
"""Mistakes around secrets."""


@pytest.mark.parametrize("text", TEXTS)
def test_no_secret_is_ever_part_of_a_message(text: str) -> None:
    shown = message(text, TOKEN=CANARY, STORE=f"redis://:{CANARY}@cache")
    assert "error: " in shown
    assert CANARY not in shown


@pytest.mark.parametrize("style", ["text", "json", "github"])
@pytest.mark.parametrize("text", TEXTS)
def test_no_secret_is_ever_part_of_what_validate_prints(
    text: str, style: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", CANARY)
    monkeypatch.setenv("STORE", f"redis://:{CANARY}@cache")
    with_files(text)
    assert main(["validate", "config.yaml", "--format", style]) == 78
    out, err = capsys.readouterr()
    assert "config.yaml" in out + err
    assert CANARY not in out + err


def test_a_secret_is_not_part_of_what_a_configuration_prints_about_itself() -> None:
    held = "    environment_file: {KEY: token}\nstore: {url: 'redis://:hunter2@cache'}\n"
    config = loaded(FUNCTION + held + "event_source_mappings: []\n")
    function = config.functions["f"]
    assert isinstance(function, ProcessFunctionConfig)
    assert (function.environment["KEY"], config.store.url) == (CANARY, f"redis://:{CANARY}@cache")
    for shown in (repr(config), str(config), str(config.functions), f"{config.store}", config.store.shown_url):
        assert CANARY not in shown


def test_the_caret_keeps_its_place_behind_a_masked_value() -> None:
    text = "functions: {f: {executor: inline, environment: {A: hunter2-hunter2}, handler: app}}\nevent_source_mappings: []\n"
    assert message(text).splitlines()[-2:] == [
        "     1 | functions: {f: {executor: inline, environment: {A: ********}, handler: app}}",
        "       |                                                                        ^",
    ]
