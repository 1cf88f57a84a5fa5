"""An order handler as Lambda would run it: reads a batch, reports the first order that it cannot take."""

from __future__ import annotations

import base64
import json
import os
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Prints each order; the answer names the first record that failed, and so what is delivered again."""
    for record in event["Records"]:
        kinesis = record["kinesis"]
        try:
            order = json.loads(base64.b64decode(kinesis["data"]))
            print(f"{os.environ.get('TABLE', 'orders')}: {order['id']}")
        except (ValueError, KeyError, TypeError):
            return {"batchItemFailures": [{"itemIdentifier": kinesis["sequenceNumber"]}]}
    return {"batchItemFailures": []}
