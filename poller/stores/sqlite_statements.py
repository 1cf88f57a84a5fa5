"""What each method of the port `Store` does inside a transaction of an SQLite store.

A lease holds while the row still names its owner and its epoch. The owner is compared too: a store that was emptied counts its
epochs from 1 again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.model import Checkpoint, Lease, MappingId, Position, ShardId, ShardState, StreamId
from poller.errors import LeaseLost
from poller.ports import Enrolment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.stores.sqlite_database import Transaction


def stream(transaction: Transaction, mapping: MappingId) -> StreamId | None:
    """See `Store.stream`."""
    query = "SELECT stream_arn, stream_created_at FROM mappings WHERE uuid = ?"
    row: tuple[str, float] | None = transaction.connection.execute(query, (mapping,)).fetchone()
    return None if row is None else StreamId(arn=row[0], created_at=row[1])


def enroll(transaction: Transaction, mapping: MappingId, of: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
    """See `Store.enroll`."""
    known = stream(transaction, mapping)
    if known is not None:
        return Enrolment(stream=known, created=False)
    transaction.connection.execute("INSERT INTO mappings VALUES (?, ?, ?)", (mapping, of.arn, of.created_at))
    transaction.connection.executemany(
        "INSERT INTO shards (mapping, shard, position, extra) VALUES (?, ?, ?, ?)",
        [(mapping, shard, start.position, start.extra) for shard, start in starts.items()],
    )
    return Enrolment(stream=of, created=True)


def shards(transaction: Transaction, mapping: MappingId) -> dict[ShardId, ShardState]:
    """See `Store.shards`."""
    query = "SELECT shard, owner, epoch, expires_at, ttl, position, extra, finished FROM shards WHERE mapping = ?"
    return {
        ShardId(shard): ShardState(
            checkpoint=_checkpoint(position, extra),
            finished=bool(finished),
            owner=None if _expired(expires_at, ttl, transaction.now) else owner,
            epoch=epoch,
        )
        for shard, owner, epoch, expires_at, ttl, position, extra, finished in transaction.connection.execute(query, (mapping,))
    }


def acquire(transaction: Transaction, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
    """See `Store.acquire`."""
    if stream(transaction, mapping) is None:
        return None
    state = shards(transaction, mapping).get(shard, ShardState())
    if state.finished or state.owner not in (None, owner):
        return None
    lease = Lease(mapping=mapping, shard=shard, owner=owner, epoch=state.epoch + 1)
    transaction.connection.execute(
        "INSERT INTO shards (mapping, shard, owner, epoch, expires_at, ttl) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (mapping, shard) DO UPDATE"
        " SET owner = excluded.owner, epoch = excluded.epoch, expires_at = excluded.expires_at, ttl = excluded.ttl",
        (mapping, shard, owner, lease.epoch, transaction.now + ttl, ttl),
    )
    return lease


def renew(transaction: Transaction, lease: Lease, ttl: float) -> None:
    """See `Store.renew`."""
    statement = "UPDATE shards SET expires_at = ?, ttl = ? WHERE mapping = ? AND shard = ? AND owner = ? AND epoch = ?"
    if not _changed(transaction, statement, (transaction.now + ttl, ttl, *_key(lease))):
        raise _lost(lease)


def release(transaction: Transaction, lease: Lease) -> None:
    """See `Store.release`."""
    _changed(
        transaction,
        "UPDATE shards SET owner = NULL WHERE mapping = ? AND shard = ? AND owner = ? AND epoch = ?",
        _key(lease),
    )


def load(transaction: Transaction, lease: Lease) -> Checkpoint | None:
    """See `Store.load`."""
    query = "SELECT position, extra FROM shards WHERE mapping = ? AND shard = ? AND owner = ? AND epoch = ?"
    row: tuple[str | None, bytes] | None = transaction.connection.execute(query, _key(lease)).fetchone()
    if row is None:
        raise _lost(lease)
    return _checkpoint(*row)


def advance(transaction: Transaction, lease: Lease, to: Checkpoint) -> bool:
    """See `Store.advance`."""
    statement = (
        "UPDATE shards SET position = ?, extra = ? WHERE mapping = ? AND shard = ? AND owner = ? AND epoch = ?"
        " AND (position IS NULL OR position <= ?)"
    )
    if _changed(transaction, statement, (to.position, to.extra, *_key(lease), to.position)):
        return True
    load(transaction, lease)  # raises where the lease was the reason
    return False


def finish(transaction: Transaction, lease: Lease) -> None:
    """See `Store.finish`."""
    statement = "UPDATE shards SET finished = 1, owner = NULL WHERE mapping = ? AND shard = ? AND owner = ? AND epoch = ?"
    if not _changed(transaction, statement, _key(lease)):
        raise _lost(lease)


def _expired(expires_at: float, ttl: float, now: float) -> bool:
    """Whether a lease that ends at `expires_at`, a monotonic reading, is over.

    That clock starts anew with the host. A lease that ends further ahead than it ever lasted is therefore of an earlier boot, and
    its holder is gone. It is given its duration twice, because a process may read its clock a little late (an event loop's time
    is that of its last turn), and a fresh lease must not look like an old one to it.
    """
    return expires_at <= now or expires_at > now + 2 * ttl


def _checkpoint(position: str | None, extra: bytes) -> Checkpoint | None:
    return None if position is None else Checkpoint(position=Position(position), extra=extra)


def _key(lease: Lease) -> tuple[MappingId, ShardId, str, int]:
    return lease.mapping, lease.shard, lease.owner, lease.epoch


def _changed(transaction: Transaction, statement: str, values: tuple[object, ...]) -> bool:
    return transaction.connection.execute(statement, values).rowcount > 0


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"{lease.owner} no longer holds {lease.shard} of mapping {lease.mapping} (epoch {lease.epoch})")
