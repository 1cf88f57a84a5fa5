"""The store contract as a state machine: any calls in any order on two connections, against a model that fits on a screen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest
from contract.store_world import (
    MAPPING,
    OTHER_MAPPING,
    OTHER_SHARD,
    OTHER_STREAM,
    SHARD,
    STREAM,
    at,
)
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from poller.core.model import Checkpoint, Lease, MappingId, ShardId, ShardState, StreamId
from poller.edits import Rewrite
from poller.errors import LeaseLost
from poller.ports import Enrolment

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from contract.store_world import Stores
    from hypothesis.stateful import MultipleResults

    from poller.edits import EditableStore

T = TypeVar("T")

mappings = st.sampled_from([MAPPING, OTHER_MAPPING])
streams = st.sampled_from([STREAM, OTHER_STREAM])
shards = st.sampled_from([SHARD, OTHER_SHARD])
owners = st.sampled_from(["a", "b", "c"])
seconds = st.integers(1, 12)
checkpoints = st.builds(at, st.integers(0, 9), st.sampled_from([b"", b"x", b"y"])) | st.just(Checkpoint())


@dataclass
class Known:
    """The model of one shard: `lease` until it is given back, taken or finished, good until `ends`."""

    checkpoint: Checkpoint | None = None
    finished: bool = False
    epoch: int = 0
    lease: Lease | None = None
    ends: int = 0

    def holder(self, now: int) -> str | None:
        return self.lease.owner if self.lease is not None and now < self.ends else None

    def state(self, now: int) -> ShardState:
        return ShardState(checkpoint=self.checkpoint, finished=self.finished, owner=self.holder(now), epoch=self.epoch)


class StoreMachine(RuleBasedStateMachine):
    """Overridden by a kind of store with `make_stores`."""

    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = self.make_stores()
        self.open: list[EditableStore] = [self.connect(), self.connect()]
        self.now = 0
        self.streams: dict[MappingId, StreamId] = {}
        self.known: dict[tuple[MappingId, ShardId], Known] = {}

    def make_stores(self) -> Stores:
        raise NotImplementedError

    def teardown(self) -> None:
        for store in self.open:
            self.run(store.__aexit__(None, None, None))
        self.runner.close()

    def run(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    def connect(self) -> EditableStore:
        return self.run(self.stores.connect().__aenter__())

    @property
    def store(self) -> EditableStore:
        """The two connections in turn."""
        self.open.reverse()
        return self.open[0]

    def held(self, lease: Lease) -> Known | None:
        known = self.known.get((lease.mapping, lease.shard))
        return known if known is not None and known.lease == lease else None

    @rule(mapping=mappings, stream=streams, starts=st.dictionaries(shards, checkpoints))
    def enroll(self, mapping: MappingId, stream: StreamId, starts: dict[ShardId, Checkpoint]) -> None:
        created = mapping not in self.streams
        if created:
            self.streams[mapping] = stream
            self.known |= {(mapping, shard): Known(checkpoint=start) for shard, start in starts.items()}
        answer = self.run(self.store.enroll(mapping, stream, starts))
        assert answer == Enrolment(stream=self.streams[mapping], created=created)

    @rule(target=leases, mapping=mappings, shard=shards, owner=owners, ttl=seconds)
    def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: int) -> Lease | MultipleResults[Lease]:
        lease = self.run(self.store.acquire(mapping, shard, owner, ttl))
        known = self.known.get((mapping, shard), Known())
        may = mapping in self.streams and not known.finished and known.holder(self.now) in (None, owner)
        assert (lease is not None) == may
        if lease is None:
            return multiple()
        assert (lease.mapping, lease.shard, lease.owner) == (mapping, shard, owner)
        assert lease.epoch > known.epoch
        known.epoch, known.lease, known.ends = lease.epoch, lease, self.now + ttl
        self.known[mapping, shard] = known
        return lease

    @rule(lease=leases, ttl=seconds)
    def renew(self, lease: Lease, ttl: int) -> None:
        known = self.held(lease)
        if self.allowed(self.store.renew(lease, ttl), known) and known is not None:
            known.ends = self.now + ttl

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        self.run(self.store.release(lease))
        known = self.held(lease)
        if known is not None:
            known.lease = None

    @rule(lease=leases)
    def finish(self, lease: Lease) -> None:
        known = self.held(lease)
        if self.allowed(self.store.finish(lease), known) and known is not None:
            known.finished, known.lease = True, None

    @rule(lease=leases)
    def load(self, lease: Lease) -> None:
        known = self.held(lease)
        if known is None:
            self.allowed(self.store.load(lease), known)
        else:
            assert self.run(self.store.load(lease)) == known.checkpoint

    @rule(lease=leases, to=checkpoints)
    def advance(self, lease: Lease, to: Checkpoint) -> None:
        known = self.held(lease)
        if known is None:
            self.allowed(self.store.advance(lease, to), known)
            return
        forward = known.checkpoint is None or to.position >= known.checkpoint.position
        assert self.run(self.store.advance(lease, to)) == forward
        if forward:
            known.checkpoint = to

    @rule(mapping=mappings, stream=streams, shard=shards, to=st.none() | checkpoints, flags=st.tuples(*[st.booleans()] * 4))
    def rewrite(
        self, mapping: MappingId, stream: StreamId, shard: ShardId, to: Checkpoint | None, flags: tuple[bool, bool, bool, bool]
    ) -> None:
        finished, fence, moved, stale = flags
        known = self.known.get((mapping, shard))
        seen = None if known is None else known.state(self.now)
        wish = Rewrite(seen=None if stale else seen, to=to, finished=finished, fence=fence, moved=moved)
        held = known is not None and known.holder(self.now) is not None
        may = self.streams.get(mapping, stream) == stream and (known is None or not stale) and (fence or not held)
        assert self.run(self.store.rewrite(mapping, stream, {shard: wish})) == may
        if may:
            self.streams[mapping] = stream
            self.known[mapping, shard] = Known(checkpoint=to, finished=finished, epoch=known.epoch + 1 if known else 1)

    @rule(mapping=mappings, fence=st.booleans())
    def forget(self, mapping: MappingId, *, fence: bool) -> None:
        ours = {key: known for key, known in self.known.items() if key[0] == mapping}
        may = fence or all(known.holder(self.now) is None for known in ours.values())
        assert self.run(self.store.forget(mapping, fence=fence)) == may
        if may:
            self.streams.pop(mapping, None)
            self.known = {key: known for key, known in self.known.items() if key not in ours}

    @rule(passed=seconds)
    def elapse(self, passed: int) -> None:
        self.run(self.stores.elapse(passed))
        self.now += passed

    @rule()
    def connect_anew(self) -> None:
        self.run(self.open.pop().__aexit__(None, None, None))
        self.open.append(self.connect())

    @rule()
    def empty(self) -> None:
        self.run(self.stores.empty())
        self.streams.clear()
        self.known.clear()

    @invariant()
    def the_store_knows_what_the_model_knows(self) -> None:
        for mapping in (MAPPING, OTHER_MAPPING):
            assert self.run(self.store.stream(mapping)) == self.streams.get(mapping)
            assert self.run(self.store.shards(mapping)) == {
                shard: known.state(self.now) for (of, shard), known in self.known.items() if of == mapping
            }
        assert self.run(self.store.mappings()) == self.streams

    def allowed(self, call: Awaitable[object], known: Known | None) -> bool:
        """Makes a call that only the holder of a lease may make; whether it went through."""
        if known is not None:
            self.run(call)
            return True
        with pytest.raises(LeaseLost):
            self.run(call)
        return False
