"""A handler that keeps a ledger, and does with each record what the record's data says.

One line a record, appended with O_APPEND: what a line says outlives every process. A line comes before what the data asks for,
and after the work that each record takes: a record whose work was cut off has no line.

`LEDGER` names the file, `GATE` the file that records with `"do": "hold"` wait for, `WORK` the seconds that a record takes.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
GATE = Path(os.environ["GATE"])
WORK = float(os.environ.get("WORK", "0"))

calls = itertools.count(1)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The answer reports the records whose data says so."""
    call = f"{os.getpid()}.{next(calls)}"
    for record in event["Records"]:
        order = json.loads(base64.b64decode(record["kinesis"]["data"]))
        time.sleep(WORK)
        write(record, {**order, "call": call, "request_id": context.aws_request_id})
    reported = [record for record in event["Records"] if done(record) == "report"]
    return {"batchItemFailures": [{"itemIdentifier": record["kinesis"]["sequenceNumber"]} for record in reported]}


def write(record: dict[str, Any], entry: dict[str, Any]) -> None:
    """One line, in one write, so that lines of several processes never mix."""
    entry |= {"at": time.time(), "worker": os.getpid(), "daemon": os.getppid(), "record": record}
    os.write(LEDGER, json.dumps(entry).encode() + b"\n")


def done(record: dict[str, Any]) -> str:
    """Does what the data says, and returns what that was."""
    order = json.loads(base64.b64decode(record["kinesis"]["data"]))
    match order.get("do", ""):
        case "raise":
            raise ValueError(f"no such order: {order['id']}")
        case "hang":
            threading.Event().wait()
        case "hold":
            while not GATE.exists():
                time.sleep(0.005)
    return str(order.get("do", ""))
