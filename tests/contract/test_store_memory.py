"""The store in memory keeps the contract; and can be cut off and told to misbehave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from contract.store_contract import StoreContract
from contract.store_machine import StoreMachine
from contract.store_world import MAPPING, SHARD, STREAM, TTL, A, B, ManualClock, Stores, acquired, at, enrolled
from hypothesis import settings

from poller.errors import Unavailable
from poller.stores.memory import MemoryContents, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.core.model import Lease


class MemoryStores(Stores):
    def __init__(self) -> None:
        self.contents = MemoryContents()
        self.clock = ManualClock()

    def connect(self) -> MemoryStore:
        return MemoryStore(self.contents, self.clock)

    async def elapse(self, seconds: float) -> None:
        self.clock.now += seconds

    async def empty(self) -> None:
        self.contents.clear()


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def stores(self) -> Stores:
        return MemoryStores()


class MemoryMachine(StoreMachine):
    def make_stores(self) -> Stores:
        return MemoryStores()


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class Script:
    """Faults by name of operation: raises on the way in or out, or waits on the way out."""

    def __init__(self, *, before: str = "", after: str = "", hold: str = "") -> None:
        self.names = before, after, hold
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()

    async def before(self, operation: str) -> None:
        if operation == self.names[0]:
            raise Unavailable(operation, "connection", "planned")

    async def after(self, operation: str) -> None:
        if operation == self.names[1]:
            raise Unavailable(operation, "timeout", "planned")
        if operation == self.names[2]:
            self.held.set()
            await self.go_on.wait()


@pytest.fixture
def stores() -> MemoryStores:
    return MemoryStores()


def misbehaving(stores: MemoryStores, faults: Script) -> MemoryStore:
    return MemoryStore(stores.contents, stores.clock, faults)


async def test_a_fault_before_the_effect_leaves_everything_as_it_was(stores: MemoryStores) -> None:
    good, bad = stores.connect(), misbehaving(stores, Script(before="advance"))
    await enrolled(good, at(1))
    lease = await acquired(bad)
    with pytest.raises(Unavailable) as caught:
        await bad.advance(lease, at(2))
    assert (caught.value.operation, caught.value.kind) == ("advance", "connection")
    assert await good.load(lease) == at(1)


async def test_a_fault_after_the_effect_loses_the_answer_alone(stores: MemoryStores) -> None:
    good, bad = stores.connect(), misbehaving(stores, Script(after="advance"))
    await enrolled(good, at(1))
    lease = await acquired(bad)
    with pytest.raises(Unavailable) as caught:
        await bad.advance(lease, at(2))
    assert (caught.value.operation, caught.value.kind) == ("advance", "timeout")
    assert await good.load(lease) == at(2)


CALLS: dict[str, Callable[[MemoryStore, Lease], Awaitable[object]]] = {
    "stream": lambda store, _: store.stream(MAPPING),
    "enroll": lambda store, _: store.enroll(MAPPING, STREAM, {}),
    "shards": lambda store, _: store.shards(MAPPING),
    "acquire": lambda store, _: store.acquire(MAPPING, SHARD, A, TTL),
    "renew": lambda store, lease: store.renew(lease, TTL),
    "release": lambda store, lease: store.release(lease),
    "load": lambda store, lease: store.load(lease),
    "advance": lambda store, lease: store.advance(lease, at(2)),
    "finish": lambda store, lease: store.finish(lease),
    "mappings": lambda store, _: store.mappings(),
    "rewrite": lambda store, _: store.rewrite(MAPPING, STREAM, {}),
    "forget": lambda store, _: store.forget(MAPPING, fence=True),
}
every_call = pytest.mark.parametrize(("operation", "call"), CALLS.items(), ids=CALLS.keys())


@every_call
async def test_every_call_of_a_cut_connection_is_refused_and_does_nothing(
    stores: MemoryStores, operation: str, call: Callable[[MemoryStore, Lease], Awaitable[object]]
) -> None:
    store = stores.connect()
    await enrolled(store, at(1))
    lease = await acquired(store)
    before = await store.shards(MAPPING)
    store.cut()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await call(store, lease)
        assert caught.value.operation == operation
    assert await stores.connect().shards(MAPPING) == before


@every_call
async def test_every_call_can_be_made_to_fail_by_its_name(
    stores: MemoryStores, operation: str, call: Callable[[MemoryStore, Lease], Awaitable[object]]
) -> None:
    good, bad = stores.connect(), misbehaving(stores, Script(before=operation))
    await enrolled(good, at(1))
    lease = await acquired(good)
    before = await good.shards(MAPPING)
    with pytest.raises(Unavailable) as caught:
        await call(bad, lease)
    assert caught.value.operation == operation
    assert await good.shards(MAPPING) == before


async def test_a_call_under_way_when_the_connection_is_cut_keeps_its_effect_and_loses_its_answer(stores: MemoryStores) -> None:
    faults = Script(hold="advance")
    dying = misbehaving(stores, faults)
    await enrolled(dying, at(1))
    lease = await acquired(dying)

    async def caller() -> None:
        with pytest.raises(Unavailable):
            await dying.advance(lease, at(2))

    async with asyncio.TaskGroup() as group:
        group.create_task(caller())
        await faults.held.wait()
        dying.cut()
        faults.go_on.set()
    assert await stores.connect().load(lease) == at(2)


async def test_the_next_incarnation_takes_over_what_the_last_one_wrote(stores: MemoryStores) -> None:
    async with stores.connect() as dying:
        await enrolled(dying, at(1))
        lease = await acquired(dying, A)
        await dying.advance(lease, at(2))
        dying.cut()
    async with stores.connect() as heir:
        assert await heir.acquire(MAPPING, SHARD, B, TTL) is None
        await stores.elapse(TTL)
        assert await heir.load(await acquired(heir, B)) == at(2)
