"""Needs much before it can begin."""

from __future__ import annotations

import time
from typing import Any

HOARD = bytearray(b"x" * 1024 * 1024) * 100
time.sleep(5)


def handler(event: Any, context: Any) -> Any:
    return len(HOARD)
