"""DynamoDB's records as Lambda shows them, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.core.envelope import envelope
from poller.core.filters import DYNAMODB, compile_filter
from poller.core.model import position
from poller.core.patterns import InvalidPattern
from poller.sources.dynamodb import DynamoDbFormat, DynamoDbShape, item_key

if TYPE_CHECKING:
    from poller.core.model import Record
    from poller.services import DynamoDbRecord

rule = pytest.mark.rule

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2015-05-11T21:21:33.291"
FORMAT = DynamoDbFormat(DynamoDbShape(stream_arn=ARN, region="us-east-1"))
SEQUENCE = "4421584500000000017450439091"

EVENT = (
    '{"Records":[{"eventID":"c4ca4238a0b923820dcc509a6f75849b","eventName":"MODIFY","eventVersion":"1.1",'
    '"eventSource":"aws:dynamodb","awsRegion":"us-east-1",'
    '"dynamodb":{"ApproximateCreationDateTime":1545084650.0,"Keys":{"Id":{"N":"101"}},'
    '"NewImage":{"Message":{"S":"New item!"},"Id":{"N":"101"}},"OldImage":{"Message":{"S":"Old"},"Id":{"N":"101"}},'
    '"SequenceNumber":"4421584500000000017450439091","SizeBytes":26,"StreamViewType":"NEW_AND_OLD_IMAGES"},'
    '"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2015-05-11T21:21:33.291"}]}'
)
CHANGE: dict[str, Any] = {
    "StreamViewType": "NEW_AND_OLD_IMAGES",
    "SizeBytes": 26,
    "SequenceNumber": SEQUENCE,
    "OldImage": {"Message": {"S": "Old"}, "Id": {"N": "101"}},
    "NewImage": {"Message": {"S": "New item!"}, "Id": {"N": "101"}},
    "Keys": {"Id": {"N": "101"}},
    "ApproximateCreationDateTime": 1545084650.0,
}
RAW: dict[str, Any] = {
    "dynamodb": CHANGE,
    "awsRegion": "us-east-1",
    "eventSource": "aws:dynamodb",
    "eventVersion": "1.1",
    "eventName": "MODIFY",
    "eventID": "c4ca4238a0b923820dcc509a6f75849b",
}


def made(change: dict[str, Any] | None = None, **other: object) -> Record:
    raw = RAW | other | {"dynamodb": CHANGE | (change or {})}
    return FORMAT.record(cast("DynamoDbRecord", raw), received_at=1545084651.5)


def event(record: Record) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(record.payload)
    return shown


@rule("dynamodb.event.shape")
def test_an_event_is_lambdas_key_for_key_and_in_its_order() -> None:
    assert envelope([made()]).decode() == EVENT


def test_a_record_knows_what_the_poller_needs_of_it() -> None:
    record = made()
    assert (record.id, record.position) == (SEQUENCE, position(SEQUENCE))
    assert (record.arrived_at, record.received_at) == (1545084650.0, 1545084651.5)
    assert (record.receives, record.receipt) == (1, "")
    assert (made({"SequenceNumber": "9" * 21}).position < record.position) is True


@rule("dynamodb.event.user-identity")
def test_a_delete_by_time_to_live_names_dynamodb_in_lambdas_spelling() -> None:
    shown = made(eventName="REMOVE", userIdentity={"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}).payload.decode()
    assert '},"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventSourceARN":' in shown
    assert "userIdentity" not in event(made())
    assert "userIdentity" not in event(made(userIdentity=None))


@rule("dynamodb.event.images")
def test_images_are_in_the_order_in_which_they_came_and_values_are_not_touched() -> None:
    image = {
        "z": {"N": "1.50"},
        "a": {"N": "99999999999999999999999999999999999999"},
        "b": {"B": "AP8="},
        "m": {"M": {"y": {"BOOL": False}, "x": {"NULL": True}}},
        "é": {"S": "\U0001f511 \u2028 </script> \x00"},
    }
    shown = event(made({"NewImage": image}))
    assert json.dumps(shown["dynamodb"]["NewImage"]) == json.dumps(image)


def test_what_is_not_known_comes_through_behind_what_is() -> None:
    shown = event(made({"New": {"thing": 1}}))
    assert shown["dynamodb"]["New"] == {"thing": 1}
    assert list(shown["dynamodb"])[-2:] == ["StreamViewType", "New"]


def test_a_record_that_does_not_say_its_region_has_that_of_the_stream() -> None:
    assert event(made(awsRegion=""))["awsRegion"] == "us-east-1"


# ----------------------------------------------------------------------------------------------------------------------- keys


@rule("dynamodb.group.item-key")
def test_the_group_is_the_whole_key_of_the_item() -> None:
    groups = [
        made({"Keys": keys}).group
        for keys in (
            {"p": {"S": "a"}, "s": {"N": "1"}},
            {"p": {"S": "a"}, "s": {"N": "2"}},
            {"p": {"S": "b"}, "s": {"N": "1"}},
            {"p": {"S": "a"}, "s": {"S": "1"}},
            {"p": {"B": "a"}, "s": {"N": "1"}},
            {"p": {"S": "a"}},
        )
    ]
    assert len(set(groups)) == len(groups)


@rule("dynamodb.group.item-key")
def test_equal_keys_are_equal_texts() -> None:
    one = item_key({"p": {"S": "a"}, "s": {"N": "100"}})
    assert item_key({"s": {"N": "1E2"}, "p": {"S": "a"}}) == one
    for number in ("100.0", "1e+2", "0100", "100.000000000000000000000000000000000"):
        assert item_key({"p": {"S": "a"}, "s": {"N": number}}) == one, number
    assert len({item_key({"n": {"N": number}}) for number in ("0", "-0", "0.0", "0E5")}) == 1


@given(st.integers(min_value=-(10**37), max_value=10**37), st.integers(min_value=0, max_value=37))
def test_different_numbers_are_different_keys(number: int, shift: int) -> None:
    digits = f"{number}E-{shift}"
    assert item_key({"n": {"N": digits}}) != item_key({"n": {"N": f"{number + 1}E-{shift}"}})
    assert item_key({"n": {"N": digits}}) == item_key({"n": {"N": f"{number}0E-{shift + 1}"}})


@pytest.mark.parametrize("number", ["", "NaN?", "1_0x", "one"])
def test_a_number_that_is_none_is_taken_as_it_is(number: str) -> None:
    assert item_key({"n": {"N": number}}) == json.dumps({"n": {"N": number}}, separators=(",", ":"))


# ---------------------------------------------------------------------------------------------------------------------- filters


def wants(pattern: dict[str, Any], change: dict[str, Any] | None = None, **other: object) -> bool:
    return compile_filter([pattern], DYNAMODB).wants(made(change, **other))


@rule("filter.dynamodb.data")
@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ({"dynamodb": {"Keys": {"Id": {"N": ["101"]}}}}, True),
        ({"dynamodb": {"Keys": {"Id": {"N": ["102"]}}}}, False),
        ({"dynamodb": {"Keys": {"Id": {"N": [{"numeric": [">", 100]}]}}}}, False),
        ({"dynamodb": {"Keys": {"Id": {"N": [{"prefix": "10"}]}}}}, True),
        ({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 1545084649]}]}}, True),
        ({"dynamodb": {"NewImage": {"Message": [{"exists": True}]}}}, False),
        ({"dynamodb": {"NewImage": {"Message": {"S": [{"exists": True}]}}}}, True),
        ({"dynamodb": {"NewImage": {"Message": [{"exists": False}]}}}, True),
        ({"eventName": ["INSERT"]}, False),
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["MODIFY"], "dynamodb": {"OldImage": {"Message": {"S": ["Old"]}}}}, True),
        ({"eventName": ["MODIFY"], "dynamodb": {"OldImage": {"Message": {"S": ["New"]}}}}, False),
        ({"eventSourceARN": [{"suffix": "291"}]}, True),
    ],
)
def test_patterns_see_the_change_as_it_is(pattern: dict[str, Any], wanted: object) -> None:
    assert wants(pattern) is wanted


@rule("filter.dynamodb.data")
def test_deletes_by_time_to_live_can_be_told_from_others() -> None:
    pattern = {"eventName": ["REMOVE"], "userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]}}
    by = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert wants(pattern, eventName="REMOVE", userIdentity=by)
    assert not wants(pattern, eventName="REMOVE")
    assert compile_filter([pattern], DYNAMODB).unknown == ()


@rule("filter.dynamodb.data")
def test_the_change_is_no_text_and_names_of_other_sources_are_told() -> None:
    with pytest.raises(InvalidPattern, match="the data of DynamoDB must be JSON"):
        compile_filter([{"dynamodb": ["text"]}], DYNAMODB)
    assert compile_filter([{"data": {"a": [1]}, "body": {"b": [2]}}], DYNAMODB).unknown == ("body", "data")
