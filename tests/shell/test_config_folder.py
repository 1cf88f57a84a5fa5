from __future__ import annotations

from pathlib import Path

import pytest

from poller.clock import SystemClock
from poller.config import Config, InvalidConfig, load

NO_KEY = 'no key can end here: quote the value, or look above for a missing ":" or a missing space behind one'
FUNCTION = "{executor: inline, handler: app.handler}"


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mapping(name: str, function: str) -> str:
    arn = f"arn:aws:kinesis:eu-west-1:123456789012:stream/{name}"
    return f"{{name: {name}, event_source_arn: '{arn}', function_name: {function}, starting_position: LATEST}}"


def loaded(**files: str) -> Config:
    """A folder of files: `a_yaml` is a.yaml."""
    folder = Path("conf.d")
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return load(folder, SystemClock(), environ={})


def message(**files: str) -> str:
    with pytest.raises(InvalidConfig) as caught:
        loaded(**files)
    return str(caught.value)


def heads(text: str) -> list[str]:
    return [line for line in text.splitlines() if ": error: " in line]


def test_mappings_are_put_together_and_functions_merged_in_the_order_of_the_names() -> None:
    config = loaded(
        b_yaml=f"functions: {{g: {FUNCTION}}}\nevent_source_mappings:\n  - {mapping('two', 'f')}\n",
        a_yaml=f"functions: {{f: {FUNCTION}}}\nevent_source_mappings:\n  - {mapping('one', 'g')}\n",
        c_yml=f"drain_timeout: 5\nevent_source_mappings:\n  - {mapping('three', 'g')}\n",
    )
    assert list(config.functions) == ["f", "g"]
    assert [each.name for each in config.event_source_mappings] == ["one", "two", "three"]
    assert config.drain_timeout == 5


def test_relative_paths_start_at_the_folder() -> None:
    config = loaded(a_yaml=f"functions: {{f: {FUNCTION}}}\nevent_source_mappings: []\n")
    assert getattr(config.functions["f"], "code", None) == Path.cwd() / "conf.d"
    assert config.store.path == Path.cwd() / "conf.d" / "poller.db"


def test_other_files_hidden_files_and_empty_files_do_not_count() -> None:
    config = loaded(
        a_yaml=f"functions: {{f: {FUNCTION}}}\nevent_source_mappings: []\n",
        b_yaml="# all of it is commented out\n",
        c_json="{",
        _yaml="{",
    )
    assert list(config.functions) == ["f"]


def test_a_key_that_two_files_define_is_a_problem_that_names_both() -> None:
    shown = message(
        a_yaml=f"log: {{level: info}}\nfunctions:\n  f: {FUNCTION}\nevent_source_mappings: []\n",
        b_yaml=f"log: {{level: debug}}\nfunctions:\n  f: {FUNCTION}\n",
    )
    assert heads(shown) == [
        'conf.d/b.yaml:1:1: error: "log" is defined twice, first at conf.d/a.yaml:1:1',
        'conf.d/b.yaml:3:3: error: "f" is defined twice, first at conf.d/a.yaml:3:3',
    ]


def test_problems_of_all_files_are_told_at_once_each_in_its_file() -> None:
    shown = message(
        a_yaml=f"functions: {{f: {FUNCTION}}}\nlag: 1\n",
        b_yaml=f"event_source_mappings:\n  - {mapping('one', 'g')}\n  - {mapping('one', 'f')}\n",
    )
    assert heads(shown) == [
        'conf.d/a.yaml:2:1: error: unknown key "lag"',
        'conf.d/b.yaml:2:103: error: Function does not exist: "g" is not under functions',
        'conf.d/b.yaml:3:12: error: another mapping has the name "one", first at conf.d/b.yaml:2:12',
    ]


def test_syntax_errors_of_all_files_are_told_at_once_and_nothing_that_may_follow_from_them() -> None:
    shown = message(a_yaml="functions: [\n", b_yaml=f"event_source_mappings:\n  - {mapping('one', 'f')}\n", c_yaml="a: b: c\n")
    assert heads(shown) == [
        "conf.d/a.yaml:2:1: error: a bracket is never closed",
        f"conf.d/c.yaml:1:5: error: {NO_KEY}",
    ]


@pytest.mark.parametrize(
    ("first", "second"), [("functions: []", f"functions: {{f: {FUNCTION}}}"), ("functions:", "functions: {}")]
)
def test_sections_of_different_kinds_cannot_be_joined(first: str, second: str) -> None:
    shown = message(a_yaml=f"{first}\nevent_source_mappings: []\n", b_yaml=f"{second}\n")
    assert [line.partition(": error: ")[2] for line in heads(shown)] == [
        "must be a mapping (key: value), to be joined with the one at conf.d/b.yaml:1:1"
    ]


def test_a_missing_section_is_told_of_the_folder() -> None:
    assert message(a_yaml="log: {}\n").splitlines() == [
        'conf.d: error: missing key "functions"',
        'conf.d: error: missing key "event_source_mappings"',
    ]


def test_a_folder_without_files_is_no_configuration() -> None:
    assert message() == "conf.d: error: no *.yaml file in this folder"


def test_a_folder_named_like_a_file_is_told_as_what_it_is() -> None:
    Path("conf.d").mkdir()
    Path("conf.d/sub.yaml").mkdir()
    with pytest.raises(InvalidConfig) as caught:
        load(Path("conf.d"), SystemClock())
    assert str(caught.value) == "conf.d/sub.yaml: error: Is a directory"
