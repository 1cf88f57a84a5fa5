"""What a destination gets of a message that was given up: as its sender wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stage import MAPPING

from poller.core.model import Attempt, Discard, Failed, Record
from poller.core.report import MessageReport, document, message_report
from poller.services import SqsAttribute, SqsMessage
from poller.sources.sqs import SqsShape, to_record

rule = pytest.mark.rule

SHAPE = SqsShape(queue_arn="arn:aws:sqs:eu-west-1:123456789012:mails", region="eu-west-1")


def received(body: str, attributes: dict[str, SqsAttribute] | None = None) -> Record:
    raw = SqsMessage(MessageId="m1", ReceiptHandle="r1", Body=body, MD5OfBody="5")
    raw["Attributes"] = {"ApproximateReceiveCount": "3", "SentTimestamp": "1700000000000"}
    if attributes:
        raw["MessageAttributes"] = attributes
        raw["MD5OfMessageAttributes"] = "6"
    return to_record(raw, SHAPE, 0.0)


def report(*records: Record) -> MessageReport:
    discard = Discard(records=records, reason="RetryAttemptsExhausted", attempt=Attempt(records=records), invoke_count=3)
    return message_report(MAPPING, discard, 12.5)


ATTRIBUTES: dict[str, SqsAttribute] = {
    "Author": {"DataType": "String", "StringValue": "Jürgen"},
    "Weeks.On": {"DataType": "Number", "StringValue": "6.50"},
    "Blob": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
    "Kind": {"DataType": "String.Whatever", "StringValue": ""},
}


@rule("queue.redrive.unchanged")
def test_body_and_attributes_are_as_they_were_sent() -> None:
    record = received('{"a": 1.50,  "b": "\u2028ü"}', ATTRIBUTES)
    made = report(record)
    assert (made.mapping, made.at, made.records, made.source) == (MAPPING, 12.5, (record,), "mails")
    assert (made.body, made.attributes) == ('{"a": 1.50,  "b": "\u2028ü"}', dict[str, Any](ATTRIBUTES))


def test_a_destination_that_takes_documents_is_told_of_the_message_and_of_its_last_invocation() -> None:
    record = received("x")
    attempt = Attempt(records=(record,), request_id="r1")
    failed = Failed("function_error", "no")
    discard = Discard(records=(record,), reason="RetryAttemptsExhausted", attempt=attempt, invoke_count=3, outcome=failed)
    told = json.loads(document(message_report(MAPPING, discard, 12.5), payload=True))
    assert json.loads(told.pop("payload"))["Records"][0]["body"] == "x"
    assert told == {
        "requestContext": {"requestId": "r1", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "1970-01-01T00:00:12.500Z",
        "SqsMessageInfo": {
            "messageId": "m1",
            "approximateReceiveCount": 3,
            "queueArn": "arn:aws:sqs:eu-west-1:123456789012:mails",
        },
    }


@rule("queue.redrive.unchanged")
def test_a_message_without_attributes_gets_none() -> None:
    assert report(received("hello")).attributes == {}


def test_it_is_a_report_of_exactly_one_message() -> None:
    with pytest.raises(ValueError, match="too many values"):
        report(received("a"), received("b"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
attributes = st.dictionaries(
    st.text("abcXYZ_-.0", min_size=1, max_size=8),
    st.builds(SqsAttribute, DataType=st.sampled_from(["String", "Number", "String.x", "Number.int"]), StringValue=texts)
    | st.builds(SqsAttribute, DataType=st.sampled_from(["Binary", "Binary.png"]), BinaryValue=st.just("AAEC/w==")),
)


@rule("queue.redrive.unchanged")
@given(texts, attributes)
def test_whatever_was_sent_comes_out_unchanged(body: str, attributes: dict[str, SqsAttribute]) -> None:
    made = report(received(body, attributes))
    assert (made.body, made.attributes) == (body, attributes)
