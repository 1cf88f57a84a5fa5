"""The SQLite store's one thread: what is called at once is committed at once, and nothing that goes wrong there is lost."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from contract.store_world import MAPPING, STREAM, ManualClock, acquired, all_of, at, enrolled

from poller.core.model import Lease, ShardId
from poller.errors import ConfigError, LeaseLost
from poller.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


class BrokenClock(ManualClock):
    """Raises a defect's exception while `broken`."""

    broken = False

    def monotonic(self) -> float:
        if self.broken:
            raise ZeroDivisionError("planned")
        return super().monotonic()


class GatedClock(ManualClock):
    """Stops the store's thread inside a transaction: `arrived` says that it got there, `open` lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def monotonic(self) -> float:
        self.arrived.set()
        assert self.open.wait(60)
        return super().monotonic()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "poller.db"


async def some_leases(store: SqliteStore, number: int) -> list[Lease]:
    await enrolled(store)
    leases = await all_of(*(acquired(store, shard=ShardId(f"shard-{index}")) for index in range(number)))
    return [lease for lease in leases if isinstance(lease, Lease)]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sqlite-store")]


def join_threads() -> None:
    for thread in threads():
        thread.join(60)


async def test_a_thousand_advances_at_once_take_a_few_commits(path: Path) -> None:
    async with SqliteStore(path, ManualClock()) as store:
        leases = await some_leases(store, 1_000)
        before = store.commits
        answers = await all_of(*(store.advance(lease, at(1)) for lease in leases))
        assert answers == [True] * 1_000
        assert 1 <= store.commits - before <= 10


async def test_advances_one_after_the_other_take_a_commit_each(path: Path) -> None:
    async with SqliteStore(path, ManualClock()) as store:
        (lease,) = await some_leases(store, 1)
        before = store.commits
        for number in range(10):
            assert await store.advance(lease, at(number))
        assert store.commits - before == 10


async def test_what_is_called_while_a_transaction_runs_shares_the_next_one(path: Path) -> None:
    clock = GatedClock()
    async with SqliteStore(path, clock) as store:
        leases = await some_leases(store, 21)
        clock.arrived.clear()
        clock.open.clear()
        before = store.commits
        async with asyncio.TaskGroup() as group:
            group.create_task(store.advance(leases[0], at(1)))
            await asyncio.to_thread(clock.arrived.wait)
            for lease in leases[1:]:
                group.create_task(store.advance(lease, at(1)))
                await asyncio.sleep(0)
            clock.open.set()
        assert store.commits - before == 2


async def test_in_one_transaction_each_call_is_judged_on_its_own(path: Path) -> None:
    async with SqliteStore(path, ManualClock()) as store:
        one, two, three, four = await some_leases(store, 4)
        await store.release(two)
        await store.advance(three, at(9))
        before = store.commits
        answers = await all_of(
            store.advance(one, at(1)), store.advance(two, at(1)), store.advance(three, at(1)), store.finish(four)
        )
        assert store.commits - before == 1
        assert answers[0] is True
        assert isinstance(answers[1], LeaseLost)
        assert answers[2] is False
        assert (await store.shards(MAPPING))[four.shard].finished


async def test_a_caller_that_gives_up_while_its_transaction_runs_takes_nobody_along(path: Path) -> None:
    clock = GatedClock()
    async with SqliteStore(path, clock) as store:
        one, two = await some_leases(store, 2)
        clock.arrived.clear()
        clock.open.clear()
        async with asyncio.TaskGroup() as group:
            impatient = group.create_task(store.advance(one, at(1)))
            patient = group.create_task(store.advance(two, at(1)))
            await asyncio.to_thread(clock.arrived.wait)
            impatient.cancel()
            with pytest.raises(asyncio.CancelledError):
                await impatient
            clock.open.set()
        assert patient.result()
        assert await store.advance(one, at(2))


async def test_a_defect_in_the_thread_reaches_everybody_who_waits_and_undoes_their_transaction(path: Path) -> None:
    clock = BrokenClock()
    async with SqliteStore(path, clock) as store:
        leases = await some_leases(store, 3)
        clock.broken = True
        answers = await all_of(*(store.advance(lease, at(1)) for lease in leases))
        assert [type(answer) for answer in answers] == [ZeroDivisionError] * 3
        clock.broken = False
        assert [await store.load(lease) for lease in leases] == [None] * 3
        assert await store.advance(leases[0], at(1))


async def test_a_call_that_sqlite_can_not_carry_out_is_a_defect_and_not_an_outage(path: Path) -> None:
    async with SqliteStore(path, ManualClock()) as store:
        (lease,) = await some_leases(store, 1)
        impossible = Lease(mapping=MAPPING, shard=lease.shard, owner=lease.owner, epoch=2**63)
        with pytest.raises(OverflowError):
            await store.advance(impossible, at(1))
        assert await store.advance(lease, at(1))


async def test_leaving_waits_for_what_was_called_and_ends_the_thread_and_the_log(path: Path) -> None:
    clock = GatedClock()
    store = SqliteStore(path, clock)
    async with asyncio.TaskGroup() as group:
        async with store:
            leases = await some_leases(store, 10)
            clock.arrived.clear()
            clock.open.clear()
            calls = [group.create_task(store.advance(leases[0], at(1)))]
            await asyncio.to_thread(clock.arrived.wait)
            calls += [group.create_task(store.advance(lease, at(1))) for lease in leases[1:]]
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(clock.open.set)
        assert all(call.done() and call.result() for call in calls)
    assert threads() == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    async with store:
        assert [await store.load(lease) for lease in leases] == [at(1)] * 10


async def test_a_leave_that_is_cancelled_still_writes_and_closes(path: Path) -> None:
    clock = GatedClock()
    store = await SqliteStore(path, clock).__aenter__()
    (lease,) = await some_leases(store, 1)
    clock.arrived.clear()
    clock.open.clear()
    async with asyncio.TaskGroup() as group:
        call = group.create_task(store.advance(lease, at(1)))
        await asyncio.to_thread(clock.arrived.wait)
        leaving = group.create_task(store.__aexit__(None, None, None))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        clock.open.set()
    assert call.result()
    await asyncio.to_thread(join_threads)
    assert threads() == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_a_store_is_of_no_use_outside_of_its_context(path: Path) -> None:
    store = SqliteStore(path, ManualClock())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="outside of its context"):
            await store.stream(MAPPING)
        async with store:
            await store.enroll(MAPPING, STREAM, {})


async def test_a_refused_start_leaves_no_thread_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await SqliteStore(tmp_path, ManualClock()).__aenter__()
    await asyncio.to_thread(join_threads)
    assert threads() == []
