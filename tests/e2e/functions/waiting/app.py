"""An inline handler that waits for a second, and keeps a ledger of how many of it run.

`LEDGER` names the file: one line for each invocation that begins, with the time and how many run.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
SECONDS = 1.0

running = 0


async def handler(event: dict[str, Any], _context: object) -> None:
    """Waits."""
    global running  # noqa: PLW0603  one for the process
    running += 1
    line = {"at": time.time(), "running": running, "ids": [record["messageId"] for record in event["Records"]]}
    os.write(LEDGER, json.dumps(line).encode() + b"\n")
    try:
        await asyncio.sleep(SECONDS)
    finally:
        running -= 1
