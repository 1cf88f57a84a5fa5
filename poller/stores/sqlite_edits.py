"""What operators' commands do inside a transaction of an SQLite store: the rest of the port `EditableStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.model import MappingId, StreamId
from poller.stores import sqlite_statements as statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.core.model import ShardId
    from poller.edits import Rewrite
    from poller.stores.sqlite_database import Transaction


def mappings(transaction: Transaction) -> dict[MappingId, StreamId]:
    """See `EditableStore.mappings`."""
    rows = transaction.connection.execute("SELECT uuid, stream_arn, stream_created_at FROM mappings ORDER BY uuid")
    return {MappingId(uuid): StreamId(arn=arn, created_at=created_at) for uuid, arn, created_at in rows}


def rewrite(transaction: Transaction, mapping: MappingId, of: StreamId, shards: Mapping[ShardId, Rewrite]) -> bool:
    """See `EditableStore.rewrite`."""
    known = statements.shards(transaction, mapping)
    if statements.stream(transaction, mapping) not in (None, of):
        return False
    if not all(wish.allowed(known.get(shard)) for shard, wish in shards.items()):
        return False
    statements.enroll(transaction, mapping, of, {})
    transaction.connection.executemany(
        "INSERT INTO shards (mapping, shard, epoch, position, extra, finished) VALUES (?, ?, 1, ?, ?, ?)"
        " ON CONFLICT (mapping, shard) DO UPDATE SET owner = NULL, epoch = epoch + 1,"
        " position = excluded.position, extra = excluded.extra, finished = excluded.finished",
        [
            (mapping, shard, wish.to and wish.to.position, wish.to and wish.to.extra, wish.finished)
            for shard, wish in shards.items()
        ],
    )
    return True


def forget(transaction: Transaction, mapping: MappingId, *, fence: bool) -> bool:
    """See `EditableStore.forget`."""
    if not fence and any(state.owner is not None for state in statements.shards(transaction, mapping).values()):
        return False
    transaction.connection.execute("DELETE FROM shards WHERE mapping = ?", (mapping,))
    transaction.connection.execute("DELETE FROM mappings WHERE uuid = ?", (mapping,))
    return True
