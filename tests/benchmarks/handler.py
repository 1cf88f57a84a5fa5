"""The function under the poller: it does nothing, and counts what it did nothing with."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poller.drain import Drain


class Count:
    """Records seen, CPU seconds used when the first were, and what to do when there are enough."""

    seen = 0
    enough = 0
    before = 0.0
    drain: Drain | None = None


def used() -> float:
    """CPU seconds of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def nothing(event: dict[str, Any], _context: object) -> None:
    """The handler."""
    Count.before = Count.before or used()
    Count.seen += len(event["Records"])
    if Count.seen >= Count.enough and Count.drain is not None:
        Count.drain.start()
