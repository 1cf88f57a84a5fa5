"""No secret is logged."""

from __future__ import annotations

import pytest

from poller.observe.redact import redact


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_password",
        "Passwd",
        "secret",
        "aws_secret_access_key",
        "session_token",
        "Authorization",
        "api-key",
        "cookie",
    ],
)
def test_the_value_of_a_key_that_names_a_secret_is_masked_at_any_depth(key: str) -> None:
    event: dict[str, object] = {"event": "x", key: "hunter2", "deep": {"list": [{key: ["hunter2"]}]}, "number": {key: 7}}
    assert redact(None, "", event) == {"event": "x", key: "***", "deep": {"list": [{key: "***"}]}, "number": {key: "***"}}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("cannot reach rediss://bob:hunter2@host, giving up", "cannot reach rediss://bob:***@host, giving up"),
        ("https://bob:hun@ter/2@host/", "https://bob:***@host/"),
        ("'redis://a:hunter2@h' or 'redis://b:hunter2@h'", "'redis://a:***@h' or 'redis://b:***@h'"),
        ("https://host:8080/path", "https://host:8080/path"),
        ("sqlite:///poller.db", "sqlite:///poller.db"),
        ("mail bob@example.com at 12:30", "mail bob@example.com at 12:30"),
    ],
)
def test_passwords_inside_urls_are_masked_wherever_they_stand(text: str, masked: str) -> None:
    assert redact(None, "", {"event": text, "tuple": (text,), "deep": {"a": text}}) == {
        "event": masked,
        "tuple": [masked],
        "deep": {"a": masked},
    }


def test_what_is_no_secret_stays_as_it_is() -> None:
    event = {"event": "batch", "records": 3, "age_s": 1.5, "request_id": "r1", "up": True, "password": None}
    assert redact(None, "", dict(event)) == event
