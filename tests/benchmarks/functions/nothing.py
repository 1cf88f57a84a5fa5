"""The function of the dispatch benchmark, which does nothing: for any executor, and for the bare loops."""

from __future__ import annotations

from typing import Any


def handler(_event: Any, _context: object) -> dict[str, list[object]]:
    return {"batchItemFailures": []}


async def async_handler(_event: Any, _context: object) -> dict[str, list[object]]:
    return {"batchItemFailures": []}
