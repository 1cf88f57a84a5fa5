"""The SQLite store keeps the contract, on real files."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from contract.store_contract import StoreContract
from contract.store_machine import StoreMachine
from contract.store_world import ManualClock, Stores
from hypothesis import settings

from poller.stores.sqlite import SqliteStore


class SqliteStores(Stores):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()

    def connect(self) -> SqliteStore:
        return SqliteStore(self.path, self.clock)

    async def elapse(self, seconds: float) -> None:
        self.clock.now += seconds

    async def empty(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("DELETE FROM mappings")
            connection.execute("DELETE FROM shards")


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def stores(self, tmp_path: Path) -> Stores:
        return SqliteStores(tmp_path / "poller.db")


class SqliteMachine(StoreMachine):
    def make_stores(self) -> Stores:
        self.directory = tempfile.TemporaryDirectory()
        return SqliteStores(Path(self.directory.name) / "poller.db")

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
