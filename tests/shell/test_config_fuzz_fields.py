"""Any value for any field, in any company: filters, queues, environments, files of secrets. Never a crash, always a place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.config_schema import MODELS

from poller.clock import SystemClock
from poller.config import Config, InvalidConfig, load
from poller.config.section import pascal_case

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = sorted({name for model in MODELS for name in (*model.model_fields, *model.refused)})
KEYS = st.sampled_from(
    [*FIELDS, *map(pascal_case, FIELDS), "filters", "pattern", "on_failure", "destination", "Variables", "metrics"]
)
STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
ARNS = st.sampled_from(
    [
        STREAM,
        f"{STREAM}/consumer/c:1",
        "arn:aws:sqs:eu-west-1:123456789012:q",
        "arn:aws:sqs:eu-west-1:123456789012:q.fifo",
        "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
        "arn:aws:sns:eu-west-1:123456789012:t.fifo",
        "arn:aws:lambda:eu-west-1:123456789012:function:f:prod",
        "kafka://t",
        "${ARN}",
        "arn:" * 40,
    ]
)
PATHS = st.sampled_from(["secret", "latin", "nul", "empty", ".", "/dev/zero", "~/x", "nowhere/x", "a" * 300, "${SECRET}", "x\0"])
WORDS = st.sampled_from(
    ["LATEST", "AT_TIMESTAMP", "process", "inline", "ReportBatchItemFailures", "EventCount", "backoff", "python"]
)
NUMBERS = st.sampled_from([-2, -1, 0, 1, 2, 10, 11, 100, 300, 301, 900, 1000, 10_000, 10_001, 604_800, 2**64, 0.5, 1e308])
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, ARNS, PATHS, st.text(max_size=6))

OPERATORS = st.sampled_from(
    ["prefix", "suffix", "numeric", "exists", "anything-but", "cidr", "wildcard", "equals-ignore-case", "$or", "x"]
)
CONDITIONS = st.dictionaries(OPERATORS, st.one_of(LEAVES, st.lists(LEAVES, max_size=3)), max_size=2)
PATTERNS = st.recursive(
    st.lists(st.one_of(LEAVES, CONDITIONS), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["body", "data", "a", "$or", "dynamodb"]), inner, max_size=3),
    max_leaves=6,
)
FILTERS = st.builds(
    lambda patterns, as_text: {"filters": [{"pattern": json.dumps(each) if as_text else each} for each in patterns]},
    st.lists(PATTERNS, max_size=12),
    st.booleans(),
)
VALUES = st.recursive(
    LEAVES | FILTERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
SECTIONS = st.dictionaries(KEYS, VALUES, max_size=6)
VARIABLES = st.dictionaries(st.sampled_from(["A", "B", "1A", "A-B", "Variables", ""]), LEAVES, max_size=3)

STREAMS = {"name": "s", "event_source_arn": STREAM, "function_name": "f", "starting_position": "LATEST"}
QUEUES = {"name": "q", "event_source_arn": "arn:aws:sqs:eu-west-1:123456789012:q", "function_name": "f"}
FUNCTIONS = {"executor": "process", "runtime": "python", "handler": "a.b"}

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> Callable[[object], Config | InvalidConfig]:
    """Loads a configuration, beside files of all kinds that it may name."""
    folder = tmp_path_factory.mktemp("fuzz")
    held = {"secret": b"redis://:hunter2@cache\n", "latin": b"caf\xe9", "nul": b"a\0b", "empty": b""}
    for name, text in held.items():
        (folder / name).write_bytes(text)

    def run(document: object) -> Config | InvalidConfig:
        path = folder / "config.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        try:
            result: Config | InvalidConfig = load(path, SystemClock(), environ={"SECRET": "secret", "ARN": STREAM})
        except InvalidConfig as error:
            result = error
            check(error)
        assert "hunter2" not in f"{result}{result!r}"
        return result

    return run


def check(error: InvalidConfig) -> None:
    """Every problem is a line of text, and points into the file, which is one line."""
    assert error.problems
    assert all(problem.place.line <= 1 and str(problem).replace("\n", "").isprintable() for problem in error.problems)


def document(**sections: object) -> dict[str, object]:
    return {"store": {"url": "memory://"}, "functions": {"f": FUNCTIONS}, "event_source_mappings": []} | sections


@FUZZ
@given(base=st.sampled_from([STREAMS, QUEUES]), change=SECTIONS)
def test_any_field_of_a_mapping_may_hold_anything(
    attempt: Callable[[object], object], base: dict[str, object], change: object
) -> None:
    assert isinstance(change, dict)
    assert attempt(document(event_source_mappings=[base | change])) is not None


@FUZZ
@given(base=st.sampled_from([STREAMS, QUEUES]), arn=ARNS, criteria=st.one_of(FILTERS, VALUES), spelt=st.booleans())
def test_any_filter_is_taken_or_refused(
    attempt: Callable[[object], object], base: dict[str, object], arn: str, criteria: object, *, spelt: bool
) -> None:
    key = "FilterCriteria" if spelt else "filter_criteria"
    assert attempt(document(event_source_mappings=[base | {"event_source_arn": arn, key: criteria}])) is not None


@FUZZ
@given(
    environment=VARIABLES | VALUES, files=st.dictionaries(st.sampled_from(["A", "C", "1A"]), PATHS | LEAVES, max_size=3) | VALUES
)
def test_any_environment_and_any_files_are_taken_or_refused(
    attempt: Callable[[object], object], environment: object, files: object
) -> None:
    function = FUNCTIONS | {"environment": environment, "EnvironmentFile": files}
    assert attempt(document(functions={"f": function})) is not None


@FUZZ
@given(
    function=SECTIONS, store=st.dictionaries(st.sampled_from(["url", "url_file", "lease_duration"]), PATHS | LEAVES, max_size=3)
)
def test_any_function_and_any_store_are_taken_or_refused(
    attempt: Callable[[object], object], function: dict[str, object], store: object
) -> None:
    assert attempt(document(functions={"f": FUNCTIONS | function}, store=store)) is not None


@FUZZ
@given(
    whole=st.dictionaries(
        KEYS | st.sampled_from(["functions", "event_source_mappings", "store", "aws", "log"]), VALUES, max_size=5
    )
)
def test_any_document_is_taken_or_refused(attempt: Callable[[object], object], whole: object) -> None:
    assert attempt(whole) is not None


def test_what_is_right_is_taken(attempt: Callable[[object], Config | InvalidConfig]) -> None:
    function = FUNCTIONS | {"environment_file": {"A": "secret"}}
    right = document(functions={"f": function}, store={"url_file": "secret"}, event_source_mappings=[STREAMS, QUEUES])
    assert isinstance(attempt(right), Config)
    assert isinstance(attempt(document(store={"url_file": "latin"})), InvalidConfig)


def test_the_names_are_those_of_the_models() -> None:
    assert {"batch_size", "environment_file", "scaling_config", "url"} <= set(FIELDS)
    assert Path(__file__).name.startswith("test_config_fuzz")
