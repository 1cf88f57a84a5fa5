"""Secrets in files of their own: `url_file` instead of `url`, `environment_file` beside `environment`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poller.clock import SystemClock
from poller.config import Config, InvalidConfig, ProcessFunctionConfig, load
from poller.config.secret_files import LARGEST

FUNCTION = "functions:\n  f:\n    executor: process\n    runtime: python\n    handler: app.handler\n"
NO_MAPPINGS = "event_source_mappings: []\n"
INLINE = "functions: {f: {executor: inline, handler: app.handler}}\nevent_source_mappings: []\n"
RELATIVE = "(a relative path starts at the folder of the configuration)"


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("etc").mkdir()


def loaded(text: str, **environ: str) -> Config:
    path = Path("etc/config.yaml")
    path.write_text(text)
    return load(path, SystemClock(), environ=environ)


def environment(text: str, **environ: str) -> dict[str, str]:
    function = loaded(FUNCTION + text + NO_MAPPINGS, **environ).functions["f"]
    assert isinstance(function, ProcessFunctionConfig)
    return dict(function.environment)


def said(text: str) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        loaded(text)
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in caught.value.problems]


@pytest.mark.parametrize(
    ("held", "url"),
    [
        ("redis://:p%40ss@cache:6379/1\n", "redis://:p%40ss@cache:6379/1"),
        ("redis://cache\r\n", "redis://cache"),
        ("redis://cache", "redis://cache"),
        ("\ufeffmemory://\n", "memory://"),
    ],
    ids=["newline", "CRLF", "no newline", "byte order mark"],
)
def test_the_url_of_the_store_may_stand_in_a_file(held: str, url: str) -> None:
    Path("etc/url").write_bytes(held.encode())
    store = loaded("store: {url_file: url}\n" + INLINE).store
    assert store.url == url
    assert type(store.url) is str
    assert store.url_file == Path("etc/url").absolute()
    assert url not in repr(store)


def test_paths_in_the_file_start_where_those_of_the_configuration_start() -> None:
    Path("secrets").mkdir()
    Path("secrets/url").write_text("sqlite:///data/poller.db\n")
    store = loaded("store: {url_file: ../secrets/url}\n" + INLINE).store
    assert store.path == Path("etc/data/poller.db").absolute()


def test_the_path_may_come_from_a_variable_and_lead_through_links() -> None:
    Path("etc/..data").mkdir()
    Path("etc/..data/url").write_text("redis://cache\n")
    Path("etc/url").symlink_to("..data/url")
    assert loaded("store: {url_file: '${DIR}/url'}\n" + INLINE, DIR=str(Path("etc").absolute())).store.url == "redis://cache"


def test_without_a_file_the_default_stands() -> None:
    assert loaded("store: {url_file: null}\n" + INLINE).store.scheme == "sqlite"
    assert loaded(INLINE).store.url_file is None


@pytest.mark.parametrize("spelt", ["environment_file", "EnvironmentFile"])
def test_what_files_hold_joins_the_environment(spelt: str) -> None:
    Path("etc/token").write_text("  a b\n\n")
    written = f"    environment: {{TABLE: orders}}\n    {spelt}: {{TOKEN: token}}\n"
    assert environment(written) == {"TABLE": "orders", "TOKEN": "  a b\n"}


def test_files_join_lambdas_spelling_of_the_environment_and_none_at_all() -> None:
    Path("etc/token").write_text("secret")
    assert environment("    Environment: {Variables: {A: 1.10}}\n    EnvironmentFile: {B: token}\n") == {
        "A": "1.10",
        "B": "secret",
    }
    assert environment("    environment_file: {B: token}\n") == {"B": "secret"}


def test_a_variable_in_the_file_is_no_variable_of_the_configuration() -> None:
    Path("etc/token").write_text("${HOME}: [1\n")
    assert environment("    environment_file: {B: token}\n", HOME="/root") == {"B": "${HOME}: [1"}


def test_a_configuration_with_another_secret_is_another_one() -> None:
    Path("etc/token").write_text("one")
    text = FUNCTION + "    environment_file: {B: token}\n" + NO_MAPPINGS
    first = loaded(text)
    assert loaded(text) == first
    Path("etc/token").write_text("two")
    assert loaded(text).functions != first.functions


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (None, f"cannot be read: no such file {RELATIVE}"),
        (b"", "names a file that is empty"),
        (b"\n", "names a file that is empty"),
        (b"a\0b", "names a file that holds a NUL"),
        (b"caf\xe9", f"cannot be read: not UTF-8: byte 0xe9 in line 1 {RELATIVE}"),
        (b"x" * (LARGEST + 1), f"cannot be read: larger than 65,536 bytes {RELATIVE}"),
    ],
    ids=["missing", "empty", "newline", "NUL", "bytes", "large"],
)
def test_a_file_that_cannot_be_used_is_said_at_its_place(held: bytes | None, why: str) -> None:
    if held is not None:
        Path("etc/secret").write_bytes(held)
    assert said("store: {url_file: secret}\n" + INLINE) == [f'1:19 "url_file" {why}']
    assert said(FUNCTION + "    environment_file:\n      TOKEN: secret\n" + NO_MAPPINGS) == [f'7:14 "TOKEN" {why}']


def test_a_folder_or_a_device_is_no_file() -> None:
    assert said("store: {url_file: .}\n" + INLINE) == [f'1:19 "url_file" cannot be read: not a file {RELATIVE}']
    assert said("store: {url_file: /dev/zero}\n" + INLINE) == [f'1:19 "url_file" cannot be read: not a file {RELATIVE}']


def test_a_pipe_that_nobody_writes_to_holds_nobody_up() -> None:
    os.mkfifo("etc/pipe")
    assert said("store: {url_file: pipe}\n" + INLINE) == [f'1:19 "url_file" cannot be read: not a file {RELATIVE}']


def test_a_name_that_no_file_can_have_is_said_with_the_systems_reason() -> None:
    assert said(f"store: {{url_file: {'a' * 300}}}\n" + INLINE) == [
        f'1:19 "url_file" cannot be read: File name too long {RELATIVE}'
    ]


def test_a_missing_file_is_shown_with_its_line_and_a_caret() -> None:
    with pytest.raises(InvalidConfig) as caught:
        loaded("store:\n  url_file: /run/secrets/nowhere\n" + INLINE)
    assert str(caught.value) == (
        f'etc/config.yaml:2:13: error: "url_file" cannot be read: no such file {RELATIVE}\n'
        "     2 |   url_file: /run/secrets/nowhere\n"
        "       |             ^"
    )


def test_what_is_wrong_with_the_text_is_said_of_the_key_that_names_the_file() -> None:
    Path("etc/url").write_text("postgres://:hunter2@cache\n")
    assert said("store: {url_file: url}\n" + INLINE) == [
        '1:19 what the file of "url_file" holds must be sqlite:///PATH, redis://HOST or memory://'
    ]
