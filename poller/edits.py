"""What operators' commands ask of a store, beside what the daemon does (`ports.Store`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from poller.ports import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from poller.core.model import Checkpoint, MappingId, ShardId, ShardState, StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """What an operator makes of one shard.

    Attributes:
        seen: what the store must still say of it; None: that it knows nothing of it.
        to: what it says from then on.
        finished: the shard counts as done.
        fence: it may be held; its holder loses it.
        moved: its checkpoint may have gone on since it was seen.
    """

    seen: ShardState | None
    to: Checkpoint | None
    finished: bool = False
    fence: bool = False
    moved: bool = False

    def allowed(self, stored: ShardState | None) -> bool:
        """Whether what the store knows of the shard lets it."""
        if stored is None or self.seen is None:
            return stored is None and self.seen is None
        return (
            (stored.epoch, stored.finished) == (self.seen.epoch, self.seen.finished)
            and (self.moved or stored.checkpoint == self.seen.checkpoint)
            and (self.fence or stored.owner is None)
        )


class EditableStore(Store, Protocol):
    """A store with what operators' commands need beside: every kind of store is one, but the daemon never asks for it."""

    async def mappings(self) -> dict[MappingId, StreamId]:
        """All mappings that are enrolled."""

    async def rewrite(self, mapping: MappingId, stream: StreamId, shards: Mapping[ShardId, Rewrite]) -> bool:
        """Writes over what is known of shards, all or nothing, forward or back; enrolls the mapping where it is not known.

        False, and nothing changed, where the mapping is enrolled with another stream, where anything is not as it was seen
        (checkpoint, finished, epoch), or where a shard is held that is not to be fenced. Each shard gets a new epoch that nobody
        holds: who held it is refused at its next call.
        """

    async def forget(self, mapping: MappingId, *, fence: bool = False) -> bool:
        """Forgets the mapping and all of its shards. False, and nothing changed, where one is held, unless it is to be fenced."""
