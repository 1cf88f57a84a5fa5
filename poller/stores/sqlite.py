"""A store in an SQLite file: survives crashes and power cuts, shared by the processes of one host.

A write is durable when its call returns, so each needs an fsync, which takes half a millisecond on a good disk and seconds on a
bad one. Hence one thread does all the work, never the event loop, and commits in groups: what is called while a transaction
runs goes into the next one together.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from poller.errors import ConfigError, LeaseLost, Unavailable
from poller.stores import sqlite_edits as edits
from poller.stores import sqlite_statements as statements
from poller.stores.sqlite_database import Database, Transaction, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from poller.core.model import Checkpoint, Lease, MappingId, ShardId, ShardState, StreamId
    from poller.edits import Rewrite
    from poller.ports import Clock, Enrolment

T = TypeVar("T")


class SqliteStore:
    """The port `Store` on an SQLite file.

    Entering it raises `ConfigError` where the file can never work as it is (see `sqlite_file.connect`). Where it might work
    later, because another process keeps it locked or the disk is full, entering succeeds. Every trouble of the file is then
    `Unavailable`, and the next call tries again.

    Args:
        path: the file; made where there is none, in a directory that exists, on a disk of this host.
        clock: expiries are its `monotonic()`, which every process on this host must read alike (CLOCK_MONOTONIC). It is read on
            the store's own thread.
        busy_timeout: seconds to wait for another process that is writing; then the call raises `Unavailable`, kind `timeout`.
    """

    def __init__(self, path: Path, clock: Clock, *, busy_timeout: float = 2.0) -> None:
        self._database = Database(path, clock, busy_timeout)
        self._thread: ThreadPoolExecutor | None = None
        self._next: _Group | None = None
        self._running = False

    @property
    def commits(self) -> int:
        """Transactions committed so far."""
        return self._database.commits

    async def __aenter__(self) -> Self:
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-store")
        try:
            with suppress(Unavailable), translated("open"):  # the first call tries again, and says so
                await asyncio.get_running_loop().run_in_executor(thread, self._database.open)
        except BaseException:
            thread.submit(self._database.close)
            thread.shutdown(wait=False)
            raise
        self._thread = thread
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Waits until all that was called has been written, checkpoints the write-ahead log, ends the thread."""
        thread, self._thread = self._opened(), None
        self._submit(thread)
        closed = asyncio.get_running_loop().run_in_executor(thread, self._database.close)
        thread.shutdown(wait=False)  # takes no more, does what it has, ends
        await asyncio.shield(closed)
        thread.shutdown(wait=True)

    async def stream(self, mapping: MappingId) -> StreamId | None:
        """See `Store.stream`."""
        return await self._call("stream", lambda transaction: statements.stream(transaction, mapping))

    async def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """See `Store.enroll`."""
        return await self._call("enroll", lambda transaction: statements.enroll(transaction, mapping, stream, starts))

    async def shards(self, mapping: MappingId) -> dict[ShardId, ShardState]:
        """See `Store.shards`."""
        return await self._call("shards", lambda transaction: statements.shards(transaction, mapping))

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        """See `Store.acquire`."""
        return await self._call("acquire", lambda transaction: statements.acquire(transaction, mapping, shard, owner, ttl))

    async def renew(self, lease: Lease, ttl: float) -> None:
        """See `Store.renew`."""
        await self._call("renew", lambda transaction: statements.renew(transaction, lease, ttl))

    async def release(self, lease: Lease) -> None:
        """See `Store.release`."""
        await self._call("release", lambda transaction: statements.release(transaction, lease))

    async def load(self, lease: Lease) -> Checkpoint | None:
        """See `Store.load`."""
        return await self._call("load", lambda transaction: statements.load(transaction, lease))

    async def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """See `Store.advance`."""
        return await self._call("advance", lambda transaction: statements.advance(transaction, lease, to))

    async def finish(self, lease: Lease) -> None:
        """See `Store.finish`."""
        await self._call("finish", lambda transaction: statements.finish(transaction, lease))

    async def mappings(self) -> dict[MappingId, StreamId]:
        """See `EditableStore.mappings`."""
        return await self._call("mappings", edits.mappings)

    async def rewrite(self, mapping: MappingId, stream: StreamId, shards: Mapping[ShardId, Rewrite]) -> bool:
        """See `EditableStore.rewrite`."""
        return await self._call("rewrite", lambda transaction: edits.rewrite(transaction, mapping, stream, shards))

    async def forget(self, mapping: MappingId, *, fence: bool = False) -> bool:
        """See `EditableStore.forget`."""
        return await self._call("forget", lambda transaction: edits.forget(transaction, mapping, fence=fence))

    async def _call(self, operation: str, statement: Callable[[Transaction], T]) -> T:
        call = _Call(statement)
        committed = self._join(call.run)
        try:
            with translated(operation):
                await asyncio.shield(committed)  # a caller that gives up must not take its group along
        except ConfigError as error:  # the file worked once, and can not be opened again
            raise Unavailable(operation, "other", str(error)) from error
        return call.answer()

    def _join(self, step: Callable[[Transaction], None]) -> asyncio.Future[None]:
        self._opened()
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = _Group(committed=loop.create_future())
            loop.call_soon(self._start)  # not at once: whatever else is ready on the loop joins this group
        self._next.steps.append(step)
        return self._next.committed

    def _opened(self) -> ThreadPoolExecutor:
        if self._thread is None:
            raise RuntimeError("the store is used outside of its context")
        return self._thread

    def _start(self) -> None:
        if not self._running and self._thread is not None:
            self._submit(self._thread)

    def _submit(self, thread: ThreadPoolExecutor) -> None:
        group, self._next = self._next, None
        if group is None:
            return
        self._running = True
        done = asyncio.get_running_loop().run_in_executor(thread, self._database.transact, group.steps)
        done.add_done_callback(partial(self._finished, group.committed))

    def _finished(self, committed: asyncio.Future[None], done: asyncio.Future[None]) -> None:
        self._running = False
        error = done.exception()
        if error is None:
            committed.set_result(None)
        else:
            committed.set_exception(error)
        self._start()


@dataclass(slots=True, kw_only=True)
class _Group:
    """Calls that share a transaction, and the future of its commit."""

    committed: asyncio.Future[None]
    steps: list[Callable[[Transaction], None]] = field(default_factory=list)


class _Call(Generic[T]):
    """One call's part in its group: run on the thread, answered on the loop once the group is committed.

    A lost lease is the answer to this call alone. Every other exception ends the transaction for the whole group.
    """

    def __init__(self, statement: Callable[[Transaction], T]) -> None:
        self._statement = statement
        self._answer: T | None = None
        self._lost: LeaseLost | None = None

    def run(self, transaction: Transaction) -> None:
        try:
            self._answer = self._statement(transaction)
        except LeaseLost as lost:
            self._lost = lost

    def answer(self) -> T:
        if self._lost is not None:
            raise self._lost
        return cast("T", self._answer)  # None only where T has it
