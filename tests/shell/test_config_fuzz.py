from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from poller.clock import SystemClock
from poller.config import Config, InvalidConfig, load

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Path(__file__).parents[2] / "config"
SAMPLE = (CONFIG / "poller.yaml").read_text(encoding="utf-8")
QUEUES = (CONFIG / "queue.yaml").read_text(encoding="utf-8")
MISTAKES = (Path(__file__).parents[1] / "data" / "config" / "mistakes.yaml").read_text(encoding="utf-8")
CHARACTERS = "\n\t\r :-?,[]{}#&*!|>'\"%@`$~=<.0 1aé\0\x1b\x85\u2028\ud7ff\U0001f600"
TOKENS = (
    "\n- ",
    "\n  ",
    ": ",
    "${",
    "${A}",
    "${A:-",
    "&a ",
    "*a",
    "<<: ",
    "---\n",
    "...\n",
    "!!str ",
    "%YAML 1.1\n",
    "functions:",
)
WORDS = ("event_source_mappings:", "environment:", "null", "0644", "1e999", "\\U0011")
PIECES = st.sampled_from([*CHARACTERS, *TOKENS, *WORDS])
HEAD = re.compile(r"config\.yaml(?::(\d+):(\d+))?: error: \S")


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], Config | InvalidConfig]:
    """Loads bytes as a file: a configuration, or an error whose every problem can be shown; never anything else."""
    path = tmp_path_factory.mktemp("fuzz") / "config.yaml"

    def run(data: bytes) -> Config | InvalidConfig:
        path.write_bytes(data)
        try:
            return load(path, SystemClock(), environ={"A": "x: [1"})
        except InvalidConfig as error:
            check(error, data)
            return error

    return run


def check(error: InvalidConfig, data: bytes) -> None:
    """Every problem is one line of text, and points into the file."""
    assert error.problems
    lines = 1 + len(re.findall(rb"\r\n|[\r\n]|\xc2\x85|\xe2\x80\xa8|\xe2\x80\xa9", data))
    for problem in error.problems:
        head, *excerpt = str(problem).split("\n")
        assert HEAD.search(head)
        assert problem.place.line <= lines
        assert len(excerpt) == (2 if problem.place.line else 0)
        assert str(problem).replace("\n", "").isprintable()


FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.binary(max_size=300))
@example(data=b"a: 1\rb: [\r")
@example(data=b'"\\UFFFFFFFF": 1')
def test_any_bytes_are_a_configuration_or_an_error(attempt: Callable[[bytes], Config | InvalidConfig], data: bytes) -> None:
    assert attempt(data) is not None


@FUZZ
@given(pieces=st.lists(PIECES, max_size=60))
def test_any_text_that_looks_like_yaml_is_a_configuration_or_an_error(
    attempt: Callable[[bytes], Config | InvalidConfig], pieces: list[str]
) -> None:
    assert attempt("".join(pieces).encode()) is not None


@FUZZ
@given(
    base=st.sampled_from([SAMPLE, QUEUES, MISTAKES]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), min_size=1, max_size=5),
)
def test_a_file_with_typing_errors_is_a_configuration_or_an_error(
    attempt: Callable[[bytes], Config | InvalidConfig], base: str, edits: list[tuple[float, int, str]]
) -> None:
    text = base
    for where, removed, inserted in edits:
        at = int(where * len(text))
        text = text[:at] + inserted + text[at + removed :]
    assert attempt(text.encode()) is not None


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "process",
            "inline",
            "LATEST",
            "AT_TIMESTAMP",
            "orders",
            "memory://",
            "arn:aws:sqs:x:123456789012:q",
            "0" * 50,
            '{"body": [1]}',
        ]
    ),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)


@FUZZ
@given(data=st.data())
def test_a_file_with_any_value_at_any_place_is_a_configuration_or_an_error(
    attempt: Callable[[bytes], Config | InvalidConfig], data: st.DataObject
) -> None:
    document = yaml.safe_load(data.draw(st.sampled_from([SAMPLE, QUEUES])))
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(document, data)
    text = yaml.safe_dump(document, allow_unicode=data.draw(st.booleans()), default_flow_style=data.draw(st.booleans()))
    assert attempt(text.encode("utf-8", "replace")) is not None


def mutate(node: object, data: st.DataObject) -> None:
    """Replaces, removes or adds one value somewhere below a list or a mapping."""
    while isinstance(node, dict | list) and node:
        keys: list[object] = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        inner = node[key]  # type: ignore[call-overload]  # the key is one of its own
        if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
            node = inner
            continue
        node[key] = data.draw(VALUES)  # type: ignore[call-overload]  # the same
        if isinstance(node, dict) and data.draw(st.booleans()):
            del node[key]
            node[data.draw(st.text(max_size=12))] = inner
        return


@pytest.mark.parametrize("text", [SAMPLE, QUEUES], ids=["stream", "queues"])
def test_the_untouched_samples_are_configurations(attempt: Callable[[bytes], Config | InvalidConfig], text: str) -> None:
    assert isinstance(attempt(text.encode()), Config)


SECRET = """\
functions:
  f:
    executor: process
    memory_size: 128
    environment:
      TOKEN: hunter2
    handler: app.handler
event_source_mappings: []
"""
BEFORE, AFTER = SECRET.split("    environment:\n      TOKEN: hunter2\n")


@FUZZ
@given(
    before=st.lists(st.tuples(st.floats(0, 1), PIECES), max_size=2),
    after=st.lists(st.tuples(st.floats(0, 1), PIECES), max_size=2),
)
def test_a_secret_stays_one_whatever_is_mistyped_around_it(
    attempt: Callable[[bytes], Config | InvalidConfig],
    before: list[tuple[float, str]],
    after: list[tuple[float, str]],
) -> None:
    text = f"{mistyped(BEFORE[:-1], before)}\n    environment:\n      TOKEN: hunter2\n{mistyped(AFTER, after)}"
    result = attempt(text.encode())
    if isinstance(result, Config):
        assert "hunter2" not in repr(result)
        return
    document = result.problems[0].place.document
    everything = "\n".join(document.excerpt(line, 1)[0] for line in range(1, document.lines + 1))
    assert "hunter2" not in f"{result}\n{everything}"


def mistyped(text: str, edits: list[tuple[float, str]]) -> str:
    for where, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at:]
    return text
