"""A handler in a folder of its own."""

from __future__ import annotations

from typing import Any


def handler(event: Any, context: Any) -> str:
    return "from a folder"
