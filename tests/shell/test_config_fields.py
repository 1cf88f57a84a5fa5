from __future__ import annotations

import json
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.config_rows import KINDS, MAPPING, PROCESS, STREAM, bare, item, mapping, table

from poller.config import InvalidConfig, load

if TYPE_CHECKING:
    from poller.config import Config


@dataclass(frozen=True)
class StoppedClock:
    def time(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Config:
    path = Path("config.yaml")
    path.write_text(text, encoding="utf-8")
    return load(path, StoppedClock(), environ={})


def problems(text: str) -> list[str]:
    """`line:column message` of every problem."""
    with pytest.raises(InvalidConfig) as caught:
        loaded(text)
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in caught.value.problems]


def attribute(value: object, path: str) -> object:
    """`functions.f.timeout` of a configuration."""
    return reduce(_step, path.split("."), value)


def _step(value: object, name: str) -> object:
    if isinstance(value, tuple):
        return value[int(name)]
    return value[name] if isinstance(value, dict) else getattr(value, name)


NOT_NULL = "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
EXAMPLES = {
    "name": "orders",
    "event_source_arn": STREAM,
    "function_name": "orders",
    "starting_position": f"TRIM_HORIZON (Lambda: {NOT_NULL})",
}


@pytest.mark.parametrize(("kind", "snippet", "expected"), [*table("accepted.txt"), *table("accepted_queues.txt")])
def test_a_valid_value_is_taken(kind: str, snippet: str, expected: list[str]) -> None:
    path, _, value = expected[0].partition(" = ")
    taken = attribute(loaded(KINDS[kind](snippet)), path)
    assert json.dumps(taken) == value


@pytest.mark.parametrize(("kind", "snippet", "expected"), [*table("refused.txt"), *table("refused_queues.txt")])
def test_an_invalid_value_is_refused_at_its_place(kind: str, snippet: str, expected: list[str]) -> None:
    assert problems(KINDS[kind](snippet)) == expected


@pytest.mark.parametrize(("key", "example"), list(EXAMPLES.items()))
def test_a_missing_key_is_named_where_its_mapping_begins(key: str, example: str) -> None:
    kept = "\n    ".join(f"{name}: {value}" for name, value in MAPPING.items() if name != key)
    assert problems(item(kept)) == [f'3:5 missing key "{key}", for example {key}: {example}']


@pytest.mark.parametrize("key", ["runtime", "handler"])
def test_a_missing_key_of_a_function_is_named_at_the_functions_name(key: str) -> None:
    kept = "\n    ".join(f"{name}: {value}" for name, value in PROCESS.items() if name != key)
    assert problems(bare(kept)) == [f'2:3 missing key "{key}", for example {key}: {PROCESS[key]}']


def test_a_file_without_its_two_sections_is_told_so_at_its_beginning() -> None:
    assert problems("\naws: {}\n") == ['2:1 missing key "functions"', '2:1 missing key "event_source_mappings"']


def test_two_mappings_cannot_share_a_name_or_a_source_and_a_function() -> None:
    one = "\n    ".join(f"{name}: {value}" for name, value in MAPPING.items())
    lambdas_words = f'The event source arn (" {STREAM} ") and function (" f ") provided mapping already exists'
    assert problems(f"{item(one)}  - {one}\n") == [
        '7:11 another mapping has the name "m", first at config.yaml:3:11',
        f"8:23 {lambdas_words}, first at config.yaml:4:23",
    ]


def test_two_mappings_cannot_share_checkpoints_by_a_uuid_that_follows_from_the_others_name() -> None:
    uuid = loaded(mapping("name: m")).event_source_mappings[0].uuid
    other = STREAM.replace("orders", "other")
    second = f"{{name: n, uuid: {uuid}, event_source_arn: {other}, function_name: f, starting_position: LATEST}}"
    text = f"{mapping('name: m')}  - {second}"
    assert problems(text) == [
        "7:21 another mapping has this UUID: the two would share their checkpoints, first at config.yaml:3:11"
    ]


def test_a_function_that_does_not_exist_is_named_with_the_one_that_was_meant() -> None:
    text = mapping("function_name: ordrs").replace("{f:", "{orders:")
    assert problems(text) == [
        '3:20 Function does not exist: "ordrs" is not under functions, did you mean "orders"?',
    ]


def test_a_mapping_may_name_a_function_that_has_errors_of_its_own() -> None:
    assert problems(mapping("name: m").replace("app.handler", "app")) == [
        '1:44 "handler" must be "module.function", for example app.handler',
    ]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = mapping("batch_size: 0").replace("inline", "[inline]").replace("LATEST", "MIDDLE").replace(": f\n", ": g\n")
    assert problems(f"drain_timeot: 1\n{text}") == [
        '1:1 unknown key "drain_timeot", did you mean "drain_timeout"?',
        '2:27 "executor" must be process, inline, http or lambda, or the name of a plug-in',
        '4:17 "batch_size" must be from 1 to 10000',
        '7:20 Function does not exist: "g" is not under functions',
        '8:24 "starting_position" must be TRIM_HORIZON, LATEST or AT_TIMESTAMP',
    ]


def test_both_spellings_of_one_field_are_one_too_many() -> None:
    assert problems(mapping("BatchSize: 5\n    batch_size: 6")) == [
        '4:5 "batch_size" repeats "BatchSize", first at config.yaml:3:5',
    ]
