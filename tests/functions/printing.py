"""A handler that prints a numbered line as often as the event asks for."""

from __future__ import annotations

import sys
from typing import Any


def handler(event: dict[str, Any], _context: object) -> int:
    lines: int = event["lines"]
    sys.stdout.write("".join(f"{number}\n" for number in range(lines)))
    return lines
