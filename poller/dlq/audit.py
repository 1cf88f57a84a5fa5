"""Who did what to a dead-letter queue: two lines in the log, before and after. Ids and counts only, never what messages say."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from poller.observe import logs
from poller.observe.operator import user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.dlq.desk import Tally
    from poller.dlq.wish import Wish
    from poller.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is done.

    Attributes:
        to: the queue or function that gets the messages; empty: none does.
    """

    action: Literal["redrive", "purge"]
    queue: str
    to: str
    wish: Wish


@contextmanager
def audited(deed: Deed, tally: Tally, clock: Clock) -> Iterator[None]:
    """Tells of it, whatever ends it but a `kill -9`."""
    log = logs.logger(action=deed.action, queue=deed.queue)
    wish = deed.wish
    log.info("dlq_started", to=deed.to or None, pattern=wish.pattern, limit=wish.limit, rate=wish.rate, by=user())
    began, whole = clock.monotonic(), False
    try:
        yield
        whole = True
    finally:
        log.info(
            "dlq_ended",
            whole=whole,
            done=tally.done,
            unwanted=tally.unwanted,
            left=tally.left.total(),
            undeleted=sorted(tally.twice),
            doubtful=tally.doubtful,
            seconds=round(clock.monotonic() - began, 3),
        )
