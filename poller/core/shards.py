"""Which shards may be read, and where a mapping begins in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.extra import Extra, pack, unpack
from poller.core.model import BEGINNING, Checkpoint, Start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.core.model import Shard, ShardId, ShardState

TRIM_HORIZON = Start(type="TRIM_HORIZON")


def readable(shards: Sequence[Shard], states: Mapping[ShardId, ShardState]) -> tuple[ShardId, ...]:
    """Shards that are not finished and whose parents all are; a parent that the stream lists no more counts as finished."""
    listed = {shard.id for shard in shards}
    finished = {shard for shard, state in states.items() if state.finished}
    open_parents = listed - finished
    return tuple(shard.id for shard in shards if shard.id not in finished and open_parents.isdisjoint(shard.parents))


def first_checkpoint(start: Start) -> Checkpoint:
    """What the store keeps of a shard before anything of it is settled: where to begin."""
    return Checkpoint(extra=pack(Extra(start=start)))


def start_from(checkpoint: Checkpoint | None) -> Start:
    """Where the next holder begins: after the checkpoint; before the first record where the mapping said.

    A shard without any checkpoint appeared after the mapping began (a child), so nothing of it may be missed.
    """
    if checkpoint is None:
        return TRIM_HORIZON
    if checkpoint.position != BEGINNING:
        return Start(type="AFTER_SEQUENCE_NUMBER", position=checkpoint.position)
    return unpack(checkpoint.extra).start or TRIM_HORIZON
