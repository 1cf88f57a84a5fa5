"""The function under the poller, which does nothing; and the laps of CPU that records cost, for all that is in Python."""

from __future__ import annotations

import resource
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poller.drain import Drain


class Laps:
    """CPU seconds used when the first records were seen, and after each lap since.

    Attributes:
        seen: records so far.
        lap: records of a lap.
        enough: after so many a `drain` starts.
    """

    seen = 0
    lap = 1
    enough = 0
    drain: Drain | None = None
    marks: list[float] = []  # noqa: RUF012  there is one for the process

    @classmethod
    def saw(cls, records: int) -> None:
        """So many more."""
        if not cls.marks:
            cls.marks.append(used())
        cls.seen += records
        if cls.seen >= cls.lap * len(cls.marks):
            cls.marks.append(used())
        if cls.seen >= cls.enough and cls.drain is not None:
            cls.drain.start()

    @classmethod
    def costs(cls) -> list[float]:
        """CPU seconds of a record, for each lap."""
        return [(after - before) / cls.lap for before, after in pairwise(cls.marks)]


def used() -> float:
    """CPU seconds of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def nothing(event: dict[str, Any], _context: object) -> None:
    """The handler."""
    Laps.saw(len(event["Records"]))
