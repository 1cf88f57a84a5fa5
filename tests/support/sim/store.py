"""The store: contents in memory that are watched, and a process's connection, whose calls go on when nobody waits for them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import orjson

from poller.config.mappings import default_uuid
from poller.core.model import BEGINNING
from poller.errors import Unavailable
from poller.stores.memory import MemoryContents, MemoryStore
from support.sim.hold import new_hold
from support.sim.journal import Broken
from support.sim.stored import Kept, read_kept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from poller.core.model import Checkpoint, Lease, MappingId, ShardId, StreamId
    from poller.ports import Enrolment
    from support.sim.books import Line
    from support.sim.eyes import Eyes
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.weather import Trouble
    from support.virtual import VirtualClock

T = TypeVar("T")

APART = 2.0
"""Seconds by which the time of a LATEST boundary of a table's stream lies before that of its iterator."""


class Starts(dict["ShardId", "Checkpoint"]):
    """The first checkpoints of an enrolment, with what the process knew of the stream when it asked for it."""

    def __init__(self, starts: Mapping[ShardId, Checkpoint], eyes: Eyes) -> None:
        super().__init__(starts)
        self.granted = dict(eyes.granted)
        self.listed = eyes.listed


class SimStore(MemoryStore):
    """`Store` of one process. A call that was sent has its effect, whether or not its caller still waits, or lives."""

    def __init__(self, process: Process, contents: MemoryContents, clock: VirtualClock, faults: Trouble) -> None:
        super().__init__(contents, clock, faults)
        self._process = process
        self._trouble = faults

    async def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        plan = self._process.ledger.plan(mapping)
        return await super().enroll(mapping, stream, Starts(starts, self._process.kinesis[plan.name].eyes))

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        """See `Store.acquire`."""
        lease = await super().acquire(mapping, shard, owner, ttl)
        if lease is not None:
            plan = self._process.ledger.plan(mapping)
            self._process.holds[plan.name, shard] = self._process.ledger.holds[lease]
        return lease

    async def _call(self, operation: str, effect: Callable[[], T]) -> T:
        if not self._process.alive:
            raise Unavailable(operation, "connection", "the process is dead")
        late = self._trouble.late()
        if late is None:
            return await asyncio.shield(self._process.linger(super()._call(operation, effect)))
        patience, delay = late
        self._process.late_writes |= operation == "advance"
        self._process.linger(self._late(delay, partial(super()._call, operation, effect)))
        await asyncio.sleep(patience)
        raise Unavailable(operation, "timeout", "it may happen yet")

    async def _late(self, delay: float, call: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(delay)
        return await call()


class SimContents(MemoryContents):
    """What the store keeps; each change is checked against the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        enrolment = super().enroll(mapping, stream, starts)
        if enrolment.created and isinstance(starts, Starts):
            with self._ledger.checking():
                self._enrolled(mapping, starts)
        return enrolment

    def acquire(self, wanted: Lease, now: float, ttl: float) -> Lease | None:
        """See `Store.acquire`."""
        lease = super().acquire(wanted, now, ttl)
        if lease is not None:
            with self._ledger.checking():
                self._acquired(lease)
        return lease

    def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """See `Store.advance`."""
        moved = super().advance(lease, to)
        if moved:
            with self._ledger.checking():
                self._advanced(lease, to)
        return moved

    def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        super().release(lease)
        line, hold = self._line(lease), self._ledger.holds[lease]
        self._ledger.trace.note(f"released {line} by {lease.owner} epoch {lease.epoch}")
        with self._ledger.checking():
            hasty = self._ledger.processes[lease.owner].impatient
            hold.released(None if hasty else line.reached)
            late = self._ledger.processes[lease.owner].late_writes  # which may put back what is older, at the same position
            if not (hasty or late or hold.over) and line.epoch == lease.epoch:
                hold.left(line.kept)

    def finish(self, lease: Lease) -> None:
        """See `Store.finish`."""
        super().finish(lease)
        with self._ledger.checking():
            self._finished(lease)

    def owner(self, line: Line) -> str | None:
        """Who holds an unexpired lease."""
        now = asyncio.get_running_loop().time()
        state = self.shards(default_uuid(line.plan.name), now).get(line.book.shard)
        return None if state is None else state.owner

    # ------------------------------------------------------------------------------------------------------------- checks

    def _enrolled(self, mapping: MappingId, starts: Starts) -> None:
        """The first checkpoints name every shard, and begin where the mapping says."""
        ledger, plan = self._ledger, self._ledger.plan(mapping)
        ledger.trace.note(f"enrolled {plan.name} {sorted(starts)}")
        if starts.keys() != starts.listed:
            raise Broken(f"{plan.name} is enrolled with {sorted(starts)}, but the stream has {sorted(starts.listed)}")
        for shard, checkpoint in starts.items():
            line = ledger.line(plan, shard)
            if plan.start == "AT_TIMESTAMP":
                line.begin = line.book.first_at(plan.timestamp or 0.0)
            if plan.start == "LATEST":
                self._begins_now(line, starts, orjson.loads(checkpoint.extra)["start"]["timestamp"])

    def _begins_now(self, line: Line, starts: Starts, told: float | None) -> None:
        """A LATEST boundary: at the service's time, a little earlier where records are told in whole seconds; at the very end."""
        if told is None and line.plan.stream.table and line.book.closed:
            line.begin = len(line.book.entries)
            return
        grant = starts.granted[line.book.shard]
        right = grant.server_time - (APART if line.plan.stream.table else 0.0)
        if told != right:
            raise Broken(f"{line} begins at {told}, but its iterator is of {grant.server_time}")
        line.begin, line.earliest = grant.records, line.book.first_at(right)

    def _acquired(self, lease: Lease) -> None:
        """A new hold begins, after everything durable."""
        line = self._line(lease)
        self._ledger.trace.note(f"acquired {line} {lease.owner} epoch {lease.epoch}")
        if lease.epoch <= line.epoch or line.finished:
            raise Broken(f"{line} is given away with epoch {lease.epoch} after {line.epoch}, finished: {line.finished}")
        self._overtaken(line, lease)
        line.epoch, line.holder = lease.epoch, lease.owner
        line.hold = self._ledger.holds[lease] = new_hold(
            line, lease, self._ledger.scenario.limits, asyncio.get_running_loop().time()
        )

    def _overtaken(self, line: Line, lease: Lease) -> None:
        """Nobody else gets the lease while an invocation runs, unless its process stands still: then it counts no more."""
        for lane, call in tuple(line.running.items()):
            if call.process.name == lease.owner:
                continue
            if not call.process.stands_still:
                raise Broken(f"another process gets the lease while {call} runs")
            del line.running[lane]

    def _advanced(self, lease: Lease, to: Checkpoint) -> None:
        """The newest holder alone writes, forward, and never past what is not resolved."""
        line = self._line(lease)
        reached = None if to.position == BEGINNING else line.book.index(int(to.position[:60])) + 1
        kept = read_kept(to.extra, line.plan.factor)
        said = "".join(f" {each.cuts} {each.window}" for each in kept if each != Kept())
        self._ledger.trace.note(f"checkpoint {line} {reached} by {lease.owner} epoch {lease.epoch}{said}")
        if lease.epoch != line.epoch:
            raise Broken(f"{lease.owner} writes a checkpoint of {line} with epoch {lease.epoch}, but {line.epoch} is the newest")
        if line.durable is not None and (reached is None or reached < line.durable):
            raise Broken(f"the checkpoint of {line} goes back from {line.durable} to {reached}")
        hold, process = self._ledger.holds[lease], self._ledger.processes[lease.owner]
        if reached is not None:
            hold.checkpoint(reached, process.now)
            line.silent.update(hold.silent)
            line.durable = reached
        hold.check_kept(reached, kept)
        line.kept = kept

    def _finished(self, lease: Lease) -> None:
        """Everything in the shard is durably resolved, and nothing will come."""
        line = self._line(lease)
        self._ledger.trace.note(f"finished {line} by {lease.owner} epoch {lease.epoch}")
        line.finished = self._ledger.holds[lease].returned = True
        if lease.epoch != line.epoch or not line.done:
            raise Broken(
                f"{line} is finished by epoch {lease.epoch}: newest {line.epoch}, {line.reached} of {len(line.book.entries)}"
            )

    def _line(self, lease: Lease) -> Line:
        return self._ledger.line(self._ledger.plan(lease.mapping), lease.shard)
