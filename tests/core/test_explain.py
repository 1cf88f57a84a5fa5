"""What is told of a filter is what the filter does."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from support.build import record

from poller.core.explain import explain
from poller.core.filters import KINESIS, SQS, InvalidPattern, compile_filter

VECTORS = Path(__file__).parents[1] / "data" / "filter_vectors_own.jsonl"


def message(body: object) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return json.dumps({"messageId": "m1", "body": text, "attributes": {}, "messageAttributes": {}}).encode()


def test_every_known_answer_is_told_as_the_filter_gives_it() -> None:
    asked = 0
    for line in VECTORS.read_text(encoding="utf-8").splitlines():
        vector = json.loads(line)
        pattern = json.dumps({"body": vector["pattern"]}) if "pattern" in vector else None
        event = vector.get("event")
        if pattern is None or not isinstance(event, dict | list):
            continue
        payload = message(event)
        try:
            wants = compile_filter([pattern], SQS).wants(record(1, payload=payload))
        except InvalidPattern:
            continue
        (told,) = explain([pattern], SQS, payload)
        assert told.matches == wants, vector
        assert told.matches <= all(each.holds for each in told.conditions), vector
        asked += 1
    assert asked > 1_000


def test_of_each_condition_it_tells_what_is_wanted_and_what_was_found() -> None:
    body = {"status": "open", "items": [{"sku": "b"}, {"sku": "a"}]}
    (told,) = explain([{"body": {"status": ["paid"], "items": {"sku": ["a"]}}}], SQS, message(body))
    assert [(each.field, each.wanted, each.found, each.holds) for each in told.conditions] == [
        ("body.status", '["paid"]', ('"open"',), False),
        ("body.items.sku", '["a"]', ('"b"', '"a"'), True),
    ]


def test_of_alternatives_it_tells_the_one_that_comes_closest() -> None:
    pattern = {"$or": [{"body": {"a": [1], "b": [2]}}, {"body": {"a": [1], "c": [3]}}]}
    (told,) = explain([pattern], SQS, message({"a": 1, "c": 4}))
    assert [each.field for each in told.conditions if not each.holds] in (["body.b"], ["body.c"])
    (told,) = explain([pattern], SQS, message({"a": 1, "c": 3}))
    assert told.matches
    assert {each.field for each in told.conditions} == {"body.a", "body.c"}


def test_a_message_that_is_no_json_is_remarked_on() -> None:
    (told,) = explain([{"body": {"a": [{"exists": False}]}}], SQS, message("text"))
    assert (told.matches, told.remark) == (False, "the body is no JSON object or array")
    assert not any(each.holds for each in told.conditions)


def test_conditions_that_hold_apart_and_not_together_are_called_so() -> None:
    (told,) = explain([{"body": {"l": {"a": [1], "b": [2]}}}], SQS, message({"l": [{"a": 1}, {"b": 2}]}))
    assert told.together


def test_the_data_of_a_stream_is_decoded() -> None:
    data = b64encode(b'{"a": 1}').decode()
    payload = json.dumps({"kinesis": {"data": data, "partitionKey": "k"}, "eventSource": "aws:kinesis"}).encode()
    (one, two) = explain([{"data": {"a": [1]}}, {"partitionKey": ["x"]}], KINESIS, payload)
    assert (one.matches, two.matches, two.conditions[0].found) == (True, False, ('"k"',))


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON object"):
        explain([], SQS, b"[]")
