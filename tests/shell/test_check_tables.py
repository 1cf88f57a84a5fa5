"""What `poller check` makes of the stream of a table."""

from __future__ import annotations

import pytest

from poller.apis.client import AwsClients
from poller.check.asking import Service, explained
from poller.check.finding import Subject
from poller.check.tables import judge_table
from poller.config import Connection, StreamMappingConfig
from poller.errors import Unavailable

ABOUT = Subject("mapping m")
ARN = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026-01-01T00:00:00.000"


def judged(described: dict[str, str], **change: object) -> list[str]:
    given = {"name": "m", "event_source_arn": ARN, "function_name": "f", "starting_position": "LATEST"} | change
    found = judge_table(StreamMappingConfig.model_validate(given), described, ABOUT)
    return [f"{each.level}: {each.text}" for each in found]


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("KEYS_ONLY", "the key alone"),
        ("NEW_IMAGE", "all after the change"),
        ("OLD_IMAGE", "all before the change"),
        ("NEW_AND_OLD_IMAGES", "all before and after the change"),
    ],
)
def test_a_stream_that_is_enabled_is_fine_and_its_view_is_told(view: str, shown: str) -> None:
    assert judged({"StreamStatus": "ENABLED", "StreamViewType": view}) == [
        f"ok: stream of table orders: ENABLED, keeps records for 24 h; of items it shows {shown} ({view})"
    ]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("ENABLING", "warning: stream of table orders is being enabled"),
        ("DISABLED", "failed: stream of table orders: DISABLED: nothing new comes, and what it holds is gone within 24 h"),
        ("DISABLING", "failed: stream of table orders: DISABLING: nothing new comes, and what it holds is gone within 24 h"),
    ],
)
def test_a_stream_that_is_not_enabled_is_told(status: str, expected: str) -> None:
    assert judged({"StreamStatus": status}) == [expected]


def test_an_age_that_the_stream_does_not_keep_is_a_warning() -> None:
    *_, age = judged({"StreamStatus": "ENABLED"}, maximum_record_age_in_seconds=100_000)
    assert age == "warning: maximum_record_age_in_seconds 100000 is longer than DynamoDB keeps records (86400 s)"


def test_the_action_that_is_missing_is_that_of_dynamodb() -> None:
    connection = Connection(region="eu-west-1", endpoint_url=None, profile=None)
    service = Service(clients=AwsClients(), name="dynamodbstreams", connection=connection, patience=1.0)
    error = Unavailable("GetShardIterator", "auth", f"{ARN}: AccessDeniedException")
    assert "they allow dynamodb:GetShardIterator" in str(explained(error, ABOUT, service, "stream of table orders"))
