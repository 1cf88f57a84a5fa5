"""What retention took before it was read: noticed where a shard is read on, counted, and met as the mapping says.

A service trims what is older than its retention. That the record behind which a shard is read on is gone is no loss yet: an idle
shard loses the last one that it held. It is one where records may have come since: where the last read that came to the tip of
the shard is longer ago than the retention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from poller.core.model import BEGINNING
from poller.errors import TrimmedUnread

if TYPE_CHECKING:
    from poller.checkpointer import Checkpointer
    from poller.core.model import Position, ShardId
    from poller.drain import Drain
    from poller.observe.mapping import MappingObserver
    from poller.ports import Clock, Page
    from poller.readahead import ReadAhead

FRESH: Final = 60.0
"""Seconds for which a stored tip need not be written again when a shard is given back."""

LASTING: Final = 1 / 24
"""The part of the retention after which an idle shard's tip is written for its own sake: once an hour, of a day."""

WORKED_OFF: Final = 1.0
"""Seconds between looks at whether all that was read is settled."""


@dataclass(slots=True, kw_only=True)
class Retention:
    """How long a mapping's stream keeps records, and what to do where it did not keep them for long enough.

    Attributes:
        on_trimmed: `trim_horizon`: count it, and go on with the oldest record; `fail`: stop the shard.
        seconds: as the stream was described last.
        told: what was counted last of each shard, by the place after which it is missing, and by what was known of that.
    """

    on_trimmed: Literal["trim_horizon", "fail"] = "trim_horizon"
    seconds: float = math.inf
    told: dict[ShardId, tuple[Position, float | None]] = field(default_factory=dict)

    def overran(self, shard: ShardId, observe: MappingObserver, after: Position = BEGINNING, tip: float | None = None) -> None:
        """Records were taken unread. Counts that once, however often it is found; raises `TrimmedUnread` where it is to stop."""
        if self.told.get(shard) != (after, tip):
            self.told[shard] = after, tip
            observe.trimmed(shard)
        if self.on_trimmed == "fail":
            raise TrimmedUnread(
                f"the stream has trimmed records of {shard} that nobody had read: its retention of {self.seconds / 3600:g} h was "
                "too short. To go on with the oldest record that is left, set `on_trimmed: trim_horizon` on the mapping"
            )


class Trimming:
    """One shard's reading, as far as retention is concerned."""

    def __init__(self, retention: Retention, checkpointer: Checkpointer, clock: Clock) -> None:
        self._retention = retention
        self._checkpointer = checkpointer
        self._remembered = checkpointer.remembered
        self._clock = clock
        self._last = self._remembered.position

    def check(self, page: Page, shard: ShardId, observe: MappingObserver) -> None:
        """Whether records may be missing before this page. Raises as `Retention.overran`."""
        tip = self._remembered.tip
        if page.trimmed and (tip is None or tip < self._clock.time() - self._retention.seconds):
            self._retention.overran(shard, observe, self._last, tip)

    def passed(self, page: Page, began: float) -> None:
        """A page was read and dealt; the read began then, in Unix seconds."""
        if page.records:
            self._last = page.records[-1].position
        if page.behind == 0:
            self._remembered.caught_up(began, self._last, self._checkpointer.settled)
            if self._stale(max(FRESH, self._retention.seconds * LASTING)):
                self._checkpointer.touch()

    def given_back(self) -> None:
        """The shard is about to be released: how fresh it is goes with it."""
        if self._stale(FRESH):
            self._checkpointer.touch()

    async def work_off(self, ahead: ReadAhead, drain: Drain) -> None:
        """Until all that was read is settled, durably, or the drain starts: it may be all that is left of the shard."""
        while not (ahead.progress.drained or drain.started):
            await drain.sleep(WORKED_OFF)
        await self._checkpointer.flush()

    def _stale(self, seconds: float) -> bool:
        """Whether what is stored as the tip is further than that from what is known: either way, as clocks are put back as well.

        Before any record none is needed.
        """
        tip, stored = self._remembered.settled_tip(self._checkpointer.settled), self._remembered.stored_tip
        if tip is None or self._checkpointer.settled == BEGINNING:
            return False
        return stored is None or abs(tip - stored) > seconds
