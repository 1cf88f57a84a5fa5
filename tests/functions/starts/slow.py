"""Its initialisation takes longer than its timeout, which is allowed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poller.executors.worker import Context

print("initialising")
time.sleep(0.4)


def handler(event: Any, context: Context) -> int:
    return context.get_remaining_time_in_millis()
