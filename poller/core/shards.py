"""Which shards may be read, and where a mapping begins in each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from poller.core.extra import Extra, pack, unpack
from poller.core.model import BEGINNING, Checkpoint, Start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.core.model import Shard, ShardId, ShardState

TRIM_HORIZON = Start(type="TRIM_HORIZON")


def readable(
    shards: Sequence[Shard], states: Mapping[ShardId, ShardState], missing: Sequence[ShardId] = ()
) -> tuple[ShardId, ...]:
    """Shards that are not finished and whose parents all are; a parent that is neither known nor missing counts as finished."""
    finished = {shard for shard, state in states.items() if state.finished}
    open_parents = {shard.id for shard in shards}.union(missing) - finished
    return tuple(shard.id for shard in shards if shard.id not in finished and open_parents.isdisjoint(shard.parents))


class Family:
    """The shards of a stream as far as they are known: those that it listed last, and those that parents have named since."""

    def __init__(self) -> None:
        self._listed: tuple[Shard, ...] = ()
        self._named: dict[ShardId, Shard] = {}

    @property
    def known(self) -> tuple[Shard, ...]:
        """All of them, each once."""
        return self._listed + tuple(self._named.values())

    def list(self, shards: Sequence[Shard]) -> None:
        """What the stream says. A child that it does not list yet, which happens, stays known by its parents' word.

        A list comes in pages, so a shard may be in it twice.
        """
        self._listed = tuple({shard.id: shard for shard in shards}.values())
        for shard in shards:
            self._named.pop(shard.id, None)

    def name(self, children: Sequence[Shard]) -> None:
        """What a parent says at its end. The child of a merge is named by both, and waits for both."""
        for child in children:
            if all(child.id != shard.id for shard in self._listed):
                before = self._named.get(child.id, child).parents
                self._named[child.id] = replace(child, parents=tuple(dict.fromkeys(before + child.parents)))

    def missing(self, states: Mapping[ShardId, ShardState]) -> tuple[ShardId, ...]:
        """Shards that are not finished, and that the stream lists no more: retention may have taken them.

        The store knows them, or they are parents of a shard that it does not know: that one is younger than the mapping, so
        they were there to be read. What was over before the mapping began is not missing.
        """
        known = {shard.id for shard in self.known}
        ours = [shard for shard, state in states.items() if not state.finished]
        theirs = [parent for shard in self.known if shard.id not in states for parent in shard.parents if parent not in states]
        return tuple(shard for shard in dict.fromkeys(ours + theirs) if shard not in known)


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
