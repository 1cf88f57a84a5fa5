"""A store in memory: nothing survives the process. For trying out, for tests, and for the simulation.

What is stored and who is connected are two things. `MemoryContents` outlives a connection, as a database would, so that a
simulation can end one incarnation of the daemon and start the next on the same contents. `MemoryStore` is one connection; it can
be `cut`, and it can be told to misbehave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from poller.core.model import Lease, ShardState
from poller.errors import LeaseLost, Unavailable
from poller.ports import Enrolment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from poller.core.model import Checkpoint, MappingId, ShardId, StreamId
    from poller.edits import Rewrite
    from poller.ports import Clock

T = TypeVar("T")


class Faults(Protocol):
    """What a connection does wrong. `operation` is the name of the port's method (`advance`).

    Both may wait, and both may raise `Unavailable`.
    """

    async def before(self, operation: str) -> None:
        """Called before the effect: if it raises, nothing happened."""

    async def after(self, operation: str) -> None:
        """Called after the effect: if it raises, it happened and its answer was lost."""


class NoFaults:
    """Answers at once, always."""

    async def before(self, operation: str) -> None:
        """Nothing goes wrong."""

    async def after(self, operation: str) -> None:
        """Nothing goes wrong."""


class MemoryStore:
    """One connection to contents in memory: the port `Store`. Leases expire by `clock.monotonic()`."""

    def __init__(self, contents: MemoryContents, clock: Clock, faults: Faults | None = None) -> None:
        self._contents = contents
        self._clock = clock
        self._faults = faults or NoFaults()
        self._cut = False

    def cut(self) -> None:
        """Cuts this connection off for good: from now on every call, those under way included, raises `Unavailable`.

        A call that has had its effect keeps it.
        """
        self._cut = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Nothing to close: the contents outlive the connection."""

    async def stream(self, mapping: MappingId) -> StreamId | None:
        """See `Store.stream`."""
        return await self._call("stream", lambda: self._contents.stream(mapping))

    async def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        return await self._call("enroll", lambda: self._contents.enroll(mapping, stream, starts))

    async def shards(self, mapping: MappingId) -> dict[ShardId, ShardState]:
        """See `Store.shards`."""
        return await self._call("shards", lambda: self._contents.shards(mapping, self._clock.monotonic()))

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        """See `Store.acquire`."""
        wanted = Lease(mapping=mapping, shard=shard, owner=owner, epoch=0)
        return await self._call("acquire", lambda: self._contents.acquire(wanted, self._clock.monotonic(), ttl))

    async def renew(self, lease: Lease, ttl: float) -> None:
        """See `Store.renew`."""
        await self._call("renew", lambda: self._contents.renew(lease, self._clock.monotonic() + ttl))

    async def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        await self._call("release", lambda: self._contents.release(lease))

    async def load(self, lease: Lease) -> Checkpoint | None:
        """See `Store.load`."""
        return await self._call("load", lambda: self._contents.load(lease))

    async def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """See `Store.advance`."""
        return await self._call("advance", lambda: self._contents.advance(lease, to))

    async def finish(self, lease: Lease) -> None:
        """See `Store.finish`."""
        await self._call("finish", lambda: self._contents.finish(lease))

    async def mappings(self) -> dict[MappingId, StreamId]:
        """See `EditableStore.mappings`."""
        return await self._call("mappings", self._contents.mappings)

    async def rewrite(self, mapping: MappingId, stream: StreamId, shards: Mapping[ShardId, Rewrite]) -> bool:
        """See `EditableStore.rewrite`."""
        return await self._call("rewrite", lambda: self._contents.rewrite(mapping, stream, shards, self._clock.monotonic()))

    async def forget(self, mapping: MappingId, *, fence: bool = False) -> bool:
        """See `EditableStore.forget`."""
        return await self._call("forget", lambda: self._contents.forget(mapping, self._clock.monotonic(), fence=fence))

    async def _call(self, operation: str, effect: Callable[[], T]) -> T:
        await self._faults.before(operation)
        self._check_connected(operation)
        answer = effect()
        await self._faults.after(operation)
        self._check_connected(operation)
        return answer

    def _check_connected(self, operation: str) -> None:
        if self._cut:
            raise Unavailable(operation, "connection", "this connection was cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shard:
    """What is stored of a shard. `expires_at` is a monotonic reading; `owner` None: the lease was given back."""

    checkpoint: Checkpoint | None = None
    finished: bool = False
    owner: str | None = None
    epoch: int = 0
    expires_at: float = 0.0

    def holder(self, now: float) -> str | None:
        return self.owner if now < self.expires_at else None


class MemoryContents:
    """What a store keeps. No method waits, so each is atomic on a loop."""

    def __init__(self) -> None:
        self._streams: dict[MappingId, StreamId] = {}
        self._shards: dict[MappingId, dict[ShardId, _Shard]] = {}

    def clear(self) -> None:
        """Everything is gone, as after the loss of a disk."""
        self._streams.clear()
        self._shards.clear()

    def stream(self, mapping: MappingId) -> StreamId | None:
        """See `Store.stream`."""
        return self._streams.get(mapping)

    def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        created = mapping not in self._streams
        if created:
            self._streams[mapping] = stream
            self._shards[mapping] = {shard: _Shard(checkpoint=start) for shard, start in starts.items()}
        return Enrolment(stream=self._streams[mapping], created=created)

    def shards(self, mapping: MappingId, now: float) -> dict[ShardId, ShardState]:
        """See `Store.shards`."""
        return {shard: _state(stored, now) for shard, stored in self._shards.get(mapping, {}).items()}

    def acquire(self, wanted: Lease, now: float, ttl: float) -> Lease | None:
        """See `Store.acquire`; the epoch of `wanted` means nothing."""
        shards = self._shards.get(wanted.mapping)
        if shards is None:
            return None
        stored = shards.get(wanted.shard, _Shard())
        if stored.finished or stored.holder(now) not in (None, wanted.owner):
            return None
        lease = replace(wanted, epoch=stored.epoch + 1)
        shards[wanted.shard] = replace(stored, owner=lease.owner, epoch=lease.epoch, expires_at=now + ttl)
        return lease

    def renew(self, lease: Lease, expires_at: float) -> None:
        """See `Store.renew`."""
        self._write(lease, replace(self._held(lease), expires_at=expires_at))

    def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        stored = self._find(lease)
        if stored is not None:
            self._write(lease, replace(stored, owner=None))

    def load(self, lease: Lease) -> Checkpoint | None:
        """See `Store.load`."""
        return self._held(lease).checkpoint

    def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """See `Store.advance`."""
        stored = self._held(lease)
        if stored.checkpoint is not None and stored.checkpoint.position > to.position:
            return False
        self._write(lease, replace(stored, checkpoint=to))
        return True

    def finish(self, lease: Lease) -> None:
        """See `Store.finish`."""
        self._write(lease, replace(self._held(lease), finished=True, owner=None))

    def mappings(self) -> dict[MappingId, StreamId]:
        """See `EditableStore.mappings`."""
        return dict(self._streams)

    def rewrite(self, mapping: MappingId, stream: StreamId, shards: Mapping[ShardId, Rewrite], now: float) -> bool:
        """See `EditableStore.rewrite`."""
        known, states = self._shards.get(mapping, {}), self.shards(mapping, now)
        if self._streams.get(mapping, stream) != stream:
            return False
        if not all(wish.allowed(states.get(shard)) for shard, wish in shards.items()):
            return False
        self._streams[mapping], self._shards[mapping] = stream, known
        for shard, wish in shards.items():
            epoch = known.get(shard, _Shard()).epoch + 1
            known[shard] = _Shard(checkpoint=wish.to, finished=wish.finished, epoch=epoch)
        return True

    def forget(self, mapping: MappingId, now: float, *, fence: bool) -> bool:
        """See `EditableStore.forget`."""
        if not fence and any(stored.holder(now) is not None for stored in self._shards.get(mapping, {}).values()):
            return False
        self._streams.pop(mapping, None)
        self._shards.pop(mapping, None)
        return True

    def _held(self, lease: Lease) -> _Shard:
        stored = self._find(lease)
        if stored is None:
            raise LeaseLost(f"{lease.owner} no longer holds {lease.shard} of mapping {lease.mapping} (epoch {lease.epoch})")
        return stored

    def _find(self, lease: Lease) -> _Shard | None:
        # The owner is compared too: a store that was emptied counts its epochs from 1 again.
        stored = self._shards.get(lease.mapping, {}).get(lease.shard)
        return stored if stored is not None and (stored.owner, stored.epoch) == (lease.owner, lease.epoch) else None

    def _write(self, lease: Lease, shard: _Shard) -> None:
        self._shards[lease.mapping][lease.shard] = shard


def _state(stored: _Shard, now: float) -> ShardState:
    return ShardState(checkpoint=stored.checkpoint, finished=stored.finished, owner=stored.holder(now), epoch=stored.epoch)
