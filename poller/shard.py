"""One leased shard: reader, read-ahead, P lanes, checkpointer, and the keeper of the lease. They live and die together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from poller.checkpointer import Checkpointer
from poller.core.age import ReadMark, iterator_age
from poller.core.remembered import Remembered
from poller.core.windows import seen_until
from poller.drain import Drain
from poller.errors import LeaseLost, MappingError, Unavailable
from poller.observe.outcomes import outcome_fields
from poller.observe.shards import LaneStatus, ShardStatus
from poller.readahead import ReadAhead
from poller.retry import transport_wait
from poller.trimming import Retention, Trimming
from poller.tumbling import run_shard_lane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from poller.core.model import Checkpoint, Lease, Shard
    from poller.lane import Work
    from poller.ports import ShardReader, Store
    from poller.readahead import MemoryBudget, ReadAheadLimits
    from poller.shardlane import ShardLane

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
        retention: of its stream.
        born: told of the shard's children when it ends, where the service names them.
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
    retention: Retention = field(default_factory=Retention)
    born: Callable[[Sequence[Shard]], None] = lambda _: None


async def run_shard(held: HeldShard, drain: Drain) -> bool:
    """Until the shard is finished (True) or the drain is done (False). Raises a group with `LeaseLost` when the lease is gone.

    A shard is finished when it ended, all of it is settled, durably, and nobody told us to stop. Only then may its children be
    read.
    """
    trust = Trust(held)
    work, store, lease = replace(held.work, still_ours=trust.check), held.store, held.lease
    checkpointer = Checkpointer(store, lease, work.observe, work.rng, Remembered(held.left, held.limits.lanes))
    lanes_drain = drain if held.limits.lanes == 1 else Drain()
    ahead = ReadAhead(held.limits, held.budget, checkpointer, lanes_drain)
    trimming = Trimming(held.retention, checkpointer, work.clock)
    reading = Reading(held, ahead, trimming)
    work.observe.shard_opened(lease.shard, reading)
    try:
        async with asyncio.TaskGroup() as together:
            helpers = [together.create_task(job) for job in (keep_lease(held, trust), checkpointer.run(), reading.run(drain))]
            if lanes_drain is not drain:
                helpers.append(together.create_task(level(ahead, drain, lanes_drain)))
            await run_lanes(ahead.lanes, work, lanes_drain)
            if not reading.ended:
                trimming.given_back()
            await checkpointer.flush()
            finished = reading.ended and ahead.progress.drained and not drain.started
            for helper in helpers:  # first: a renewal that crosses the end of the lease would look like its loss
                helper.cancel()
            await (store.finish(lease) if finished else store.release(lease))
    except asyncio.CancelledError:
        if drain.started:  # its patience is over, and nothing of the shard runs any more: the next process need not wait
            await give_back_quickly(store, lease)
        raise
    finally:
        work.observe.shard_closed(lease.shard)
        ahead.close()
    work.observe.lease("released", lease.shard)
    return finished


async def give_back_quickly(store: Store, lease: Lease) -> None:
    """A lease that nobody uses any more, if the store is quick; else it ends by itself."""
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(LAST_WORD):
            await store.release(lease)


async def run_lanes(lanes: Sequence[ShardLane], work: Work, drain: Drain) -> None:
    """All lanes of a shard, each of which hears what its invocations came to."""
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(run_shard_lane(lane, replace(work, judged=lane.judged), drain)) for lane in lanes]
        await asyncio.wait(workers)  # in here, as a failure while a group is left lets its owner look cancelled for good


async def level(ahead: ReadAhead, drain: Drain, lanes: Drain) -> None:
    """When the drain starts, lets each lane come as far as any of them is: only then can the checkpoint pass all that was done.

    In vain where one fails, as the checkpoint stays before that: then all stop at once.
    """
    await drain.wait()
    await lanes.wait(ahead.level(), ahead.levels_for)
    lanes.start()


class Reading:
    """The reader of a shard, and what it knows for status and metrics (a `ShardProbe`).

    Attributes:
        ended: the last page of a closed shard has been read.
    """

    def __init__(self, held: HeldShard, ahead: ReadAhead, trimming: Trimming) -> None:
        self._held = held
        self._ahead = ahead
        self._trimming = trimming
        self._read_at = held.work.clock.monotonic()
        self._behind: float | None = None
        self._interval = 0.0
        self._quiet = 0.0
        self._error: str | None = None
        self._together = True
        self.ended = False

    async def run(self, drain: Drain) -> None:
        """Reads ahead until the shard ends or the drain starts. A failing source is tried again for ever, ever more slowly.

        Raises `TrimmedUnread`, `SourceGone` when all that was read before is settled: there is no reading it again.
        """
        try:
            await self._read_on(drain)
        except MappingError as error:
            self._error = str(error)
            await self._trimming.work_off(self._ahead, drain)
            if not drain.started:
                raise

    async def _read_on(self, drain: Drain) -> None:
        failures = 0
        while not (self.ended or drain.started):
            await self._ahead.space()
            if drain.started:
                return
            pause = await self._read()
            failures = 0 if pause is not None else failures + 1
            await drain.sleep(transport_wait(failures, self._held.work.rng) if pause is None else self._in_turn(pause))

    def _in_turn(self, pause: float) -> float:
        """Once, a pause is cut short by chance: else shards that begin together are read together, a thousand at a time."""
        if pause and self._together:
            self._together = False
            return self._held.work.rng.uniform(0.0, pause)
        return pause

    async def _read(self) -> float | None:
        """One read. Returns the pause that the source asks for; None where it failed."""
        work = self._held.work
        began, started = work.clock.time(), work.clock.monotonic()
        try:
            page = await self._held.reader.read()
        except Unavailable as error:
            work.observe.poll_failed(error, seconds=work.clock.monotonic() - started)
            self._error = str(error)
            return None
        work.observe.polled(page.records, size=page.size, seconds=work.clock.monotonic() - started)
        if page.repeated:
            work.observe.redelivered(page.repeated)
        now = work.clock.monotonic()
        self._read_at, self._interval, self._behind, self._error = now, now - self._read_at, page.behind, None
        self._trimming.check(page, self._held.lease.shard, work.observe)
        self._ahead.deal(page.records)
        self._trimming.passed(page, began)
        self._quiet = 0.0 if page.records else self._quiet + min(self._interval, STALE_READS_CAP)  # an outage is no silence
        if not page.records and (seen := seen_until(began, page.behind, self._quiet)) is not None:
            self._ahead.seen_until = seen
        if page.ended:
            self.ended = True
            self._held.born(page.children)
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

    def status(self) -> ShardStatus:
        """See `ShardProbe.status`."""
        ahead, clock = self._ahead, self._held.work.clock
        now, steady = clock.time(), clock.monotonic()
        ages = [None if oldest is None else max(0.0, now - oldest) for oldest in ahead.oldest_of_lanes()]
        return ShardStatus(
            shard=self._held.lease.shard,
            position=ahead.durable,
            iterator_age=self.iterator_age,
            behind=self._behind,
            buffered_records=ahead.records,
            buffered_bytes=ahead.bytes,
            state=self.state,
            read_error=self._error,
            lanes=tuple(lane_status(lane, age, steady) for lane, age in zip(ahead.lanes, ages, strict=True)),
        )


def lane_status(lane: ShardLane, age: float | None, now: float) -> LaneStatus:
    """What a lane says of itself now, by the steady clock; `age`: of its oldest record, in seconds."""
    failed = outcome_fields(*lane.failure) if lane.failure is not None else None
    tried = lane.attempt or (lane.failure[0] if lane.failure is not None else None)  # who waits has the last failure counted
    return LaneStatus(
        index=lane.index,
        state="blocked" if lane.exhausted else "retrying" if lane.failing else "running" if lane.held else "idle",
        queued=lane.queued,
        taken=lane.taken,
        oldest_age=age,
        retries=0 if tried is None else tried.retries,
        refusals=0 if tried is None else tried.refusals,
        failing_for=None if lane.failing_since is None else now - lane.failing_since,
        error=None if failed is None else f"{failed['kind']}: {failed['error']}",
    )


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
