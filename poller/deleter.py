"""Makes settled messages durable: deletes them, at once while little is to do, ten in a call when it is busy.

Until the queue has confirmed it, a message stays in the heartbeat. What is settled and not yet deleted is bounded, and with it
the duplicates after a crash.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from poller.errors import MappingError, SourceGone, Unavailable
from poller.retry import transport_wait
from poller.visibility import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.core.model import Record
    from poller.observe.mapping import MappingObserver
    from poller.ports import EntryFailure, QueueSource, Rng
    from poller.visibility import Visibility

CALLS = 4
"""Deletes of one queue at the same time. While all are under way what is settled gathers."""

ALONE = 3
"""Tries of a call before what is left of it lines up behind others: an entry that never works must not stop those that do."""

MAX_PENDING = 1_000
"""Messages that may be settled and not deleted before settling waits."""


class Deleter:
    """Deletes the settled messages of one queue, for as long as `run` runs."""

    def __init__(self, source: QueueSource, visibility: Visibility, observe: MappingObserver, rng: Rng) -> None:
        self._source = source
        self._visibility = visibility
        self._observe = observe
        self._rng = rng
        self._waiting: deque[Record] = deque()
        self._pending: dict[str, Record] = {}
        self._more = asyncio.Condition()
        self._changed = asyncio.Event()
        self._failures = 0
        self._gone = 0

    @property
    def pending(self) -> list[Record]:
        """Settled, and not yet known to be deleted."""
        return list(self._pending.values())

    async def delete(self, records: Sequence[Record]) -> None:
        """Takes note of them; returns when not too many wait."""
        self._waiting.extend(records)
        self._pending |= {record.receipt: record for record in records}
        async with self._more:
            self._more.notify(-(-len(records) // ENTRIES))
        while len(self._pending) >= MAX_PENDING:
            await self._next_change()

    async def flush(self) -> None:
        """Until nothing is pending."""
        while self._pending:
            await self._next_change()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as calls:
            for _ in range(CALLS):
                calls.create_task(self._work())

    async def _work(self) -> None:
        while True:
            async with self._more:
                await self._more.wait_for(lambda: self._waiting)
            await self._see_off([self._waiting.popleft() for _ in range(min(ENTRIES, len(self._waiting)))])

    async def _see_off(self, records: list[Record]) -> None:
        """Until each is deleted, or it is in vain: only what failed is tried again, a few times alone, then among others."""
        for tried in range(1, ALONE + 1):
            records = await self._call(records)
            if not records:
                return
            await asyncio.sleep(transport_wait(max(tried, self._failures), self._rng))
        self._waiting.extend(records)

    async def _call(self, records: list[Record]) -> list[Record]:
        """One call. Returns what is to be tried again: of a call that nobody answered everything, whoever has it by now."""
        self._visibility.leaving |= {record.receipt for record in records}
        try:
            failures = await self._source.delete(records)
        except (Unavailable, MappingError) as error:
            return self._unanswered(records, error)
        finally:
            self._visibility.leaving -= {record.receipt for record in records}
        self._failures = self._gone = 0
        if not failures:
            self._observe.deleted(len(records))
            self._done(records)
            return []
        failed = {each.index: each for each in failures}
        done = [record for index, record in enumerate(records) if index not in failed]
        again = [record for index, record in enumerate(records) if index in failed and self._worth_it(record, failed[index])]
        self._observe.deleted(len(done))
        self._given_up([record for index, record in enumerate(records) if index in failed and record not in again])
        self._done(done)
        return again

    def _unanswered(self, records: list[Record], error: Unavailable | MappingError) -> list[Record]:
        """What is to be tried again. A queue that is gone, and stays gone, has nothing left to delete."""
        self._observe.undeleted(error)
        self._failures += 1
        self._gone = self._gone + 1 if isinstance(error, SourceGone) else 0
        if self._gone < ALONE:
            return records
        self._given_up(records)
        return []

    def _worth_it(self, record: Record, failure: EntryFailure) -> bool:
        """Whether an entry that failed is tried again: only while it is ours."""
        return not failure.gone and self._visibility.ours(record)

    def _given_up(self, records: list[Record]) -> None:
        """Not ours any more: they will be delivered again, unless whoever has them deletes them."""
        if records:
            self._observe.visibility("lost", len(records))
            self._done(records)

    def _done(self, records: list[Record]) -> None:
        for record in records:
            self._pending.pop(record.receipt, None)
        self._visibility.drop(records)
        self._changed.set()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
