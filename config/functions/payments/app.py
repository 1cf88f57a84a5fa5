"""A handler of a FIFO queue as Lambda would run it: takes the messages in their order, reports the first that it cannot take."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Prints each payment. After a failure it takes no more of that group: their order would be lost."""
    failed: set[str] = set()
    reported = []
    for message in event["Records"]:
        group = message["attributes"]["MessageGroupId"]
        if group in failed or not message["body"].isdecimal():
            failed.add(group)
            reported.append({"itemIdentifier": message["messageId"]})
        else:
            print(f"{group}: {message['body']}")
    return {"batchItemFailures": reported}
