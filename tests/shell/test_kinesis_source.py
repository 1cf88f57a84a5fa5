"""Kinesis records as Lambda shows them, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.envelope import envelope
from poller.core.model import Record, ShardId, position
from poller.sources.kinesis import KinesisFormat, KinesisShape

if TYPE_CHECKING:
    from poller.services import KinesisRecord

rule = pytest.mark.rule

SHAPE = KinesisShape(
    stream_arn="arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
    region="us-east-2",
    role_arn="arn:aws:lambda:us-east-2:123456789012:function:handle",
)
SEQUENCE = "49590338271490256608559692538361571095921575989136588898"
FORMAT = KinesisFormat(SHAPE, ShardId("shardId-000000000006"))

EVENT = (
    '{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",'
    '"sequenceNumber":"49590338271490256608559692538361571095921575989136588898",'
    '"data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","approximateArrivalTimestamp":1545084650.987},'
    '"eventSource":"aws:kinesis","eventVersion":"1.0",'
    '"eventID":"shardId-000000000006:49590338271490256608559692538361571095921575989136588898",'
    '"eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:lambda:us-east-2:123456789012:function:handle",'
    '"awsRegion":"us-east-2","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}]}'
)


def raw(key: str | None = "1", **other: object) -> KinesisRecord:
    """A record as GetRecords answers it."""
    record: dict[str, object] = {
        "SequenceNumber": SEQUENCE,
        "ApproximateArrivalTimestamp": 1545084650.987,
        "Data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
    }
    if key is not None:
        record["PartitionKey"] = key
    return record | other  # type: ignore[return-value]


def made(key: str | None = "1", **other: object) -> Record:
    return FORMAT.record(raw(key, **other), received_at=1545084651.5)


@rule("kinesis.event.shape")
@rule("kinesis.event.data")
@rule("kinesis.event.id")
@rule("kinesis.event.source")
def test_an_event_is_lambdas_key_for_key_and_in_its_order() -> None:
    assert envelope([made()]).decode() == EVENT


def test_a_record_knows_what_the_poller_needs_of_it() -> None:
    record = made(key="customer 7")
    assert (record.id, record.position, record.group) == (SEQUENCE, position(SEQUENCE), "customer 7")
    assert (record.arrived_at, record.received_at) == (1545084650.987, 1545084651.5)
    assert (record.receives, record.receipt) == (1, "")
    assert record == Record(*record)  # made without its constructor, it lacks no member
    assert len(record) == len(Record._fields)


@pytest.mark.parametrize(
    "key", ['"', "\\", '\\"', "a\nb\tc\x00\x1f\x7f", "ключ", "鍵", "🔑", "e\u0301", "\u2028", "</script>", "{}", "x" * 256]
)
def test_any_partition_key_comes_through(key: str) -> None:
    record = made(key)
    expected = EVENT.replace('"partitionKey":"1"', '"partitionKey":' + json.dumps(key, ensure_ascii=False))
    assert json.loads(envelope([record])) == json.loads(expected)
    assert record.group == key


@given(st.text(st.characters(codec="utf-8")))
def test_no_partition_key_breaks_the_event(key: str) -> None:
    event = json.loads(envelope([made(key), made("1")]))
    assert [record["kinesis"]["partitionKey"] for record in event["Records"]] == [key, "1"]
    assert list(event["Records"][0]["kinesis"]) == list(json.loads(EVENT)["Records"][0]["kinesis"])


@rule("kinesis.event.no-partition-key")
def test_a_record_without_a_partition_key_has_an_empty_one() -> None:
    record = made(None)
    assert envelope([record]).decode() == EVENT.replace('"partitionKey":"1"', '"partitionKey":""')
    assert record.group == ""


@rule("kinesis.event.encryption-type")
@pytest.mark.parametrize(("kind", "shown"), [("NONE", ""), ("KMS", ',"encryptionType":"KMS"')])
def test_the_encryption_type_is_shown_for_encrypted_streams_only(kind: str, shown: str) -> None:
    expected = EVENT.replace("1545084650.987}", f"1545084650.987{shown}}}")
    assert envelope([made(EncryptionType=kind)]).decode() == expected


@rule("kinesis.event.arrival-time")
@pytest.mark.parametrize(
    ("arrived", "shown"),
    [
        (1545084650, "1545084650"),
        (1545084650.0, "1545084650.0"),
        (1.545084650987e9, "1545084650.987"),
        (1545084650.1, "1545084650.1"),
        (1545084650.001, "1545084650.001"),
    ],
)
def test_the_arrival_time_is_a_number_of_seconds_without_an_exponent(arrived: float, shown: str) -> None:
    record = made(ApproximateArrivalTimestamp=arrived)
    assert envelope([record]).decode() == EVENT.replace("1545084650.987", shown)
    assert record.arrived_at == arrived


def test_names_with_quotes_do_not_break_the_event() -> None:
    odd = KinesisShape(stream_arn='a"b', region="c\\d", role_arn='e"f')
    record = KinesisFormat(odd, ShardId('s"1')).record(raw(), 0.0)
    (shown,) = json.loads(envelope([record]))["Records"]
    assert (shown["eventSourceARN"], shown["awsRegion"], shown["invokeIdentityArn"]) == ('a"b', "c\\d", 'e"f')
    assert shown["eventID"] == f's"1:{SEQUENCE}'
