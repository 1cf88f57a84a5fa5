"""Which files the SQLite store takes, and what it does when its file goes away under it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from contract.store_world import MAPPING, SHARD, STREAM, TTL, A, ManualClock, acquired, at, enrolled

from poller.core.model import Checkpoint, ShardId
from poller.errors import ConfigError, LeaseLost, Unavailable
from poller.stores import sqlite_file
from poller.stores.sqlite import SqliteStore
from poller.stores.sqlite_file import APPLICATION_ID, SCHEMA_VERSION, connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "here" / "poller.db"


def store_at(path: Path) -> SqliteStore:
    return SqliteStore(path, ManualClock())


async def written(path: Path) -> None:
    """A store's file with something in it, closed."""
    path.parent.mkdir(exist_ok=True)
    async with store_at(path) as store:
        await enrolled(store, at(1))


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def put_back(aside: Path, directory: Path) -> None:
    if directory.is_dir():
        shutil.rmtree(directory)
    directory.unlink(missing_ok=True)
    aside.rename(directory)


# ------------------------------------------------------------------------------------------------------------- files refused


def nothing_in_no_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def a_file_as_directory(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"")


def a_directory(path: Path) -> None:
    path.mkdir()


def another_applications_file(path: Path) -> None:
    execute(path, "CREATE TABLE bookmarks (url)", "INSERT INTO bookmarks VALUES ('https://example.com')")


def another_applications_marked_file(path: Path) -> None:
    execute(path, "PRAGMA application_id = 252006673", "PRAGMA user_version = 1")


def a_newer_schema(path: Path) -> None:
    connect(path, 1).close()
    execute(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def no_sqlite_file(path: Path) -> None:
    path.write_text("store:\n  url: sqlite:///poller.db\n" * 100)


def a_damaged_header(path: Path) -> None:
    connect(path, 1).close()
    path.write_bytes(b"\0" * 16 + path.read_bytes()[16:])


def damaged_pages(path: Path) -> None:
    connection = connect(path, 1)
    rows = [(f"shard-{number}",) for number in range(2_000)]
    connection.execute("BEGIN")  # else each row would be synced for itself
    connection.executemany("INSERT INTO shards (mapping, shard) VALUES ('m', ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    pages = path.read_bytes()
    path.write_bytes(pages[:20_000] + b"\x5a" * 20_000 + pages[40_000:])


def a_file_cut_short(path: Path) -> None:
    damaged_pages(path)
    path.write_bytes(path.read_bytes()[:20_000])


REFUSED: dict[Callable[[Path], None], str] = {
    nothing_in_no_directory: "make it",
    a_file_as_directory: "no directory",
    a_directory: "this is a directory",
    another_applications_file: "belongs to another application: give the store the path of a new file",
    another_applications_marked_file: "belongs to another application: give the store the path of a new file",
    a_newer_schema: "schema 2, this poller knows 1): upgrade this poller",
    no_sqlite_file: "file is not a database: give the store the path of a new file",
    a_damaged_header: "put a backup in its place",
    damaged_pages: "it is damaged: stop every poller that uses it",
    a_file_cut_short: "it is damaged: stop every poller that uses it",
}
refused = pytest.mark.parametrize(("make", "remedy"), REFUSED.items(), ids=[make.__name__ for make in REFUSED])


@refused
async def test_a_file_that_can_not_be_a_store_is_refused_with_what_to_do(
    path: Path, make: Callable[[Path], None], remedy: str
) -> None:
    path.parent.mkdir()
    make(path)
    with pytest.raises(ConfigError) as caught:
        await store_at(path).__aenter__()
    assert str(caught.value).startswith(f"store {path}: ")
    assert remedy in str(caught.value)


@pytest.mark.parametrize("make", [another_applications_file, a_newer_schema, no_sqlite_file, damaged_pages])
async def test_a_refused_file_is_left_as_it_was(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path)
    before = contents(path.parent)
    with pytest.raises(ConfigError):
        await store_at(path).__aenter__()
    assert contents(path.parent) == before


@refused
async def test_a_file_that_becomes_unusable_on_the_way_is_unavailable_until_it_is_back(
    path: Path, make: Callable[[Path], None], remedy: str
) -> None:
    await written(path)
    aside = path.parent.with_name("aside")
    async with store_at(path) as store:
        lease = await acquired(store)
        assert await store.advance(lease, at(2))
        path.parent.rename(aside)
        path.parent.mkdir()
        make(path)
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await store.advance(lease, at(3))
            assert (caught.value.operation, caught.value.kind) == ("advance", "other")
            assert remedy in str(caught.value)
        put_back(aside, path.parent)
        assert await store.load(lease) == at(2)
        assert await store.advance(lease, at(3))


# ------------------------------------------------------------------------------------------------------------ files accepted


def an_empty_file(path: Path) -> None:
    path.touch()


async def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    an_empty_file(path)
    async with store_at(path) as store:
        await enrolled(store, at(1))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_who_finds_the_file_empty_and_then_made_by_a_quicker_process_takes_it_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with closing(connect(path, 1)) as connection:
        connection.execute("INSERT INTO mappings VALUES ('m', 's', 1)")
        sqlite_file._create(connection)
        assert connection.execute("SELECT * FROM mappings").fetchall() == [("m", "s", 1.0)]


def test_every_commit_is_synced_and_written_ahead(path: Path) -> None:
    path.parent.mkdir()
    with closing(connect(path, 1)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "2 is FULL"


async def test_a_relative_path_means_a_file_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with store_at(tmp_path.relative_to(tmp_path) / "poller.db") as store:
        await enrolled(store)
    assert (tmp_path / "poller.db").is_file()


async def test_a_backup_made_while_the_store_is_in_use_is_a_store(path: Path, tmp_path: Path) -> None:
    await written(path)
    copy = tmp_path / "copy.db"
    async with store_at(path) as store:
        lease = await acquired(store)
        await store.advance(lease, at(2))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        await store.advance(lease, at(3))
    async with store_at(copy) as store:
        assert await store.load(lease) == at(2)


# ----------------------------------------------------------------------------------------------------- files that go or break


async def test_a_store_whose_file_was_deleted_starts_empty_and_writes_nothing_into_the_void(path: Path) -> None:
    await written(path)
    async with store_at(path) as store:
        lease = await acquired(store)
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        with pytest.raises(LeaseLost):
            await store.advance(lease, at(2))
        assert await store.stream(MAPPING) is None
        assert await store.acquire(MAPPING, SHARD, A, TTL) is None
        await enrolled(store, at(7))
    async with store_at(path) as store:
        assert await store.stream(MAPPING) == STREAM
        assert await store.load(await acquired(store)) == at(7)


DAMAGE = "import sys; file = open(sys.argv[1], 'r+b'); file.seek(8192); file.write(b'\\x5a' * 4_000_000)"


async def test_damage_on_the_way_is_unavailable_and_refused_at_the_next_start(path: Path) -> None:
    path.parent.mkdir()
    shards = [ShardId(f"shard-{number}") for number in range(40)]  # more than SQLite keeps in memory
    async with store_at(path) as store:
        await store.enroll(MAPPING, STREAM, dict.fromkeys(shards, Checkpoint(extra=bytes(100_000))))
    async with store_at(path) as store:
        subprocess.run([sys.executable, "-c", DAMAGE, str(path)], check=True)  # noqa: ASYNC221 - nothing else runs
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await store.shards(MAPPING)
            assert (caught.value.operation, caught.value.kind) == ("shards", "other")
    with pytest.raises(ConfigError, match="damaged"):
        await store_at(path).__aenter__()
