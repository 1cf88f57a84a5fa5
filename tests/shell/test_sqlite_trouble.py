"""The SQLite store in trouble: locked out, without rights, without space. It says so, and works again afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from contract.store_processes import does_it, kill, line, other_process, run_child, tell
from contract.store_world import MAPPING, STREAM, acquired, at, enrolled

from poller.clock import SystemClock
from poller.core.model import Checkpoint, Lease, ShardId
from poller.errors import ConfigError, Unavailable
from poller.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARDS = [ShardId(f"shard-{number}") for number in range(4)]
NOBODY = 65534


# ------------------------------------------------------------------------------------------------------------- the write lock


async def hold_the_write_lock(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        sys.stdin.readline()
        connection.execute("COMMIT")
        print("unlocked", flush=True)


async def hold_the_whole_file(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("COMMIT")
        print("locked", flush=True)
        sys.stdin.readline()


async def test_a_write_waits_for_another_process_that_is_writing_and_the_loop_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    async with SqliteStore(path, SystemClock(), busy_timeout=60) as store:
        await enrolled(store)
        lease = await acquired(store)
        with other_process(hold_the_write_lock, path) as child:
            assert line(child) == "locked"
            async with asyncio.TaskGroup() as group:
                advancing = group.create_task(store.advance(lease, at(1)))
                for _ in range(100):
                    await asyncio.sleep(0)
                assert not advancing.done()
                tell(child)
            assert advancing.result()
            assert line(child) == "unlocked"


async def test_a_write_that_waits_too_long_is_unavailable_and_works_later(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    async with SqliteStore(path, SystemClock(), busy_timeout=0.05) as store:
        await enrolled(store)
        lease = await acquired(store)
        with other_process(hold_the_write_lock, path) as child:
            assert line(child) == "locked"
            for number in (1, 2):
                with pytest.raises(Unavailable) as caught:
                    await store.advance(lease, at(number))
                assert (caught.value.operation, caught.value.kind) == ("advance", "timeout")
            tell(child)
            assert line(child) == "unlocked"
        assert await store.load(lease) is None
        assert await store.advance(lease, at(3))


async def test_a_file_that_another_process_keeps_for_itself_at_the_start_is_unavailable_at_first(tmp_path: Path) -> None:
    path = tmp_path / "poller.db"
    async with SqliteStore(path, SystemClock()) as store:
        await enrolled(store, at(1))
    with other_process(hold_the_whole_file, path) as child:
        assert line(child) == "locked"
        async with SqliteStore(path, SystemClock(), busy_timeout=0.05) as store:
            with pytest.raises(Unavailable) as caught:
                await store.stream(MAPPING)
            assert (caught.value.operation, caught.value.kind) == ("stream", "timeout")
            kill(child)
            assert await store.stream(MAPPING) == STREAM


# ------------------------------------------------------------------------------------------------------ no rights, no space


def renounce_rights() -> None:
    """Root may write everywhere: become somebody else."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


async def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        await SqliteStore(path, SystemClock()).__aenter__()
    return str(caught.value)


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


def replace_by_a_copy(path: Path, mode: int) -> None:
    aside = path.with_name("aside.db")
    path.rename(aside)
    path.write_bytes(aside.read_bytes())
    path.chmod(mode)


async def find_it_read_only_at_the_start(path: Path) -> None:
    renounce_rights()
    async with SqliteStore(path, SystemClock()) as store:
        await enrolled(store, at(1))
    allow(path, 0o444)
    assert "not writable" in await refusal(path)
    allow(path, 0o000)
    assert "not writable" in await refusal(path)
    allow(path, 0o644)
    allow(path.parent, 0o555)
    assert "not writable" in await refusal(path)
    assert "not writable" in await refusal(path.parent / "new.db")
    allow(path.parent, 0o000)
    assert "not writable" in await refusal(path)
    allow(path.parent, 0o755)
    async with SqliteStore(path, SystemClock()) as store:
        assert await store.stream(MAPPING) == STREAM


async def find_it_read_only_on_the_way(path: Path) -> None:
    renounce_rights()
    async with SqliteStore(path, SystemClock()) as store:
        await enrolled(store, at(1))
        lease = await acquired(store)
    async with SqliteStore(path, SystemClock()) as store:
        replace_by_a_copy(path, 0o444)
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await store.advance(lease, at(2))
            assert (caught.value.operation, caught.value.kind) == ("advance", "other")
            assert "not writable" in str(caught.value)
        allow(path, 0o644)
        assert await store.advance(lease, at(2))


def limit(size: int) -> None:
    """Limits the size of files, which the kernel enforces as it does the size of a disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def begin_without_space(path: Path) -> None:
    limit(0)
    async with SqliteStore(path, SystemClock()) as store:
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await store.enroll(MAPPING, STREAM, {})
            assert (caught.value.operation, caught.value.kind) == ("enroll", "other")
        limit(resource.RLIM_INFINITY)
        assert (await store.enroll(MAPPING, STREAM, {})).created


async def run_out_of_space(path: Path) -> None:
    async with SqliteStore(path, SystemClock()) as store:
        await enrolled(store)
        leases = [await acquired(store, shard=shard) for shard in SHARDS]
        for lease in leases:
            assert await store.advance(lease, at(1))
    async with SqliteStore(path, SystemClock()) as store:
        limit(40_000)
        for _ in range(2):
            await no_space_for_any(store, leases)
        assert [await store.load(lease) for lease in leases] == [at(1)] * len(leases)
        limit(resource.RLIM_INFINITY)
        for lease in leases:
            assert await store.advance(lease, at(3, bytes(50_000)))
    async with SqliteStore(path, SystemClock()) as store:
        assert [await store.load(lease) for lease in leases] == [at(3, bytes(50_000))] * len(leases)


async def no_space_for_any(store: SqliteStore, leases: list[Lease]) -> None:
    """Of writes that share a transaction with one that finds no space, none happens."""

    async def advance(lease: Lease, to: Checkpoint) -> None:
        with pytest.raises(Unavailable) as caught:
            await store.advance(lease, to)
        assert (caught.value.operation, caught.value.kind) == ("advance", "other")

    async with asyncio.TaskGroup() as group:
        for lease in leases[:-1]:
            group.create_task(advance(lease, at(2)))
        group.create_task(advance(leases[-1], at(2, bytes(50_000))))


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A path in a directory that anybody may enter and use."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name, "store")
        directory.mkdir()
        if os.geteuid() == 0:
            Path(name).chmod(0o755)
            os.chown(directory, NOBODY, NOBODY)
        yield directory / "poller.db"
        directory.chmod(0o755)


def test_a_file_or_directory_without_the_right_to_write_is_refused_at_the_start(public_path: Path) -> None:
    does_it(find_it_read_only_at_the_start, public_path)


def test_a_file_that_became_read_only_is_unavailable_until_it_can_be_written_again(public_path: Path) -> None:
    does_it(find_it_read_only_on_the_way, public_path)


def test_a_full_disk_fails_the_whole_transaction_and_works_again_when_there_is_space(tmp_path: Path) -> None:
    does_it(run_out_of_space, tmp_path / "poller.db")


def test_a_store_that_starts_on_a_full_disk_works_when_there_is_space(tmp_path: Path) -> None:
    does_it(begin_without_space, tmp_path / "poller.db")


if __name__ == "__main__":
    run_child(
        hold_the_write_lock,
        hold_the_whole_file,
        find_it_read_only_at_the_start,
        find_it_read_only_on_the_way,
        begin_without_space,
        run_out_of_space,
    )
