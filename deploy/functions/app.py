"""A handler as it runs on Lambda, for messages of a queue."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Takes orders. What it cannot take it reports, and the queue hands out again."""
    failed = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
            print("order", order["id"], "in", context.aws_request_id)
        except (ValueError, KeyError, TypeError) as error:
            print("no order:", record["messageId"], repr(error))
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
