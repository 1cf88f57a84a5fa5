"""One leased shard: reader, read-ahead, P lanes, checkpointer, and the keeper of the lease. They live and die together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poller.checkpointer import Checkpointer
from poller.core.age import ReadMark, iterator_age
from poller.core.remembered import Remembered
from poller.errors import LeaseLost, Unavailable
from poller.lane import run_lane
from poller.readahead import ReadAhead
from poller.retry import transport_wait

if TYPE_CHECKING:
    from typing import Literal

    from poller.core.model import Checkpoint, Lease
    from poller.drain import Drain
    from poller.lane import Work
    from poller.ports import ShardReader, Store
    from poller.readahead import MemoryBudget, ReadAheadLimits

TRUST = 0.9
"""The part of its time for which a lease is trusted, counted from when its renewal was asked for."""

RENEWALS = 3
"""How often a lease is renewed in its time."""

LAST_WORD = 1.0
"""Seconds that the store gets to take a lease back from a drain that has run out of patience."""

STALE_READS = 2.0
STALE_READS_CAP = 10.0
"""Seconds without a successful read after which `behind` is history: two reads of an idle shard, which many mappings of one
stream must space out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShard:
    """A shard whose lease was just taken.

    Attributes:
        lease: ours, for `ttl` seconds counted from `asked_at` (steady clock).
        work: what to do with its records.
        left: the checkpoint that its last holder left; None: there is none.
    """

    lease: Lease
    ttl: float
    asked_at: float
    store: Store
    reader: ShardReader
    limits: ReadAheadLimits
    budget: MemoryBudget
    work: Work
    left: Checkpoint | None = None


async def run_shard(held: HeldShard, drain: Drain) -> bool:
    """Until the shard is finished (True) or the drain is done (False). Raises a group with `LeaseLost` when the lease is gone.

    A shard is finished when it ended, all of it is settled, durably, and nobody told us to stop. Only then may its children be
    read.
    """
    trust = Trust(held)
    work, store, lease = replace(held.work, still_ours=trust.check), held.store, held.lease
    checkpointer = Checkpointer(store, lease, work.observe, work.rng, Remembered(held.left, held.limits.lanes))
    ahead = ReadAhead(held.limits, held.budget, checkpointer, drain)
    reading = Reading(held, ahead)
    work.observe.shard_opened(lease.shard, reading)
    try:
        async with asyncio.TaskGroup() as together:
            helpers = [together.create_task(job) for job in (keep_lease(held, trust), checkpointer.run(), reading.run(drain))]
            async with asyncio.TaskGroup() as lanes:
                workers = [lanes.create_task(run_lane(lane, work, drain)) for lane in ahead.lanes]
                await asyncio.wait(workers)  # in here, as a failure while a group is left lets its owner look cancelled for good
            await checkpointer.flush()
            finished = reading.ended and ahead.progress.drained and not drain.started
            for helper in helpers:  # first: a renewal that crosses the end of the lease would look like its loss
                helper.cancel()
            await (store.finish(lease) if finished else store.release(lease))
    except asyncio.CancelledError:
        if drain.started:  # its patience is over, and nothing of the shard runs any more: the next process need not wait
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(LAST_WORD):
                    await store.release(lease)
        raise
    finally:
        work.observe.shard_closed(lease.shard)
        ahead.close()
    work.observe.lease("released", lease.shard)
    return finished


class Reading:
    """The reader of a shard, and what it knows for status and metrics (a `ShardProbe`).

    Attributes:
        ended: the last page of a closed shard has been read.
    """

    def __init__(self, held: HeldShard, ahead: ReadAhead) -> None:
        self._held = held
        self._ahead = ahead
        self._read_at = held.work.clock.monotonic()
        self._behind: float | None = None
        self._interval = 0.0
        self.ended = False

    async def run(self, drain: Drain) -> None:
        """Reads ahead until the shard ends or the drain starts. A failing source is tried again for ever, ever more slowly."""
        failures = 0
        while not (self.ended or drain.started):
            await self._ahead.space()
            if drain.started:
                return
            pause = await self._read()
            failures = 0 if pause is not None else failures + 1
            await drain.sleep(transport_wait(failures, self._held.work.rng) if pause is None else pause)

    async def _read(self) -> float | None:
        """One read. Returns the pause that the source asks for; None where it failed."""
        work = self._held.work
        started = work.clock.monotonic()
        try:
            page = await self._held.reader.read()
        except Unavailable as error:
            work.observe.poll_failed(error, seconds=work.clock.monotonic() - started)
            return None
        work.observe.polled(page.records, size=page.size, seconds=work.clock.monotonic() - started)
        if page.repeated:
            work.observe.redelivered(page.repeated)
        now = work.clock.monotonic()
        self._read_at, self._interval, self._behind = now, now - self._read_at, page.behind
        self._ahead.deal(page.records)
        if page.ended:
            self.ended = True
            self._ahead.end()
        return page.pause

    @property
    def iterator_age(self) -> float:
        """Seconds; see `poller.core.age`."""
        clock = self._held.work.clock
        now = clock.time()
        mark = ReadMark(at=now - (clock.monotonic() - self._read_at), behind=self._behind or 0.0)  # a wall clock may jump
        return iterator_age(now, self._ahead.oldest, mark, min(max(STALE_READS, 2 * self._interval), STALE_READS_CAP))

    @property
    def behind(self) -> float | None:
        """MillisBehindLatest of the last read, in seconds."""
        return self._behind

    @property
    def buffered_bytes(self) -> int:
        """Payload bytes read and not settled."""
        return self._ahead.bytes

    @property
    def state(self) -> Literal["open", "blocked"]:
        """`blocked`: no record of the shard can go on."""
        return "blocked" if self._ahead.blocked else "open"


class Trust:
    """For how long a lease is trusted.

    Attributes:
        until: by the steady clock.
    """

    def __init__(self, held: HeldShard) -> None:
        self._held = held
        self.renewed(held.asked_at)

    def renewed(self, asked_at: float) -> None:
        """The store has granted what was asked for then."""
        self.until = asked_at + self._held.ttl * TRUST

    def check(self) -> None:
        """Raises `LeaseLost` where our own clock does not allow to go on."""
        if self._held.work.clock.monotonic() >= self.until:
            raise LeaseLost(f"the store has not confirmed the lease of {self._held.lease.shard} in time")


async def keep_lease(held: HeldShard, trust: Trust) -> None:
    """Renews until cancelled. Raises `LeaseLost` when the store refuses, or is silent for longer than our own clock allows."""
    clock, pause = held.work.clock, held.ttl / RENEWALS
    while True:
        await asyncio.sleep(min(pause, max(0.0, trust.until - clock.monotonic())))
        trust.check()
        asked_at = clock.monotonic()
        try:
            async with asyncio.timeout_at(trust.until):
                await held.store.renew(held.lease, held.ttl)
        except TimeoutError:
            continue  # the time is over: the next turn gives up
        except Unavailable:
            pause = held.ttl / RENEWALS / 10
            continue
        trust.renewed(asked_at)
        pause = held.ttl / RENEWALS
