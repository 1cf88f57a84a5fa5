"""What patterns see of a record: Lambda's table of formats, row by row, for streams and queues."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import orjson
import pytest
from support.build import record

from poller.core.filters import KINESIS, SQS, Filter, FilterShape, compile_filter
from poller.core.model import Record, ShardId
from poller.sources.kinesis import KinesisFormat, KinesisShape

SHARD = ShardId("shardId-000000000006")
STREAM = "arn:aws:kinesis:us-east-2:123456789012:stream/orders"


def kinesis(data: bytes, key: str = "customer-7") -> Record:
    """A record as the source makes it."""
    shape = KinesisShape(stream_arn=STREAM, region="us-east-2", role_arn="arn:aws:lambda:us-east-2:123456789012:function:f")
    raw = {
        "SequenceNumber": "4959",
        "ApproximateArrivalTimestamp": 1545084650.987,
        "Data": b64encode(data).decode(),
        "PartitionKey": key,
    }
    return KinesisFormat(shape, SHARD).record(raw, 0.0)  # type: ignore[arg-type]  # a plain dict, like the client's


def message(body: str, **attributes: str) -> Record:
    """A message in Lambda's shape."""
    event = {
        "messageId": "059f36b4",
        "receiptHandle": "AQEB",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183", **attributes},
        "messageAttributes": {"kind": {"stringValue": "order", "stringListValues": [], "dataType": "String"}},
        "md5OfBody": "e4e6",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:orders",
        "awsRegion": "us-east-2",
    }
    return record(1, payload=orjson.dumps(event))


def wants(shape: FilterShape, *patterns: dict[str, Any]) -> Filter:
    return compile_filter(patterns, shape)


JSON_PATTERN = {"a": [1]}

KINESIS_TABLE: dict[str, tuple[bytes, bool]] = {
    "JSON that matches": (b'{"a": 1}', True),
    "JSON in an array that matches": (b'[{"a": 2}, {"a": 1}]', True),
    "JSON with blanks around": (b' \n{"a": 1}\t', True),
    "JSON that does not match": (b'{"a": 2}', False),
    "duplicate keys, the last matches": (b'{"a": 2, "a": 1}', True),
    "duplicate keys, the last does not": (b'{"a": 1, "a": 2}', False),
    "plain text": (b"a = 1", False),
    "a lone number": (b"1", False),
    "a lone string": (b'"a"', False),
    "nothing": (b"", False),
    "not UTF-8": (b'{"a": 1, "b": "\xff"}', False),
    "a byte-order mark": (b'\xef\xbb\xbf{"a": 1}', False),
    "NaN": (b'{"a": 1, "b": NaN}', False),
    "a number beyond all doubles": (b'{"a": 1, "b": 1e999}', False),
    "half a surrogate": (b'{"a": 1, "b": "\\ud800"}', False),
    "nested deeper than a parser goes": (b'{"a": 1, "b": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", False),
}


@pytest.mark.rule("filter.kinesis.data")
@pytest.mark.parametrize(("data", "wanted"), KINESIS_TABLE.values(), ids=KINESIS_TABLE)
def test_data_of_kinesis(data: bytes, wanted: bool) -> None:  # noqa: FBT001 - a row of the table
    assert wants(KINESIS, {"data": JSON_PATTERN}).wants(kinesis(data)) is wanted


SQS_TABLE: dict[str, tuple[str, Any, bool]] = {
    "plain text, pattern for text, equal": ("hello", ["hello"], True),
    "plain text, pattern for text, different": ("hello", ["hi"], False),
    "plain text, pattern for text, any operator": ("hello", [{"prefix": "he"}], True),
    "plain text, pattern for JSON": ("hello", JSON_PATTERN, False),
    "plain text, pattern for what JSON lacks": ("hello", {"a": [{"exists": False}]}, False),
    "JSON, pattern for text": ('{"a": 1}', [{"prefix": "{"}], False),
    "JSON, pattern for any text": ('{"a": 1}', [{"exists": True}], False),
    "JSON, pattern for JSON, matches": ('{"a": 1}', JSON_PATTERN, True),
    "JSON, pattern for JSON, does not": ('{"a": 2}', JSON_PATTERN, False),
    "JSON, pattern for what JSON lacks": ("{}", {"a": [{"exists": False}]}, True),
    "nearly JSON, pattern for text": ('{"a": 1', [{"prefix": "{"}], True),
    "a lone number is text": ("1", ["1"], True),
    "a lone string is text, with its quotes": ('"x"', ['"x"'], True),
    "a number in the pattern is no text": ("1", [1], False),
    "no text at all": ("", [""], True),
}


@pytest.mark.rule("filter.sqs.body")
@pytest.mark.parametrize(("body", "pattern", "wanted"), SQS_TABLE.values(), ids=SQS_TABLE)
def test_body_of_sqs(body: str, pattern: object, wanted: bool) -> None:  # noqa: FBT001 - a row of the table
    assert wants(SQS, {"body": pattern}).wants(message(body)) is wanted


@pytest.mark.rule("filter.metadata-alone")
@pytest.mark.parametrize("data", [b'{"a": 1}', b"text", b"\xff"])
def test_without_a_pattern_for_the_message_only_metadata_count(data: bytes) -> None:
    assert wants(KINESIS, {"partitionKey": [{"prefix": "customer-"}]}).wants(kinesis(data))
    assert not wants(KINESIS, {"partitionKey": ["customer-7"]}).wants(kinesis(data, key="customer-8"))


@pytest.mark.rule("filter.kinesis.data")
@pytest.mark.parametrize(
    "pattern",
    [
        {"kinesisSchemaVersion": ["1.0"], "sequenceNumber": ["4959"]},
        {"approximateArrivalTimestamp": [{"numeric": [">", 1545084650.9]}]},
        {"eventSource": ["aws:kinesis"], "eventName": ["aws:kinesis:record"], "eventVersion": ["1.0"]},
        {"eventSourceARN": [STREAM], "awsRegion": ["us-east-2"], "eventID": [{"suffix": ":4959"}]},
        {"kinesis": {"partitionKey": [{"exists": False}]}},
    ],
)
def test_the_metadata_of_kinesis_are_one_flat_object(pattern: dict[str, Any]) -> None:
    assert wants(KINESIS, pattern).wants(kinesis(b"text"))


@pytest.mark.rule("filter.sqs.metadata")
@pytest.mark.parametrize(
    "pattern",
    [
        {"messageId": ["059f36b4"], "md5OfBody": [{"exists": True}]},
        {"attributes": {"MessageGroupId": [{"prefix": "g"}], "ApproximateReceiveCount": ["1"]}},
        {"messageAttributes": {"kind": {"stringValue": ["order"]}}, "body": ["text"]},
        {"eventSourceARN": [{"suffix": ":orders"}], "awsRegion": ["us-east-2"]},
        {"attributes.MessageGroupId": ["g1"]},
    ],
)
def test_the_metadata_of_sqs_are_as_the_function_sees_them(pattern: dict[str, Any]) -> None:
    assert wants(SQS, pattern).wants(message("text", MessageGroupId="g1"))


@pytest.mark.rule("filter.fields-together")
def test_message_and_metadata_have_to_match_together() -> None:
    both = wants(KINESIS, {"data": JSON_PATTERN, "partitionKey": ["1"]})
    assert both.wants(kinesis(b'{"a": 1}', key="1"))
    assert not both.wants(kinesis(b'{"a": 1}', key="2"))
    assert not both.wants(kinesis(b'{"a": 2}', key="1"))


def test_a_message_that_is_no_json_fails_only_the_alternatives_that_name_it() -> None:
    either = wants(KINESIS, {"$or": [{"data": JSON_PATTERN}, {"partitionKey": ["1"]}]})
    assert either.wants(kinesis(b"text", key="1"))
    assert not either.wants(kinesis(b"text", key="2"))
    assert either.wants(kinesis(b'{"a": 1}', key="2"))


@pytest.mark.rule("filter.patterns-are-alternatives")
def test_one_of_several_patterns_is_enough() -> None:
    any_of = wants(SQS, {"body": ["stop"]}, {"body": JSON_PATTERN}, {"attributes": {"MessageGroupId": ["g1"]}})
    assert any_of.wants(message("stop"))
    assert any_of.wants(message('{"a": 1}'))
    assert any_of.wants(message("go", MessageGroupId="g1"))
    assert not any_of.wants(message("go", MessageGroupId="g2"))


@pytest.mark.rule("filter.patterns-are-alternatives")
@pytest.mark.parametrize("shape", [KINESIS, SQS])
@pytest.mark.parametrize("payload", [b"{}", b"", b"no JSON", b"[]"])
def test_without_patterns_everything_is_wanted(shape: FilterShape, payload: bytes) -> None:
    assert wants(shape).wants(record(1, payload=payload))


def test_a_message_is_decoded_once_and_only_if_a_pattern_names_it() -> None:
    decoded: list[object] = []

    def decode(data: object) -> object:
        decoded.append(data)
        return KINESIS.decode(data)

    watched = replace(KINESIS, decode=decode)
    assert wants(watched, {"partitionKey": ["1"]}, {"data": JSON_PATTERN}).wants(kinesis(b'{"a": 1}', key="1"))
    assert not wants(watched, {"partitionKey": ["1"]}).wants(kinesis(b'{"a": 1}', key="2"))
    assert decoded == []
    assert wants(watched, {"data": {"b": [1]}}, {"data": JSON_PATTERN}).wants(kinesis(b'{"a": 1}'))
    assert len(decoded) == 1


def test_a_message_beyond_any_source_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poller.core.filters.LARGEST_DATA", 100)
    padded = '{"a": 1, "b": "' + "x" * 100 + '"}'
    assert not wants(KINESIS, {"data": JSON_PATTERN}).wants(kinesis(padded.encode()))
    assert not wants(SQS, {"body": JSON_PATTERN}).wants(message(padded))


def test_names_that_no_record_has_are_known() -> None:
    kinesis_filter = wants(KINESIS, {"kinesis": {"data": {"a": [1]}}, "data": {"dynamodb": [1]}}, {"Data": {"b": [1]}})
    assert kinesis_filter.unknown == ("Data", "kinesis")
    assert wants(SQS, {"body": {"x": [1]}, "attributes.SenderId": ["x"]}).unknown == ()
