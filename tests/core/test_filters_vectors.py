"""Questions with known answers: a pattern, an event, and whether they match, or whether the pattern is valid at all.

`filter_vectors_own.jsonl` was answered by the engine that AWS published. A file of the same form, gathered from the tests of
that engine and from recordings of AWS, is read where FILTER_VECTORS names it.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.build import record

from poller.core.filters import KINESIS, SQS, InvalidPattern, compile_filter
from poller.core.patterns import compile_pattern

OWN = Path(__file__).parents[1] / "data" / "filter_vectors_own.jsonl"

Vector = dict[str, Any]
Ask = Callable[[Vector], bool | str]


@pytest.fixture(params=["own", "gathered"])
def vectors(request: pytest.FixtureRequest) -> list[Vector]:
    path = OWN if request.param == "own" else os.environ.get("FILTER_VECTORS")
    if path is None:
        pytest.skip("FILTER_VECTORS does not name a file of further vectors")
    found = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    assert len(found) > 1_000
    return found


def pattern_of(vector: Vector) -> str:
    return vector.get("pattern_text") or json.dumps(vector["pattern"])


def event_of(vector: Vector) -> str:
    return vector.get("event_text") or json.dumps(vector["event"])


def wrong(vectors: list[Vector], ask: Ask) -> list[tuple[Vector, bool | str]]:
    """The vectors that are not answered as expected, with the answers that they got."""

    def answer(vector: Vector) -> bool | str:
        try:
            return ask(vector)
        except InvalidPattern:
            return "invalid"

    answers = [(vector, answer(vector)) for vector in vectors]
    return [(vector, given) for vector, given in answers if given != vector["expected"]]


def matches(vector: Vector) -> bool | str:
    compiled = compile_pattern(pattern_of(vector))
    return compiled.matches(orjson.loads(event_of(vector))) if isinstance(vector["expected"], bool) else "valid"


@pytest.mark.rule("filter.operators")
def test_every_vector_is_answered_right(vectors: list[Vector]) -> None:
    assert wrong(vectors, matches) == []


def wanted_as_message(vector: Vector) -> bool | str:
    message = record(1, payload=json.dumps({"body": event_of(vector)}).encode())
    return compile_filter([f'{{"body": {pattern_of(vector)}}}'], SQS).wants(message)


def wanted_as_data(vector: Vector) -> bool | str:
    data = b64encode(event_of(vector).encode()).decode()
    payload = json.dumps({"kinesis": {"data": data}, "eventSource": "aws:kinesis"}).encode()
    return compile_filter([f'{{"data": {pattern_of(vector)}}}'], KINESIS).wants(record(1, payload=payload))


@pytest.mark.parametrize("wanted", [wanted_as_message, wanted_as_data], ids=["SQS body", "Kinesis data"])
def test_every_vector_is_answered_right_also_inside_a_record(vectors: list[Vector], wanted: Ask) -> None:
    judged = [vector for vector in vectors if isinstance(vector["expected"], bool)]
    assert wrong(judged, wanted) == []
