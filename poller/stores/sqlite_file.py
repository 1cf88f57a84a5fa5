"""Opening the file of an SQLite store: what is ours is checked, what is new is made, everything else is refused untouched."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID = 0x706F6C6C
"""Marks a file as ours in its header: "poll" in ASCII."""

SCHEMA_VERSION = 1
"""The newest schema that this poller knows, kept as `user_version` in the header."""

_SCHEMA = (
    """
    CREATE TABLE mappings (
        uuid TEXT PRIMARY KEY,
        stream_arn TEXT NOT NULL,
        stream_created_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    # Positions are TEXT: 70 digits fit no number, and SQLite orders TEXT as Python orders strings.
    """
    CREATE TABLE shards (
        mapping TEXT NOT NULL,
        shard TEXT NOT NULL,
        owner TEXT,
        epoch INTEGER NOT NULL DEFAULT 0,
        expires_at REAL NOT NULL DEFAULT 0,
        ttl REAL NOT NULL DEFAULT 0,
        position TEXT,
        extra BLOB,
        finished INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (mapping, shard)
    ) WITHOUT ROWID
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

_OTHER_PATH = "give the store the path of a new file"
_CORRUPT = "it is damaged: stop every poller that uses it, move it away with its -wal and -shm, and put a backup in its place"
_NOT_WRITABLE = "let this user write the file, its -wal and -shm beside it, and their directory"

_REMEDIES = {
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_NOTADB: f"{_OTHER_PATH}, or, if this was the store, {_CORRUPT}",
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_PERM: _NOT_WRITABLE,
}
"""What will not pass by itself, by primary result code, and what to do."""


def connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    """Opens a store's file, or makes it: in WAL mode, every commit synced, no transaction begun by itself.

    Raises `ConfigError`, which says what to do, where the file can never work as it is: no such directory, not writable, damaged,
    not ours, of a newer poller. Raises `sqlite3.Error` where it may work later: locked, disk full.
    """
    _check_place(path)
    with ExitStack() as on_failure, _refused(path):
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
        on_failure.callback(connection.close)
        is_new = _check_identity(connection, path)
        if not is_new:
            _check_sound(connection, path)
        _set_modes(connection, path)
        if is_new:
            _create(connection)
        on_failure.pop_all()
        return connection


def error_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 where the error is not SQLite's but of the module around it."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if error_code(error) in _REMEDIES:
            raise ConfigError(f"store {path}: {error}: {_REMEDIES[error_code(error)]}") from error
        raise


def _check_place(path: Path) -> None:
    directory = path.parent
    if not os.access(directory, os.F_OK) or not directory.is_dir():
        raise ConfigError(f"store {path}: there is no directory {directory}: make it, or give another path")
    if not os.access(directory, os.W_OK | os.X_OK) or (os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK)):
        raise ConfigError(f"store {path}: not writable: {_NOT_WRITABLE}")
    if path.is_dir():
        raise ConfigError(f"store {path}: this is a directory: give the path of a file in it")


def _check_identity(connection: sqlite3.Connection, path: Path) -> bool:
    """Refuses a file that is not ours. True where it is empty. Reads only: another application's file stays as it was."""
    connection.execute("BEGIN")  # one view of the three: another process may just be making the file
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    connection.execute("COMMIT")
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != APPLICATION_ID:
        raise ConfigError(f"store {path}: this SQLite file belongs to another application: {_OTHER_PATH}")
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"store {path}: written by a newer poller (schema {version}, this poller knows {SCHEMA_VERSION}): upgrade this poller"
        )
    return False


def _check_sound(connection: sqlite3.Connection, path: Path) -> None:
    finding: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise ConfigError(f"store {path}: {' '.join(finding.split())}: {_CORRUPT}")


def _set_modes(connection: sqlite3.Connection, path: Path) -> None:
    mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise ConfigError(f"store {path}: this file system cannot share memory between processes: use a disk of this host")
    connection.execute("PRAGMA synchronous = FULL")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _number(connection, "PRAGMA user_version") == 0:  # else another process was quicker
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, query: str) -> int:
    number: int = connection.execute(query).fetchone()[0]
    return number
