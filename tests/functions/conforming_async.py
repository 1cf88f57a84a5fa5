"""The handlers of `poller.testing.handlers` as coroutines."""

# ruff: noqa: ASYNC110, ASYNC230, ASYNC240 - other processes watch these files

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poller.testing import handlers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def as_coroutine(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(event: Any, context: Any) -> Any:
        return handler(event, context)

    return call


echo = as_coroutine(handlers.echo)
nothing = as_coroutine(handlers.nothing)
unicode = as_coroutine(handlers.unicode)
partial = as_coroutine(handlers.partial)
raising = as_coroutine(handlers.raising)
fails_if_told = as_coroutine(handlers.fails_if_told)
unserialisable = as_coroutine(handlers.unserialisable)
large = as_coroutine(handlers.large)
describing = as_coroutine(handlers.describing)


async def sleeping(event: Any, context: Any) -> Any:
    await asyncio.sleep(event["seconds"])
    return "awake"


async def meeting(event: Any, context: Any) -> Any:
    Path(event["mine"]).touch()
    async with asyncio.timeout(handlers.PATIENCE_SECONDS):
        while not Path(event["other"]).exists():
            await asyncio.sleep(0.005)
    return "met"


async def ticking(event: Any, context: Any) -> Any:
    with Path(event["file"]).open("a") as file:
        for _ in range(event["ticks"]):
            file.write("x")
            file.flush()
            await asyncio.sleep(0.01)
    return "harm done"
