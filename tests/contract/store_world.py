"""What the contract suite of stores needs of each kind of store, and the names it uses."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import pytest

from poller.core.model import Checkpoint, Lease, MappingId, ShardId, ShardState, StreamId, position

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from poller.edits import EditableStore
    from poller.ports import Store

MAPPING = MappingId("5b1f2f3e-0000-4000-8000-000000000001")
OTHER_MAPPING = MappingId("5b1f2f3e-0000-4000-8000-000000000002")
STREAM = StreamId(arn="arn:aws:kinesis:eu-west-1:123456789012:stream/orders", created_at=1_700_000_000.123)
OTHER_STREAM = StreamId(arn=STREAM.arn, created_at=1_800_000_000.456)
SHARD = ShardId("shardId-000000000000")
OTHER_SHARD = ShardId("shardId-000000000001")
A, B = "replica-a", "replica-b"
TTL = 10.0


class ManualClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now


class Stores(ABC):
    """Contents of one store, to connect to as often as a test likes."""

    @abstractmethod
    def connect(self) -> EditableStore:
        """Another connection to the same contents, not yet entered."""

    @abstractmethod
    async def elapse(self, seconds: float) -> None:
        """Lets time pass for leases."""

    @abstractmethod
    async def empty(self) -> None:
        """Everything stored is gone; connections stay open."""


class StoreSuite:
    """Base of the suite's parts: the fixtures they share. A kind of store overrides `stores`."""

    @pytest.fixture
    def stores(self) -> Stores:
        raise NotImplementedError


def at(number: int, extra: bytes = b"") -> Checkpoint:
    """The checkpoint at this sequence number."""
    return Checkpoint(position=position(str(number)), extra=extra)


async def acquired(store: Store, owner: str = A, *, shard: ShardId = SHARD, mapping: MappingId = MAPPING) -> Lease:
    """A lease that must be had."""
    lease = await store.acquire(mapping, shard, owner, TTL)
    assert lease is not None, f"{owner} did not get {shard}"
    return lease


async def enrolled(store: Store, start: Checkpoint | None = None) -> None:
    """The mapping is known, with a checkpoint for SHARD where one is given."""
    await store.enroll(MAPPING, STREAM, {} if start is None else {SHARD: start})


async def state(store: Store, shard: ShardId = SHARD) -> ShardState:
    """What the store says of the shard."""
    return (await store.shards(MAPPING))[shard]


async def all_of(*calls: Awaitable[object]) -> list[object]:
    """Answers of calls made at the same time, exceptions included."""
    return await asyncio.gather(*calls, return_exceptions=True)


class Lose(Protocol):
    """Makes the owner of a lease lose it."""

    async def __call__(self, stores: Stores, store: Store, lease: Lease) -> None: ...


async def _taken(stores: Stores, store: Store, lease: Lease) -> None:
    await stores.elapse(TTL)
    await acquired(store, B)


async def _released(stores: Stores, store: Store, lease: Lease) -> None:
    await store.release(lease)


async def _released_and_taken(stores: Stores, store: Store, lease: Lease) -> None:
    await store.release(lease)
    await acquired(store, B)


async def _asked_again(stores: Stores, store: Store, lease: Lease) -> None:
    await acquired(store, lease.owner)


async def _finished(stores: Stores, store: Store, lease: Lease) -> None:
    await store.finish(lease)


async def _emptied(stores: Stores, store: Store, lease: Lease) -> None:
    await stores.empty()


async def _emptied_and_taken(stores: Stores, store: Store, lease: Lease) -> None:
    await stores.empty()
    await enrolled(store)
    assert (await acquired(store, B)).epoch == lease.epoch, "the epochs must collide for this case to mean anything"


LOSING: dict[str, Lose] = {
    "expired and taken": _taken,
    "released": _released,
    "released and taken": _released_and_taken,
    "asked for again by its owner": _asked_again,
    "finished": _finished,
    "store emptied": _emptied,
    "store emptied, then taken under the same epoch": _emptied_and_taken,
}
"""Every way to lose the first lease of SHARD."""

every_way_to_lose = pytest.mark.parametrize("lose", LOSING.values(), ids=LOSING.keys())
"""Runs a test with `lose: Lose`, once for every way to lose a lease."""
