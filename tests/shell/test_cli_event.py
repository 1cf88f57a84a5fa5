from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from poller.cli import main
from poller.core.filters import KINESIS, SQS, compile_filter
from poller.core.model import BEGINNING, Record

if TYPE_CHECKING:
    from pathlib import Path


def event(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["event", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    records: list[dict[str, Any]] = json.loads(out)["Records"]
    return records


def test_a_kinesis_event_has_the_shape_that_lambda_gives_it(capsys: pytest.CaptureFixture[str]) -> None:
    [record] = event(capsys, "kinesis")
    assert list(record) == [
        *("kinesis", "eventSource", "eventVersion", "eventID", "eventName", "invokeIdentityArn", "awsRegion", "eventSourceARN")
    ]
    kinesis = record["kinesis"]
    assert list(kinesis) == ["kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp"]
    assert record["eventID"] == f"shardId-000000000006:{kinesis['sequenceNumber']}"
    assert record["eventSource"] == "aws:kinesis"
    assert json.loads(b64decode(kinesis["data"])) == {"id": 1, "item": "tea", "quantity": 2}


def test_an_sqs_event_has_the_shape_that_lambda_gives_it(capsys: pytest.CaptureFixture[str]) -> None:
    [message] = event(capsys, "sqs", "--body", "Test message.")
    assert list(message) == [
        *("messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody"),
        *("eventSource", "eventSourceARN", "awsRegion"),
    ]
    assert list(message["attributes"]) == [
        "ApproximateReceiveCount",
        "SentTimestamp",
        "SenderId",
        "ApproximateFirstReceiveTimestamp",
    ]
    assert (message["body"], message["md5OfBody"]) == ("Test message.", "e4e68fb7bd0e697a0ae8f1bb342846b3")


def test_a_fifo_event_has_groups_and_an_order(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = event(capsys, "sqs", "--fifo", "--group", "g", "--records", "2")
    assert first["eventSourceARN"].endswith(".fifo")
    assert list(first["attributes"]) == [
        *("ApproximateReceiveCount", "SentTimestamp", "SequenceNumber", "MessageGroupId", "SenderId"),
        *("MessageDeduplicationId", "ApproximateFirstReceiveTimestamp"),
    ]
    assert first["attributes"]["MessageGroupId"] == "g"
    assert int(first["attributes"]["SequenceNumber"]) < int(second["attributes"]["SequenceNumber"])


def test_a_dynamodb_event_shows_each_kind_of_change(capsys: pytest.CaptureFixture[str]) -> None:
    records = event(capsys, "dynamodb", "--records", "4")
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE", "INSERT"]
    assert [set(record["dynamodb"]) & {"NewImage", "OldImage"} for record in records[:3]] == [
        {"NewImage"},
        {"NewImage", "OldImage"},
        {"OldImage"},
    ]
    assert list(records[0]) == [
        *("eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN")
    ]
    assert records[0]["eventVersion"] == "1.1"


@pytest.mark.parametrize(
    ("source", "shape", "pattern"),
    [
        ("kinesis", KINESIS, {"data": {"item": ["tea"]}}),
        ("sqs", SQS, {"body": {"item": ["tea"]}}),
    ],
)
def test_filters_of_the_source_see_what_is_in_it(
    source: str, shape: Any, pattern: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    [made] = event(capsys, source)
    record = Record(id="1", position=BEGINNING, arrived_at=0.0, payload=json.dumps(made).encode(), group="", received_at=0.0)
    assert compile_filter([pattern], shape).wants(record)
    assert not compile_filter([{"nothing": ["else"]}], shape).wants(record)


def test_the_same_arguments_give_the_same_event_and_every_record_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    for source, identity in (("kinesis", "eventID"), ("sqs", "messageId"), ("dynamodb", "eventID")):
        once = event(capsys, source, "--records", "50")
        assert once == event(capsys, source, "--records", "50")
        assert len({record[identity] for record in once}) == 50


def test_contents_make_a_record_each_or_are_repeated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(b'{"id": 9}\xff')
    each = event(capsys, "kinesis", "--data", "a", "--data", f"file://{file}")
    assert [b64decode(record["kinesis"]["data"]) for record in each] == [b"a", b'{"id": 9}\xff']
    repeated = event(capsys, "sqs", "--body", "a", "--body", "b", "--records", "3")
    assert [message["body"] for message in repeated] == ["a", "b", "a"]


def test_the_arn_says_the_region(capsys: pytest.CaptureFixture[str]) -> None:
    [message] = event(capsys, "sqs", "--arn", "arn:aws:sqs:ap-south-1:111122223333:q.fifo")
    assert (message["awsRegion"], message["eventSourceARN"]) == ("ap-south-1", "arn:aws:sqs:ap-south-1:111122223333:q.fifo")
    assert "MessageGroupId" in message["attributes"]


def test_an_event_that_no_function_can_be_given_is_printed_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["event", "sqs", "--body", "x" * 70_000, "--records", "100"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["Records"]) == 100
    assert "more than the 6 MB" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["kinesis", "--fifo"], "--fifo belongs to sqs"),
        (["sqs", "--fifo", "--arn", "arn:aws:sqs:eu-west-1:111122223333:q"], "ends in .fifo"),
        (["dynamodb", "--data", "x"], "--data belongs to kinesis and sqs"),
        (["sqs", "--body", "\udcff"], "is not UTF-8"),
    ],
)
def test_what_cannot_be_had_together_is_refused(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["event", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["kafka"], "invalid choice: 'kafka'"),
        (["sqs", "--records", "0"], "'0' is not a number from 1 to 10000"),
        (["sqs", "--body", "file:///no/such/file"], "No such file or directory"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["event", *arguments])
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err
