"""What is understood of a failure destination in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from poller.clock import SystemClock
from poller.config import load
from poller.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from poller.config.destination import OnFailure

SQS, STREAM = "arn:aws:sqs:eu-west-1:123456789012:q", "arn:aws:kinesis:eu-west-1:123456789012:stream/failed"


def on_failure(folder: Path, **given: object) -> OnFailure:
    path = folder / "poller.yaml"
    mapping = {
        "name": "m",
        "event_source_arn": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
        "function_name": "f",
        "starting_position": "LATEST",
        "destination_config": {"on_failure": given},
    }
    functions = {"f": {"executor": "inline", "handler": "app.handler"}}
    path.write_text(yaml.safe_dump({"functions": functions, "event_source_mappings": [mapping]}))
    return load(path, SystemClock()).event_source_mappings[0].destination_config.on_failure


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SQS, "sqs"),
        ("arn:aws:sns:eu-west-1:123456789012:t", "sns"),
        ("arn:aws:s3:::bucket", "s3"),
        (STREAM, "kinesis"),
        ("http://127.0.0.1:8080/failed", "http"),
        ("https://hooks.example.com", "http"),
        ("https://queue.example.com/failed", "http"),
        ("file:///var/lib/failed", "file"),
    ],
)
def test_its_kind_follows_from_how_it_is_written(tmp_path: Path, text: str, kind: str) -> None:
    made = on_failure(tmp_path, destination=text)
    assert (made.kind, made.named, made.of_aws) == (kind, text, kind not in {"http", "file"})


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "a\u007fb"], ids=["an empty label", "a long label", "a control character"])
def test_a_host_that_nobody_can_be_asked_for_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="must be a URL"):
        on_failure(tmp_path, destination=f"https://{host}/failed")


@pytest.mark.parametrize(
    "host", ["sqs.us-east-1.amazonaws.com", "eu-west-1.queue.amazonaws.com", "sqs.us-east-1.localhost.localstack.cloud:4566"]
)
def test_the_url_of_a_queue_is_none_to_post_to(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="is the URL of a queue"):
        on_failure(tmp_path, destination=f"https://{host}/123456789012/q")


def test_a_file_without_a_whole_path_starts_at_the_folder_of_the_configuration(tmp_path: Path) -> None:
    assert on_failure(tmp_path, destination="file:out/failed.jsonl").path == tmp_path / "out" / "failed.jsonl"
    assert on_failure(tmp_path, destination="file:///var/../failed").named == "file:///failed"


def test_headers_may_stand_in_files_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bearer hunter2\n")
    made = on_failure(tmp_path, destination="https://a/", headers={"X-A": "b"}, headers_file={"Authorization": "token"})
    assert made.headers == {"X-A": "b", "Authorization": "Bearer hunter2"}
    assert "hunter2" not in repr(made)
