"""A handler with tumbling windows: its state holds the ids of the records that it has seen, in order.

One line an invocation goes to the file `LEDGER`, appended with O_APPEND: the event's window, its state and flags, the ids.
`WORK` is how many seconds a record takes.
"""

from __future__ import annotations

import base64
import json
import os
import time
from typing import Any

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
WORK = float(os.environ.get("WORK", "0"))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The state goes on, with these records."""
    ids = [json.loads(base64.b64decode(record["kinesis"]["data"]))["id"] for record in event["Records"]]
    time.sleep(WORK * len(ids))
    entry = {
        "id": ids,
        "call": context.aws_request_id,
        "shard": event["shardId"],
        "start": event["window"]["start"],
        "state": event["state"].get("ids", []),
        "final": event["isFinalInvokeForWindow"],
        "arrived": [record["kinesis"]["approximateArrivalTimestamp"] for record in event["Records"]],
        "worker": os.getpid(),
    }
    os.write(LEDGER, json.dumps(entry).encode() + b"\n")
    return {"state": {"ids": entry["state"] + ids}}
