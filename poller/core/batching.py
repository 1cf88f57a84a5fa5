"""Gathers the records of one lane into batches: by count, by bytes, by window, by age.

Rules (AWS Lambda developer guide, "Batching behavior"): a batch is invoked as soon as it has `batch_size` records, or its
window is over, or the next record would push the event over 6 MB. A stream's window opens when the previous invocation
completes. Records that the filter dropped never come here, so they use up nothing. Of ours: where no more records can come
before a batch is done, it does not wait for its window.

A batch that was split before a restart is found again by its cuts: no batch goes over the beginning or the end of the next one.
What comes before its beginning was settled once, and comes again where the checkpoint is that of a lane further back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poller.core.envelope import FRAME_BYTES, MAX_EVENT_BYTES, SEPARATOR_BYTES
from poller.core.model import Batch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from poller.core.memo import Cut
    from poller.core.model import Record, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When a batch is full.

    Attributes:
        count: records, at the most.
        window: seconds to gather; 0 invokes with what can be had without waiting.
        max_age: seconds after arrival at which a record expires, open window or not; None: never.
        event_bytes: size of the whole event, at the most. One record that is larger makes a batch of its own.
    """

    count: int
    window: float = 0.0
    max_age: float | None = None
    event_bytes: int = MAX_EVENT_BYTES


class Batcher:
    """Holds the open batch of one lane. `opened` starts its window. `cuts` are what the previous holder of the lane left.

    Attributes:
        overhead: bytes that the event of the next batch holds beside its records (the state of a tumbling window).
    """

    def __init__(self, limits: BatchLimits, cuts: tuple[Cut, ...] = ()) -> None:
        self._limits = limits
        self._cuts = cuts
        self._held: list[Record] = []
        self._bytes = FRAME_BYTES
        self._opened_at = 0.0
        self.overhead = 0

    @property
    def room(self) -> int:
        """How many more records the open batch can take; at least 1."""
        return self._limits.count - len(self._held)

    def opened(self, now: float) -> None:
        """The window of the next batch starts now: the lane has begun, or its last batch is over. `now` never jumps."""
        self._opened_at = now

    def add(
        self, records: Sequence[Record], now: float, *, more: bool = False, full: bool = False, skew: float = 0.0
    ) -> Iterator[Batch]:
        """Takes records and yields each batch that they complete.

        With `more`, further records can be had at once, so that an ended window waits for them; `full`: none before the open
        batch is done, so that it need not wait. `skew` is what must be added to `now`, a steady clock, to have the Unix time in
        which records arrive.
        """
        if self._cuts:
            records = yield from self._as_cut(records)
        yield from self._gather(records)
        if self._held and not more and (trigger := "full" if full else self._due(now, skew)):
            yield self._close(trigger)

    def patience(self, now: float, skew: float = 0.0) -> float | None:
        """Seconds until the open batch must go, 0 if it must go now; None while it is empty."""
        if not self._held:
            return None
        return max(0.0, min(self._opened_at + self._limits.window, self._expiry(skew)) - now)

    def flush(self) -> Iterator[Batch]:
        """Yields what is held, if anything: the lane has ended, or is to stop."""
        if self._held:
            yield self._close("end")

    @property
    def _most(self) -> int:
        """Bytes that the records of an event may have, with their frame."""
        return self._limits.event_bytes - self.overhead

    def _gather(self, records: Sequence[Record]) -> Iterator[Batch]:
        """The next cut neither begins nor ends among them."""
        size = sum([len(record.payload) for record in records]) + SEPARATOR_BYTES * len(records)
        if len(records) <= self.room and self._bytes + size <= self._most:  # as a rule: no need to look at each
            self._held += records
            self._bytes += size
            records = ()
            if not self.room:
                yield self._close("count")
        for record in records:
            if self._held and self._bytes + len(record.payload) > self._most:  # each held one has its comma
                yield self._close("bytes")
            self._held.append(record)
            self._bytes += len(record.payload) + SEPARATOR_BYTES
            if len(self._held) >= self._limits.count:
                yield self._close("count")

    def _as_cut(self, records: Sequence[Record]) -> Generator[Batch, None, Sequence[Record]]:
        """Closes a batch where a cut begins, and where it ends, as far as these records reach. Returns what is behind that.

        A cut that has nothing left is over: its records were settled, or are not there any more.
        """
        while records and self._cuts:
            cut = self._cuts[0]
            before = (self._held or records)[0].position < cut.first
            if records[-1].position < (cut.first if before else cut.last):
                break
            end = _until(records, cut, before=before)
            yield from self._gather(records[:end])
            if self._held:
                yield self._close("cut")
            if not before and self._cuts and self._cuts[0].last == cut.last:
                self._cuts = self._cuts[1:]
            records = records[end:]
        return records

    def _due(self, now: float, skew: float) -> Trigger | None:
        if now >= self._opened_at + self._limits.window:
            return "window"
        return "age" if now >= self._expiry(skew) else None

    def _expiry(self, skew: float) -> float:
        """When the oldest held record expires, by the steady clock."""
        if self._limits.max_age is None:
            return float("inf")
        return self._held[0].arrived_at + self._limits.max_age - skew

    def _close(self, trigger: Trigger) -> Batch:
        retries = self._reached(self._held[-1]) if self._cuts else 0
        batch = Batch(records=tuple(self._held), trigger=trigger, retries=retries, later=self._cuts)
        self._held, self._bytes = [], FRAME_BYTES
        return batch

    def _reached(self, last: Record) -> int:
        """How often the batch that ends here has failed. A piece of one is another batch, and so is what is left of it."""
        cut, *others = self._cuts
        if last.position < cut.first:
            return 0
        if cut.last == last.position:
            self._cuts = tuple(others)
            return cut.retries
        self._cuts = (replace(cut, retries=0), *others)
        return 0


def _until(records: Sequence[Record], cut: Cut, *, before: bool) -> int:
    """How many of them come before it; or else how many before its end."""
    beyond = (index for index, each in enumerate(records) if (each.position >= cut.first if before else each.position > cut.last))
    return next(beyond, len(records))
