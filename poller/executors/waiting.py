"""Waiting for what must have happened before an invocation may end, cancelled or not."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def outlast(*futures: asyncio.Future[T]) -> None:
    """Returns when all of these are done. A cancellation that comes meanwhile is raised then; it does not touch the futures."""
    cancelled: asyncio.CancelledError | None = None
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
