"""A handler of messages as Lambda would run it: takes a batch, reports the messages that it cannot take."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Prints each mail; the answer names the messages that failed, and so what is delivered again."""
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in event["Records"] if not sent(each["body"])]}


def sent(body: str) -> bool:
    """Whether the message was a mail."""
    try:
        mail = json.loads(body)
        print(f"to {mail['to']}: {mail['subject']}")
    except (ValueError, KeyError, TypeError):
        return False
    return True
