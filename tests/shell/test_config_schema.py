"""The JSON Schema for editors: made from the models, and of one opinion with them as far as a schema can have one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.config_rows import KINDS, table
from support.config_schema import DOCUMENT, document, schema
from support.json_schema import Validator

from poller.config import InvalidConfig, load
from poller.config.parse import parse
from poller.config.problem import Document
from poller.config.tree import Items, Node, Scalar, Table

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "config").glob("*.yaml"))
BROKEN = sorted((ROOT / "tests" / "data" / "config" / "broken").glob("*.yaml"))
SEES_TOO = re.compile(
    r'unknown key|missing key "(?!starting_position_timestamp)|must be (?:from|at least|above) \S+(?: to \S+)?$'
    r"|belongs to (?:queues|streams|executor)|is not supported yet: "
    r"|must be (?:true or false|an integer|a number|text)"
)
"""Messages for which an editor, too, has to show something."""


def parsed(path: Path) -> Node | None:
    """A file as an editor reads it: YAML 1.2, variables as they are written."""
    return parse(Document.at(path, path.read_text(encoding="utf-8").replace("${", "$${")), {}).root


def read(path: Path) -> object:
    root = parsed(path)
    assert root is not None
    return values(root)


def values(node: Node) -> object:
    match node:
        case Scalar():
            return node.value
        case Items():
            return [values(item) for item in node.items]
        case Table():
            return {key: values(entry.value) for key, entry in node.entries.items()}


SOUND = [path for path in BROKEN if parsed(path) is not None]


def test_the_file_is_the_one_that_the_models_make() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run: make docs"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_name_the_schema_and_satisfy_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith(f"# yaml-language-server: $schema={DOCUMENT.name}\n")
    assert Validator(schema()).errors(read(path)) == []


def in_pascal_case(value: object) -> object:
    """The same configuration with the keys of functions and mappings as Lambda spells them."""
    if isinstance(value, list):
        return [in_pascal_case(each) for each in value]
    if isinstance(value, dict):
        return {
            pascal(key): in_pascal_case(each) if key not in {"environment", "pattern"} else each for key, each in value.items()
        }
    return value


def pascal(key: str) -> str:
    return key if key == "executor" else "".join(word.capitalize() for word in key.split("_"))


def test_both_spellings_satisfy_it() -> None:
    for path in SAMPLES:
        config = read(path)
        assert isinstance(config, dict)
        functions = {name: in_pascal_case(function) for name, function in config["functions"].items()}
        assert Validator(schema()).errors({"functions": functions}) == []
        assert Validator(schema()).errors({"event_source_mappings": in_pascal_case(config["event_source_mappings"])}) == []


@pytest.mark.parametrize(("kind", "snippet", "_"), [*table("accepted.txt"), *table("accepted_queues.txt")])
def test_whatever_the_models_take_satisfies_it(kind: str, snippet: str, _: list[str], tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(KINDS[kind](snippet), encoding="utf-8")
    assert Validator(schema()).errors(read(path)) == []


def test_a_variable_may_stand_for_any_value() -> None:
    mapping = {"name": "${N}", "event_source_arn": "${A}", "function_name": "${F}", "starting_position": "${P:-LATEST}"}
    mapping |= {"batch_size": "${SIZE:-100}", "enabled": "${ON}", "maximum_record_age_in_seconds": "${AGE}"}
    assert Validator(schema()).errors({"event_source_mappings": [mapping], "drain_timeout": "${DRAIN}"}) == []
    assert Validator(schema()).errors({"drain_timeout": "30"}) == ["$.drain_timeout: anyOf"]


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_what_is_wrong_with_names_and_ranges_is_seen_by_the_schema_too(path: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(path, StoppedClock(), environ={})
    if any(SEES_TOO.search(problem.message) for problem in caught.value.problems):
        assert Validator(schema()).errors(read(path))


def test_the_schema_has_something_to_see() -> None:
    assert sum(bool(Validator(schema()).errors(read(path))) for path in SOUND) > 25


class StoppedClock:
    def time(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 0.0
