"""Runs a coroutine that a signal may cut short, cleanly: for commands that are not the daemon."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(job: Coroutine[Any, Any, T]) -> T | signal.Signals:
    """Its result. SIGINT or SIGTERM cancels it; when it has ended, the signal is returned in the place of a result."""
    return asyncio.run(_until_signalled(job))


async def _until_signalled(job: Coroutine[Any, Any, T]) -> T | signal.Signals:
    loop, received, task = asyncio.get_running_loop(), list[signal.Signals](), asyncio.current_task()
    assert task is not None  # noqa: S101  (this is a coroutine)

    def end(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)
    try:
        return await job
    except asyncio.CancelledError:
        if not received:
            raise
        return received[0]
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
