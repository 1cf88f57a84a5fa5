"""Takes orders, from a Kinesis stream or an SQS queue. An ordinary Lambda handler: nothing in it knows what invokes it."""

from __future__ import annotations

import base64
import json
import logging
import random
import time
from typing import Any

BANK_IS_AWAY = 1 / 3
"""How often the bank of some customers does not answer; the next try may work."""

log = logging.getLogger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes the orders of a batch; the answer names those that are to come again."""
    failed: list[str] = []
    for record in event["Records"]:
        if (failed and "kinesis" in record) or not taken(record):  # a stream keeps its order: what follows a failure waits
            failed.append(identifier(record))
    return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


def taken(record: dict[str, Any]) -> bool:
    """Whether this order could be taken; if not, the log says why."""
    order = json.loads(base64.b64decode(record["kinesis"]["data"]) if "kinesis" in record else record["body"])
    try:
        take(order)
    except (ValueError, ConnectionError) as error:
        log.error("order %s: %s", order["id"], error)
        return False
    return True


def take(order: dict[str, Any]) -> None:
    """Takes one order."""
    time.sleep(0.005)
    if order["quantity"] < 1:
        raise ValueError(f"the quantity is {order['quantity']}")
    if order["bank"] == "slow" and random.random() < BANK_IS_AWAY:
        raise ConnectionError("the bank is away")


def identifier(record: dict[str, Any]) -> str:
    """What the answer calls a record."""
    return str(record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["messageId"])
