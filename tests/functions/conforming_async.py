"""The handlers of `conforming` as coroutines."""

# ruff: noqa: ASYNC110, ASYNC230, ASYNC240 - other processes watch these files

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import conforming  # type: ignore[import-not-found]  # found in its own folder, as a function's modules are

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def as_coroutine(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(event: Any, context: Any) -> Any:
        return handler(event, context)

    return call


echo = as_coroutine(conforming.echo)
nothing = as_coroutine(conforming.nothing)
unicode = as_coroutine(conforming.unicode)
partial = as_coroutine(conforming.partial)
raising = as_coroutine(conforming.raising)
fails_if_told = as_coroutine(conforming.fails_if_told)
unserialisable = as_coroutine(conforming.unserialisable)
large = as_coroutine(conforming.large)
describing = as_coroutine(conforming.describing)


async def sleeping(event: Any, context: Any) -> Any:
    await asyncio.sleep(event["seconds"])
    return "awake"


async def meeting(event: Any, context: Any) -> Any:
    Path(event["mine"]).touch()
    async with asyncio.timeout(conforming.PATIENCE_SECONDS):
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
