"""The SQLite store between real processes: killed in the middle, taking over, making the file at the same time."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from contract.store_processes import kill, line, other_process, run_child, tell
from contract.store_world import MAPPING, SHARD, STREAM, A, B, at, enrolled

from poller.clock import SystemClock
from poller.core.model import ShardId
from poller.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.model import Lease

SHARDS = [ShardId(f"shard-{number}") for number in range(4)]
LONG = 1_000.0


class ShiftedClock(SystemClock):
    """The system's clock, `shift` seconds later."""

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def monotonic(self) -> float:
        return super().monotonic() + self.shift


# ------------------------------------------------------------------------------------------------------------------ kill -9


async def advance_for_ever(path: Path) -> None:
    """Takes the shards over where they are and goes on; says each position once the store has it."""

    async def advance(store: SqliteStore, shard: ShardId) -> None:
        lease = await store.acquire(MAPPING, shard, A, LONG)
        assert lease is not None
        checkpoint = await store.load(lease)
        number = 0 if checkpoint is None else int(checkpoint.extra)
        while True:
            number += 1
            assert await store.advance(lease, at(number, b"%d" % number))
            print(shard, number, flush=True)

    async with SqliteStore(path, SystemClock()) as store, asyncio.TaskGroup() as group:
        await store.enroll(MAPPING, STREAM, {})
        for shard in SHARDS:
            group.create_task(advance(store, shard))


def kill_while_it_advances(path: Path, lines: int) -> dict[str, int]:
    """The furthest positions that a process was told it had, when it was killed with -9 after so many of them."""
    with other_process(advance_for_ever, path) as child:
        said = [line(child) for _ in range(lines)]
        said += kill(child)
    return {shard: int(number) for shard, number in (one.split() for one in said)}


async def test_kill_9_in_the_middle_of_advancing_loses_no_acknowledged_position(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    last = dict.fromkeys(SHARDS, 0)
    for lines in (200, 333, 57):
        acknowledged = await asyncio.to_thread(kill_while_it_advances, path, lines)
        async with SqliteStore(path, SystemClock()) as store:
            stored = await store.shards(MAPPING)
        for shard in SHARDS:
            checkpoint = stored[shard].checkpoint
            assert checkpoint is not None
            reached = int(checkpoint.extra)
            assert checkpoint == at(reached, checkpoint.extra)
            assert reached >= acknowledged.get(shard, 0)
            assert reached > last[shard], "this round wrote nothing, so it showed nothing"
            last[shard] = reached


# ------------------------------------------------------------------------------------------------- leases over process borders


async def acquire_and_wait(path: Path) -> None:
    async with SqliteStore(path, SystemClock()) as store:
        await enrolled(store, at(3))
        lease = await store.acquire(MAPPING, SHARD, A, LONG)
        assert lease is not None
        print(lease.epoch, flush=True)
        sys.stdin.readline()


async def take_over(path: Path, shift: float) -> Lease | None:
    """Tries to take the lease, by a clock that is `shift` seconds ahead."""
    async with SqliteStore(path, ShiftedClock(shift)) as store:
        return await store.acquire(MAPPING, SHARD, B, LONG)


def leased_by_a_process_that_was_killed(path: Path) -> int:
    with other_process(acquire_and_wait, path) as child:
        return int(line(child))


async def test_the_lease_of_a_killed_process_lasts_its_time_by_the_clock_of_the_host(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    epoch = await asyncio.to_thread(leased_by_a_process_that_was_killed, path)
    assert await take_over(path, 0) is None
    assert await take_over(path, LONG / 2) is None
    heir = await take_over(path, LONG)
    assert heir is not None
    assert heir.epoch > epoch
    async with SqliteStore(path, SystemClock()) as store:
        assert await store.load(heir) == at(3)


async def test_a_lease_from_before_a_reboot_is_over(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    await asyncio.to_thread(leased_by_a_process_that_was_killed, path)
    assert await take_over(path, -10 * LONG) is not None


async def test_a_process_that_reads_its_clock_late_does_not_take_a_fresh_lease_for_one_from_before_a_reboot(
    tmp_path: Path,
) -> None:
    path = tmp_path / "poller.db"
    await asyncio.to_thread(leased_by_a_process_that_was_killed, path)
    assert await take_over(path, -LONG / 2) is None


# -------------------------------------------------------------------------------------------------------- many make the file


async def enroll_when_told(path: Path) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    async with SqliteStore(path, SystemClock()) as store:
        enrolment = await store.enroll(MAPPING, STREAM, {SHARD: at(os.getpid())})
    print(enrolment.created, os.getpid(), flush=True)


async def test_processes_that_make_the_file_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    with (
        other_process(enroll_when_told, path) as one,
        other_process(enroll_when_told, path) as two,
        other_process(enroll_when_told, path) as three,
    ):
        children = (one, two, three)
        assert [line(child) for child in children] == ["ready"] * 3
        for child in children:
            tell(child)
        answers = [line(child).split() for child in children]
    assert sorted(created for created, _ in answers) == ["False", "False", "True"]
    (winner,) = [int(process) for created, process in answers if created == "True"]
    async with SqliteStore(path, SystemClock()) as store:
        (shard,) = (await store.shards(MAPPING)).values()
        assert shard.checkpoint == at(winner)


if __name__ == "__main__":
    run_child(advance_for_ever, acquire_and_wait, enroll_when_told)
