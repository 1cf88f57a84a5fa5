"""The supervisor: runs a part of a mapping again when it fails, and says so. The one place that catches any exception."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from poller.errors import LeaseLost, MappingError, Unavailable
from poller.retry import transport_wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.drain import Drain
    from poller.lane import Work

STEADY = 60.0
"""Seconds of running after which earlier failures are forgotten."""


async def supervise(what: str, run: Callable[[], Awaitable[bool]], work: Work, drain: Drain) -> bool:
    """Runs it again, after a pause, for as long as it raises. The one place that catches any exception."""
    failures = 0
    while True:
        began = work.clock.monotonic()
        try:
            return await run()
        except Exception as error:  # noqa: BLE001  the supervisor: nothing below it may stop a sibling
            tell(what, leaf(error), work)
        raise_if_cancelled()
        failures = 1 if work.clock.monotonic() - began > STEADY else failures + 1
        await drain.sleep(transport_wait(failures, work.rng))
        if drain.started:
            return False


def raise_if_cancelled() -> None:
    """A TaskGroup whose child fails while it is itself being cancelled tells of the failure alone (before Python 3.13)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def tell(what: str, error: BaseException, work: Work) -> None:
    """What the outside world does is an event; anything else is our bug and deserves its traceback."""
    if isinstance(error, (LeaseLost, Unavailable, MappingError)):
        work.observe.failing(what, error)
    else:
        work.observe.crashed(what, error)


def leaf(error: BaseException) -> BaseException:
    """The first exception of a group that is none itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
