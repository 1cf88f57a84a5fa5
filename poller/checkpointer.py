"""Makes the settled durable: one serial writer of checkpoints for each leased shard.

At once when nothing else is in flight; while a write is under way later settlements gather into the next one. What is settled
but not durable is bounded, and with it the duplicates after a crash.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from poller.core.extra import Unreadable, unpack
from poller.core.model import BEGINNING, Checkpoint
from poller.core.numbers import numbered
from poller.core.remembered import Remembered
from poller.errors import CheckpointUnreadable, LeaseLost, Unavailable
from poller.retry import transport_wait

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from poller.core.model import Lease, Position, ShardId
    from poller.observe.mapping import MappingObserver
    from poller.ports import Rng, Store

MAX_PENDING = 10_000
"""Records that may be settled and not durable before settling waits."""


class Checkpointer:
    """Writes the newest position of one shard, and what it remembers beside it, for as long as `run` runs.

    Attributes:
        remembered: what is written with the position, as of the moment in which the write begins.
        durable: the last position that the store has confirmed.
    """

    def __init__(
        self, store: Store, lease: Lease, observe: MappingObserver, rng: Rng, remembered: Remembered | None = None
    ) -> None:
        self._store = store
        self._lease = lease
        self._observe = observe
        self._rng = rng
        self.remembered = remembered or Remembered()
        self._wanted = self.remembered.position
        self._changes = 0
        self._durable_changes = 0
        self._pending = 0
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self.durable = self.remembered.position

    @property
    def settled(self) -> Position:
        """How far the shard is done, durably or not."""
        return self._wanted

    def advance(self, to: Position, records: int) -> None:
        """Everything up to `to` is settled, `records` more than before."""
        self._wanted = to
        self._pending += records
        self.touch()

    def touch(self) -> None:
        """What is remembered has changed: it is written though the position may be where it was."""
        self._changes += 1
        self._changed.set()

    async def room(self) -> None:
        """Until less than `MAX_PENDING` records wait to become durable: usually at once."""
        while self._pending >= MAX_PENDING:
            await self._next_write()

    async def flush(self) -> None:
        """Until everything settled and remembered so far is durable."""
        goal = self._changes
        while self._durable_changes < goal:
            await self._next_write()

    async def run(self) -> None:
        """Until cancelled. Raises `LeaseLost` when the store refuses a write; everything else it tries again."""
        failures = 0
        while True:
            await self._changed.wait()
            try:
                await self._write()
            except Unavailable:
                failures += 1
                self._observe.checkpoint("error")
                await asyncio.sleep(transport_wait(failures, self._rng))
            else:
                failures = 0

    async def _write(self) -> None:
        self._changed.clear()
        position, records, changes = self._wanted, self._pending, self._changes
        try:
            await self._store.advance(self._lease, Checkpoint(position=position, extra=self.remembered.pack(position)))
        except LeaseLost:
            self._observe.checkpoint("fenced")
            raise
        except Unavailable:
            self._changed.set()
            raise
        self._observe.checkpoint("ok")
        self.durable, self._durable_changes = position, changes
        self._pending -= records
        self._written.set()

    def _next_write(self) -> Awaitable[bool]:
        self._written.clear()
        return self._written.wait()


def check_readable(left: Checkpoint | None, shard: ShardId, mapping: str) -> None:
    """Raises `CheckpointUnreadable` where what the last holder left beside the position says nothing to us."""
    if left is None:
        return
    try:
        unpack(left.extra)
    except Unreadable as error:
        at = "TRIM_HORIZON" if left.position == BEGINNING else numbered(left.position)
        raise CheckpointUnreadable(
            f"the store holds something beside the checkpoint of {shard} that this poller cannot read ({error}). Where a newer "
            f"poller has written it, run that one. Else `poller checkpoint set {mapping} {shard} {at}` writes the checkpoint "
            "anew, at this place or another; what lanes remember is lost: splits, the state of a tumbling window"
        ) from None
