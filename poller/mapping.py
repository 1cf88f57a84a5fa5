"""A stream mapping in this process: which shards run here, from enrolment in the store to supervision.

The unit that crashes and restarts is the leased shard as a whole, from its checkpoint. A crash in one never stops another.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poller.checkpointer import check_readable
from poller.core.model import Start
from poller.core.shards import TRIM_HORIZON, Family, first_checkpoint, readable, start_from
from poller.errors import (
    CheckpointMismatch,
    CheckpointUnreadable,
    LeaseLost,
    MappingError,
    SourceGone,
    TrimmedUnread,
    Unavailable,
)
from poller.retry import transport_wait
from poller.shard import HeldShard, run_shard
from poller.supervise import STEADY, leaf, raise_if_cancelled, supervise, tell
from poller.trimming import Retention

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Literal

    from poller.core.model import Checkpoint, Lease, MappingId, Shard, ShardId, ShardState, StreamId
    from poller.drain import Drain
    from poller.lane import Work
    from poller.ports import Store, StreamSource
    from poller.readahead import MemoryBudget, ReadAheadLimits

RESCAN = 60.0
"""Seconds between looks at the stream's shards; a shard that ends brings the next look forward."""

CONTENDED_RESCAN = 2.0
"""The same while somebody else holds a shard that could be read: how soon after its lease ends it is taken over."""

APART = 1.0
"""Seconds between two looks at the least: when a stream is resharded its shards end by the hundred."""

SAME_INCARNATION = 1.0
"""Seconds by which two readings of one stream's creation time may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMapping:
    """One configured mapping of a stream.

    Attributes:
        id: its UUID, under which the store keeps its checkpoints.
        start: where it begins, the first time.
        resume: what to do when a store that this process has written to comes back without this mapping.
        on_trimmed: what to do where retention has taken records that nobody had read.
        owner: this process, for leases.
        lease_ttl: seconds that a lease lasts.
        work: what is to be done with the records; its `place` and `report` are made for each shard.
        work_for: `work` for one shard.
    """

    id: MappingId
    start: Start
    resume: Literal["fail", "latest", "trim_horizon"]
    on_trimmed: Literal["trim_horizon", "fail"] = "trim_horizon"
    owner: str
    lease_ttl: float
    source: StreamSource
    store: Store
    limits: ReadAheadLimits
    budget: MemoryBudget
    work: Work
    work_for: Callable[[ShardId], Work]


async def run_mapping(mapping: StreamMapping, drain: Drain) -> None:
    """Until the drain is done. Never raises for what one mapping or shard runs into: it says so and tries again."""
    mapping.work.observe.state("Creating")
    await mapping.work.function.warm(drain)
    async with asyncio.TaskGroup() as shards:
        run = Run(mapping, drain, shards)
        await supervise("mapping", run.watch, mapping.work, drain)
    mapping.work.observe.state("Disabled")


class Run:
    """One mapping's shards in this process. The look-out may fail and come back; shards that run go on meanwhile."""

    def __init__(self, mapping: StreamMapping, drain: Drain, shards: asyncio.TaskGroup) -> None:
        self._mapping = mapping
        self._observe = mapping.work.observe
        self._drain = drain
        self._shards = shards
        self._running: dict[ShardId, asyncio.Task[None]] = {}
        self._doubts: dict[ShardId, int] = {}
        self._ends = self._followed = 0
        self._following = asyncio.Lock()
        self._family = Family()
        self._retention = Retention(on_trimmed=mapping.on_trimmed)
        self._enrolled = False
        self._boundaries_are_ours = False
        self._news: asyncio.Future[None] | None = None

    async def watch(self) -> bool:
        """Enrols, then keeps every shard running that may and can be, until the drain."""
        while not self._drain.started:
            self._news = asyncio.get_running_loop().create_future()
            try:
                await self._enrol()
            except CheckpointMismatch:
                self._stop()
                raise
            self._observe.state("Enabled")
            self._family.list(await self._mapping.source.shards())
            await self._keep_running(self._news)
        return True

    async def _keep_running(self, news: asyncio.Future[None]) -> None:
        """Until it is time to look at the stream again. While others hold shards the store is asked, not the service."""
        clock = self._mapping.work.clock
        began = clock.monotonic()
        until = began + RESCAN
        while (left := until - clock.monotonic()) > 0:
            contended = await self._spawn()
            heard = await self._drain.wait(news, min(left, CONTENDED_RESCAN) if contended else left)
            if heard:
                await self._drain.sleep(began + APART - clock.monotonic())
            if heard or self._drain.started:
                return

    def _stop(self) -> None:
        """What runs reads what it must not: another stream, whose positions would be written over this mapping's checkpoints."""
        for task in self._running.values():
            task.cancel()

    async def _enrol(self) -> None:
        """Sees to it that the store knows the mapping with the stream as it is now. Raises `CheckpointMismatch`."""
        description = await self._mapping.source.describe()
        self._observe.retention(description.retention)
        self._retention.seconds = description.retention
        known = await self._mapping.store.stream(self._mapping.id)
        if known is None:
            starts = {shard.id: first_checkpoint(await self._begin(shard)) for shard in await self._mapping.source.shards()}
            enrolment = await self._mapping.store.enroll(self._mapping.id, description.id, starts)
            known, self._boundaries_are_ours = enrolment.stream, enrolment.created
        check_same_stream(known, description.id)
        self._enrolled = True

    async def _begin(self, shard: Shard) -> Start:
        """Where a shard begins that exists when the mapping first reads."""
        start = self._mapping.start
        if self._enrolled:
            start = self._resume()
        return await self._mapping.source.boundary(shard.id) if start.type == "LATEST" else start

    def _resume(self) -> Start:
        """The store came back without what this process has written to it."""
        match self._mapping.resume:
            case "fail":
                raise CheckpointMismatch(
                    "the store has lost this mapping's checkpoints since this process wrote them. Restore the store, or set "
                    "`resume: latest` or `resume: trim_horizon` on the mapping to say where to go on"
                )
            case "latest":
                return Start(type="LATEST")
            case "trim_horizon":
                return Start(type="TRIM_HORIZON")

    async def _spawn(self) -> bool:
        """Starts what may be read and is not running here. True where somebody else holds a shard that we would read."""
        states = await self._mapping.store.shards(self._mapping.id)
        missing = self._family.missing(states)
        candidates = readable(self._family.known, states, missing)
        self._count(states, candidates)
        wanted = [shard for shard in (*candidates, *missing) if shard not in self._running]
        free = [shard for shard in wanted if not held_by_other(states.get(shard), self._mapping.owner)]
        for shard in free:
            job = self._run(shard, self._bury if shard in missing else self._hold)
            self._running[shard] = self._shards.create_task(job, name=f"{self._mapping.work.mapping} {shard}")
        return len(free) < len(wanted)

    def _count(self, states: dict[ShardId, ShardState], candidates: tuple[ShardId, ...]) -> None:
        known = self._family.known
        finished = sum(1 for shard in known if (state := states.get(shard.id)) is not None and state.finished)
        waiting = len(known) - finished - len(candidates)
        self._observe.shards_waiting(waiting_for_parent=waiting, finished=finished)

    async def _run(self, shard: ShardId, hold: Callable[[ShardId], Awaitable[bool]]) -> None:
        """One shard, until it is finished or the drain is done; without its lease it is looked at again a little later."""
        try:
            finished = await supervise(shard, lambda: self._whole(shard, hold), self._mapping.work, self._drain)
            if not finished:
                await self._drain.sleep(self._pause(shard))
        finally:
            del self._running[shard]
            self._look_again()

    def _pause(self, shard: ShardId) -> float:
        """Longer, time after time, for one that the stream now has and now has not: each try costs the service and the store."""
        doubts = self._doubts.get(shard, 0)
        return max(CONTENDED_RESCAN, transport_wait(doubts, self._mapping.work.rng) if doubts else 0.0)

    async def _whole(self, shard: ShardId, hold: Callable[[ShardId], Awaitable[bool]]) -> bool:
        """The same, less what fails. The children of a finished shard start at once, whether or not the stream can be listed."""
        finished = await hold(shard)
        if finished and not self._drain.started:
            self._ends += 1
            with suppress(Unavailable):  # of the store: the look-out meets it as well
                await self._follow(self._ends)
        return finished

    async def _follow(self, end: int) -> None:
        """Starts the children of this end, and of all that came while others were followed: the store is asked once for them."""
        async with self._following:
            if end > self._followed and not self._drain.started:
                ends = self._ends
                await self._spawn()
                self._followed = ends

    async def _bury(self, shard: ShardId) -> bool:
        """Declares a shard finished that the stream has no more: retention has taken what was left of it. True where it is so.

        A shard that is only missing from a list is left alone. Every doubt is for the look-out to clear up.
        """
        mapping, doubts = self._mapping, self._doubts.pop(shard, 0)
        lease = await mapping.store.acquire(mapping.id, shard, mapping.owner, mapping.lease_ttl)
        if lease is None:
            return False
        if not await self._is_gone(shard):
            self._doubts[shard] = doubts + 1
            await mapping.store.release(lease)
            return False
        try:
            self._retention.overran(shard, self._observe)
        except TrimmedUnread:
            await mapping.store.release(lease)
            raise
        await mapping.store.finish(lease)
        return True

    async def _is_gone(self, shard: ShardId) -> bool:
        """Whether the stream, which is still the one that the store knows, has no such shard."""
        source = self._mapping.source
        self._family.list(await source.shards())
        if any(shard == known.id for known in self._family.known):
            return False
        try:
            await source.reader(shard, TRIM_HORIZON).read()
        except SourceGone:
            stream = await self._mapping.store.stream(self._mapping.id)
            if stream is not None:
                check_same_stream(stream, (await source.describe()).id)
            return stream is not None
        return False

    async def _hold(self, shard: ShardId) -> bool:
        """Takes the lease and runs the shard. True where it is finished; False where the lease is not ours, or no longer."""
        mapping, doubts = self._mapping, self._doubts.pop(shard, 0)
        asked_at = mapping.work.clock.monotonic()
        lease = await mapping.store.acquire(mapping.id, shard, mapping.owner, mapping.lease_ttl)
        if lease is None:
            return False
        self._observe.lease("acquired", shard)
        held, finished = True, False
        try:
            finished = await run_shard(await self._held(lease, asked_at), self._drain)
            held = False
        except* LeaseLost:
            self._observe.lease("lost", shard)
            held = False
        except* (TrimmedUnread, CheckpointUnreadable):  # of this shard alone, for long: the supervisor tries ever more slowly
            await mapping.store.release(lease)
            self._observe.lease("released", shard)
            held = False
            raise
        except* MappingError as doubt:  # the stream may be another one by now: nobody reads on before the look-out has looked
            tell(shard, leaf(doubt), mapping.work)
            self._doubts[shard] = 1 if mapping.work.clock.monotonic() - asked_at > STEADY else doubts + 1
        finally:
            if held:  # something else went wrong, and nobody renews it any more
                self._observe.lease("expired", shard)
        raise_if_cancelled()
        return finished

    async def _held(self, lease: Lease, asked_at: float) -> HeldShard:
        mapping = self._mapping
        left = await mapping.store.load(lease)
        check_readable(left, lease.shard, mapping.work.mapping)
        return HeldShard(
            lease=lease,
            ttl=mapping.lease_ttl,
            asked_at=asked_at,
            store=mapping.store,
            reader=mapping.source.reader(lease.shard, self._from(left)),
            limits=mapping.limits,
            budget=mapping.budget,
            work=mapping.work_for(lease.shard),
            left=left,
            retention=self._retention,
            born=self._family.name,
        )

    def _from(self, checkpoint: Checkpoint | None) -> Start:
        """Where a shard goes on. Of a LATEST boundary that another process has stored we have the time alone."""
        start = start_from(checkpoint)
        exact = start.type != "LATEST" or self._boundaries_are_ours
        return start if exact else replace(start, type="AT_TIMESTAMP")

    def _look_again(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def held_by_other(state: ShardState | None, owner: str) -> bool:
    """Whether an unexpired lease of somebody else is on it."""
    return state is not None and state.owner is not None and state.owner != owner


def check_same_stream(known: StreamId, found: StreamId) -> None:
    """Raises `CheckpointMismatch` unless the store's checkpoints belong to this stream as it is now."""
    if known.arn != found.arn:
        raise CheckpointMismatch(
            f"the store's checkpoints of this mapping belong to {known.arn}, not to {found.arn}. Give the mapping another "
            "name or `uuid` to begin anew, or point it back at its stream"
        )
    if abs(known.created_at - found.created_at) > SAME_INCARNATION:
        raise CheckpointMismatch(
            f"{found.arn} was deleted and made again since the store's checkpoints were written. Give the mapping another "
            "name or `uuid` to begin in the new stream at its starting position"
        )
