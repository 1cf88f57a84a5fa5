"""The open file of an SQLite store, as the store's one thread sees it: transactions, and opening anew after a failure."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.errors import ApiErrorKind, Unavailable
from poller.stores.sqlite_file import connect, error_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from poller.ports import Clock

_KINDS: dict[int, ApiErrorKind] = {
    sqlite3.SQLITE_BUSY: "timeout",
    sqlite3.SQLITE_LOCKED: "timeout",
    sqlite3.SQLITE_PROTOCOL: "timeout",  # lost the race for a lock too often
    sqlite3.SQLITE_FULL: "other",
    sqlite3.SQLITE_IOERR: "other",
    sqlite3.SQLITE_READONLY: "other",
    sqlite3.SQLITE_CANTOPEN: "other",
    sqlite3.SQLITE_PERM: "other",
    sqlite3.SQLITE_CORRUPT: "other",
    sqlite3.SQLITE_NOTADB: "other",
}
"""What is the file's trouble and not ours, by primary result code. Every other code is a defect and stays what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An open write transaction, and what the clock's `monotonic` said once it had the lock."""

    connection: sqlite3.Connection
    now: float


class Database:
    """The file. All methods belong to one thread; `commits` may be read from any.

    Attributes:
        commits: transactions committed so far.
    """

    def __init__(self, path: Path, clock: Clock, busy_timeout: float) -> None:
        self.commits = 0
        self._path = path.absolute()
        self._clock = clock
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def open(self) -> sqlite3.Connection:
        """Opens the file, or makes it. Raises what `sqlite_file.connect` raises."""
        self._connection = connect(self._path, self._busy_timeout)
        self._file = self._current_file()
        return self._connection

    def transact(self, steps: Sequence[Callable[[Transaction], None]]) -> None:
        """Runs all steps in one transaction. They are durable when this returns.

        When it raises they are undone, except that a commit which failed may still have happened. It raises whatever a step or
        SQLite raised. The connection is given up then: the next call opens the file anew, with all the checks of `open`.
        """
        connection = self._usable()
        try:
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection=connection, now=self._clock.monotonic())
            for step in steps:
                step(transaction)
            connection.execute("COMMIT")
        except BaseException:
            self._drop()
            raise
        self.commits += 1

    def close(self) -> None:
        """Moves the write-ahead log into the file, as far as nobody else needs it, and closes the file."""
        if self._connection is not None:
            with suppress(sqlite3.OperationalError):  # disk full, say: the log stays beside the file, just as durable
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._drop()

    def _usable(self) -> sqlite3.Connection:
        # A file that was deleted or replaced lives on, nameless, for who has it open: what is written to it is lost.
        if self._connection is not None and self._file != self._current_file():
            self._drop()
        return self._connection or self.open()

    def _current_file(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()  # undoes what is open


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turns SQLite's errors that are the file's trouble into `Unavailable`."""
    try:
        yield
    except sqlite3.Error as error:
        if error_code(error) not in _KINDS:
            raise
        raise Unavailable(operation, _KINDS[error_code(error)], str(error)) from error
