"""Its initialisation raises."""

from __future__ import annotations

from typing import Any

raise LookupError("no table")


def handler(event: Any, context: Any) -> None: ...
