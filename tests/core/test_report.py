"""The failure document, key for key and in the order of the keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import RAISED, attempt, record, reported

from poller.core.memo import Window
from poller.core.model import Attempt, Discard, Failed, FailureKind, MappingId, Outcome, Record, ShardId, position
from poller.core.policy import StreamPolicy
from poller.core.report import StreamFacts, iso, stream_report
from poller.core.report import document as destination_document

rule = pytest.mark.rule

SHARD = ShardId("shardId-000000000001")
FACTS = StreamFacts(
    mapping=MappingId("5a4b2f9e-0000-4000-8000-000000000001"),
    stream_arn="arn:aws:kinesis:us-east-2:123456789012:stream/mystream",
    function_arn="arn:aws:lambda:us-east-2:123456789012:function:myfunction",
)
FIRST = "49601189658422359378836298521827638475320189012309704722"
LAST = "49601189658422359378836298522902373528957594348623495186"
AT = 1573691886.021


def kinesis_record(sequence: str, arrived_at: float) -> Record:
    return Record(id=sequence, position=position(sequence), arrived_at=arrived_at, payload=b'{"kinesis": {}}')


def given_up(outcome: Outcome | None = RAISED) -> Discard:
    two = (kinesis_record(FIRST, 1573691884.835), kinesis_record(LAST, 1573691885.58))
    of = Attempt(records=two, retries=1, request_id="c9b8fa9f-5a7f-4d58-af9c-0c604cde93a5")
    return Discard(records=two, reason="RetryAttemptsExhausted", attempt=of, invoke_count=2, outcome=outcome)


def document(discard: Discard, facts: StreamFacts = FACTS) -> dict[str, object]:
    """As it comes out of a queue."""
    parsed: dict[str, object] = orjson.loads(orjson.dumps(stream_report(facts, SHARD, discard, AT).document))
    return parsed


@rule("stream.discard.document")
@rule("stream.discard.function-arn")
@rule("stream.discard.raised")
def test_the_document_of_a_batch_whose_retries_are_spent() -> None:
    assert orjson.dumps(document(given_up()), option=orjson.OPT_INDENT_2).decode() == (
        """{
  "requestContext": {
    "requestId": "c9b8fa9f-5a7f-4d58-af9c-0c604cde93a5",
    "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
    "condition": "RetryAttemptsExhausted",
    "approximateInvokeCount": 2
  },
  "responseContext": {
    "statusCode": 200,
    "executedVersion": "$LATEST",
    "functionError": "Unhandled"
  },
  "version": "1.0",
  "timestamp": "2019-11-14T00:38:06.021Z",
  "KinesisBatchInfo": {
    "shardId": "shardId-000000000001",
    "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
    "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
    "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
    "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
    "batchSize": 2,
    "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/mystream"
  }
}"""
    )


@rule("stream.discard.expired")
@rule("stream.discard.condition")
@rule("stream.discard.one-document-per-batch")
def test_the_document_of_expired_records_has_no_response_context_key_at_all() -> None:
    of = Attempt(records=(record(7, arrived_at=1573691000), record(8, arrived_at=1573691886)), request_id="r")
    _, decision = StreamPolicy(max_age=60).expire(of, AT)
    (discard,) = decision.discard
    found = document(discard)
    assert list(found) == ["requestContext", "version", "timestamp", "KinesisBatchInfo"]
    assert found["requestContext"] == {
        "requestId": "r",
        "functionArn": FACTS.function_arn,
        "condition": "RecordAgeExceeded",
        "approximateInvokeCount": 1,
    }
    assert found["KinesisBatchInfo"] == {
        "shardId": SHARD,
        "startSequenceNumber": "7",
        "endSequenceNumber": "7",
        "approximateArrivalOfFirstRecord": "2019-11-14T00:23:20.000Z",
        "approximateArrivalOfLastRecord": "2019-11-14T00:23:20.000Z",
        "batchSize": 1,
        "streamArn": FACTS.stream_arn,
    }


@rule("stream.discard.too-large")
@rule("stream.batch.oversized-record")
def test_the_document_of_an_event_that_was_too_large_has_no_response_context_either() -> None:
    found = document(given_up(Failed("invoke_error", "too large")))
    assert list(found) == ["requestContext", "version", "timestamp", "KinesisBatchInfo"]


@rule("stream.discard.raised")
@pytest.mark.parametrize("kind", ["function_error", "timeout", "crash", "oom"])
def test_a_function_that_did_not_return_is_unhandled(kind: FailureKind) -> None:
    expected = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert document(given_up(Failed(kind)))["responseContext"] == expected


@rule("stream.discard.reported")
@pytest.mark.parametrize("outcome", [reported(1), Failed("batch_item", "names no record")])
def test_a_failure_that_the_function_reported_has_a_null_function_error(outcome: Outcome) -> None:
    found = document(given_up(outcome))["responseContext"]
    assert found == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None}
    assert list(found) == ["statusCode", "executedVersion", "functionError"]


@rule("stream.discard.document")
def test_the_records_are_not_in_the_document_but_go_along_for_destinations_that_carry_them() -> None:
    discard = given_up()
    report = stream_report(FACTS, SHARD, discard, AT)
    assert b"payload" not in orjson.dumps(report.document)
    assert report.records == discard.records
    assert (report.mapping, report.shard, report.at) == (FACTS.mapping, SHARD, AT)


@rule("stream.discard.arrival-times")
def test_a_document_of_a_dynamodb_stream_has_its_own_key_and_whole_seconds() -> None:
    facts = replace(FACTS, batch_info="DDBStreamBatchInfo", seconds_only=True)
    found = document(given_up(), facts)
    assert list(found) == ["requestContext", "responseContext", "version", "timestamp", "DDBStreamBatchInfo"]
    info = found["DDBStreamBatchInfo"]
    assert isinstance(info, dict)
    assert info["approximateArrivalOfFirstRecord"] == "2019-11-14T00:38:04Z"
    assert info["approximateArrivalOfLastRecord"] == "2019-11-14T00:38:05Z"
    assert found["timestamp"] == "2019-11-14T00:38:06.021Z"


@rule("stream.discard.invoke-count")
@pytest.mark.parametrize("retries", [0, 3])
def test_the_document_counts_the_invocations_of_its_own_batch(retries: int) -> None:
    (discard,) = StreamPolicy(max_retries=retries).judge(attempt(1, retries=retries, request_id="r"), RAISED).discard
    context = document(discard)["requestContext"]
    assert isinstance(context, dict)
    assert context["approximateInvokeCount"] == retries + 1


@rule("stream.discard.arrival-times")
@pytest.mark.parametrize(
    ("at", "milliseconds", "seconds"),
    [
        (0.0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
        (1545084650.987, "2018-12-17T22:10:50.987Z", "2018-12-17T22:10:50Z"),
        (1545084650.0004, "2018-12-17T22:10:50.000Z", "2018-12-17T22:10:50Z"),
        (1545084650.0006, "2018-12-17T22:10:50.001Z", "2018-12-17T22:10:50Z"),
        (1545084650.9994, "2018-12-17T22:10:50.999Z", "2018-12-17T22:10:50Z"),
        (1545084650.9996, "2018-12-17T22:10:51.000Z", "2018-12-17T22:10:50Z"),
        (1546300799.9996, "2019-01-01T00:00:00.000Z", "2018-12-31T23:59:59Z"),
        (1582934400, "2020-02-29T00:00:00.000Z", "2020-02-29T00:00:00Z"),
    ],
)
def test_milliseconds_are_rounded_and_seconds_are_cut(at: float, milliseconds: str, seconds: str) -> None:
    assert iso(at) == milliseconds
    assert iso(at, seconds_only=True) == seconds


@given(st.integers(0, 4_000_000_000_000))
def test_every_time_of_a_service_that_counts_milliseconds_comes_out_as_it_was(milliseconds: int) -> None:
    back = datetime.strptime(iso(milliseconds / 1000), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert round(back.timestamp() * 1000) == milliseconds


@rule("stream.windows.final-given-up")
def test_the_document_of_a_window_that_could_not_be_closed_names_it_and_carries_its_state_where_payloads_go_along() -> None:
    window = Window(start=1607497440.0, end=1607497560.0, state=b'{"1":282}', final=True)
    of = Attempt(records=(), retries=1, request_id="r1", window=window)
    discard = Discard(records=(), reason="RetryAttemptsExhausted", attempt=of, invoke_count=2, outcome=RAISED)
    found = document(discard)
    assert list(found)[-2:] == ["KinesisBatchInfo", "timeWindowInfo"]
    assert found["KinesisBatchInfo"] == {"shardId": SHARD, "streamArn": FACTS.stream_arn}
    assert found["timeWindowInfo"] == {
        "window": {"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z"},
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }
    payload = orjson.loads(orjson.loads(destination_document(stream_report(FACTS, SHARD, discard, AT), payload=True))["payload"])
    assert (payload["Records"], payload["state"], payload["shardId"]) == ([], {"1": 282}, SHARD)
