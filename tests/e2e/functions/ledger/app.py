"""A handler that keeps a ledger, and does with each record or message what its data says.

One line a record, appended with O_APPEND: what a line says outlives every process. A line comes before what the data asks for,
and after the work that each record takes: a record whose work was cut off has no line. `told` in the line is what was asked for;
empty: the record succeeds.

`LEDGER` names the file, `GATE` the file that records with `"do": "hold"` wait for (`"gate"`: another one beside it), `WORK` the
seconds that a record takes, `FAIL` the part of all invocations that raise when all is done (`fails` in their lines). With
`"times": n` a message does what it says in its first `n` deliveries only.

As AWS asks of handlers for FIFO queues, a group stops at its first failure; the later messages of the group are not named.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
GATE = Path(os.environ["GATE"])
WORK = float(os.environ.get("WORK", "0"))
FAIL = float(os.environ.get("FAIL", "0"))

calls = itertools.count(1)


def handler(event: dict[str, Any], context: Any) -> Any:
    """The answer reports the records whose data says so, or is what the data of one says."""
    call = {"call": f"{os.getpid()}.{next(calls)}", "request_id": context.aws_request_id, "began": time.time()}
    if fails := random.random() < FAIL:
        call["fails"] = True
    orders, stopped = [], set()
    for record in event["Records"]:
        group = record.get("attributes", {}).get("MessageGroupId")
        if group in stopped:
            continue
        order = read(record)
        time.sleep(WORK)
        write(record, order | call)
        orders.append((record, order))
        if group is not None and order["told"] == "report":
            stopped.add(group)
    if fails:
        raise RuntimeError("one of many")
    reported = [{"itemIdentifier": name(record)} for record, order in orders if done(order) == "report"]
    return next((order["answer"] for _, order in orders if "answer" in order), {"batchItemFailures": reported})


def read(record: dict[str, Any]) -> dict[str, Any]:
    """What the record or message asks for. A text that is no JSON object is an id."""
    data = base64.b64decode(record["kinesis"]["data"]).decode() if "kinesis" in record else record["body"]
    order: dict[str, Any] = json.loads(data) if data.startswith("{") else {"id": data}
    receives = int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))
    return order | {"told": order.get("do", "") if receives <= order.get("times", receives) else ""}


def write(record: dict[str, Any], entry: dict[str, Any]) -> None:
    """One line, in one write, so that lines of several processes never mix."""
    entry |= {"at": time.time(), "worker": os.getpid(), "daemon": os.getppid(), "record": record}
    os.write(LEDGER, json.dumps(entry).encode() + b"\n")


def name(record: dict[str, Any]) -> str:
    """What a report calls it."""
    return str(record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["messageId"])


def done(order: dict[str, Any]) -> str:
    """Does what the data says, and returns what that was."""
    match order["told"]:
        case "raise":
            raise ValueError(f"no such order: {order['id']}")
        case "hang":
            threading.Event().wait()
        case "hold":
            while not GATE.with_name(order.get("gate", GATE.name)).exists():
                time.sleep(0.005)
    return str(order["told"])
