"""What a line that a function printed says of itself."""

from __future__ import annotations

import json
import logging
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.logged import logged

from poller.observe.printed import MAX_JSON_CHARACTERS, MAX_JSON_DEPTH, MAX_JSON_VALUES, read

LAMBDA_JSON = (
    '{"timestamp": "2025-01-31T12:00:00Z", "level": "WARN", "message": "late", "logger": "root", '
    '"requestId": "6f0c3f0e-5a41-4d5b-9f0e-0a8a1f6f2b11"}'
)
POWERTOOLS = (
    '{"level":"ERROR","location":"handler:7","message":{"order":17},"timestamp":"2025-01-31 12:00:00,123+0000",'
    '"service":"orders","cold_start":true,"function_request_id":"6f0c3f0e","xray_trace_id":"1-2-3"}'
)
PINO = '{"level":50,"time":1738324800000,"pid":7,"hostname":"a","msg":"no"}'
STRUCTLOG = '{"log_level": "debug", "event": "hello"}'


@pytest.mark.parametrize(
    ("line", "level"),
    [
        pytest.param(LAMBDA_JSON, "WARNING", id="Lambda's JSON format"),
        pytest.param(POWERTOOLS, "ERROR", id="Powertools"),
        pytest.param(PINO, "ERROR", id="pino"),
        pytest.param(STRUCTLOG, "DEBUG", id="structlog"),
        pytest.param('  {"a": 1}\t', "INFO", id="no level"),
        pytest.param('{"level": "LOUD"}', "INFO", id="an unknown level"),
        pytest.param('{"level": ["ERROR"]}', "INFO", id="a level that is a list"),
        pytest.param('{"level": null, "log_level": "error"}', "INFO", id="the first name counts"),
        pytest.param("{}", "INFO", id="nothing"),
    ],
)
def test_an_object_is_kept_as_structure_at_the_level_that_it_names(line: str, level: str) -> None:
    assert read(line) == (logging.getLevelNamesMapping()[level], {"json": json.loads(line)})


@pytest.mark.parametrize(
    ("line", "level"),
    [
        pytest.param("[ERROR]\t2025-01-31T12:00:00.123Z\t6f0c3f0e\tno such order", "ERROR", id="Python's logging"),
        pytest.param("[WARNING] 2025", "WARNING", id="with a space"),
        pytest.param("[ERROR] ValueError: x\rTraceback", "ERROR", id="what the runtime says of an exception"),
        pytest.param(
            "2025-01-31T12:00:00.123Z\t6f0c3f0e-5a41-4d5b-9f0e-0a8a1f6f2b11\tWARN\tlate", "WARNING", id="Node's console"
        ),
        pytest.param("2025-01-31T12:00:00.123Z\tundefined\tDEBUG\tx", "DEBUG", id="Node outside of an invocation"),
        pytest.param("[1, 2]", "INFO", id="a list"),
        pytest.param("[LOUD]\tx", "INFO", id="an unknown level"),
        pytest.param("an [ERROR]\tin the middle", "INFO", id="in the middle"),
        pytest.param("", "INFO", id="nothing"),
    ],
)
def test_text_stays_text_at_the_level_that_lambdas_formats_name(line: str, level: str) -> None:
    assert read(line) == (logging.getLevelNamesMapping()[level], {"line": line})


def nested(levels: int) -> str:
    """An object so many levels deep."""
    return '{"a":' * (levels - 1) + '{"a":1}' + "}" * (levels - 1)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('{"a": NaN}', id="NaN"),
        pytest.param('{"a": 1} {"b": 2}', id="two objects"),
        pytest.param('{"a": 1,}', id="a comma too many"),
        pytest.param('{"a": "\\ud800"}', id="half a pair"),
        pytest.param("{'a': 1}", id="a dict of Python"),
        pytest.param('{"a": "' + "x" * MAX_JSON_CHARACTERS + '"}', id="huge"),
        pytest.param(nested(MAX_JSON_DEPTH + 1), id="one level too deep"),
        pytest.param('{"a": [' + "1," * (MAX_JSON_VALUES - 1) + "1]}", id="one value too many"),
        pytest.param('{"a":' + "[" * 30_000 + "]" * 30_000 + "}", id="absurdly deep"),
        pytest.param('{"a":' + '{"a":' * 10_000 + "}", id="not closed"),
    ],
)
def test_what_is_no_object_or_too_much_of_one_stays_text(line: str) -> None:
    assert read(line) == (logging.INFO, {"line": line})


def test_the_deepest_and_the_largest_object_are_kept() -> None:
    assert read('{"a": [' + "1," * (MAX_JSON_VALUES - 2) + "1]}")[1] == {"json": {"a": [1] * (MAX_JSON_VALUES - 1)}}
    assert read(nested(MAX_JSON_DEPTH))[1] == {"json": json.loads(nested(MAX_JSON_DEPTH))}
    largest = '{"a":"' + "x" * (MAX_JSON_CHARACTERS - 8) + '"}'
    assert len(largest) == MAX_JSON_CHARACTERS
    assert "json" in read(largest)[1]


VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_whatever_a_function_prints_can_be_read_and_logged(fields: dict[str, Any]) -> None:
    for line in (json.dumps(fields), str(fields), json.dumps(fields)[:-1]):
        level, content = read(line)
        assert level in {logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR}
        assert list(content) in (["json"], ["line"])
        assert orjson.dumps(content)


PROGRAM = """
from poller.observe.function import FunctionObserver
from poller.observe.metrics import Metrics
configure({level!r})
function = FunctionObserver(Metrics(), "handle")
function.started("r1", "orders")
for line in {lines!r}:
    function.output(line, stream="stdout", request_id="r1")
"""


def test_secrets_are_masked_inside_of_objects_and_fields_of_ours_cannot_be_overwritten() -> None:
    line = (
        '{"level": "info", "event": "batch", "mapping": "forged", "timestamp": 0, "password": "hunter2",'
        ' "deep": [{"api_key": "hunter2"}], "url": "redis://me:hunter2@host/0"}'
    )
    stderr, _ = logged(PROGRAM.format(level="info", lines=[line]))
    assert b"hunter2" not in stderr
    written = orjson.loads(stderr)
    assert (written["event"], written["mapping"], written["function"]) == ("function", "orders", "handle")
    assert written["json"]["deep"] == [{"api_key": "***"}]
    assert written["json"]["mapping"] == "forged"


def test_the_level_of_the_log_holds_for_what_a_function_says_too() -> None:
    lines = ['{"level":"DEBUG","n":1}', '{"level":"INFO","n":2}', "printed", '{"level":"WARN","n":3}', "[ERROR]\tx"]
    for level, expected in (("debug", 5), ("info", 4), ("warning", 2)):
        stderr, _ = logged(PROGRAM.format(level=level, lines=lines))
        assert len(stderr.splitlines()) == expected, level
