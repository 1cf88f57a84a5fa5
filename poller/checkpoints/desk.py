"""Where commands on checkpoints work: the store of a configuration, and the mappings that it knows."""

from __future__ import annotations

import difflib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from poller.config import StreamMappingConfig
from poller.config.event_source import default_uuid
from poller.errors import PollerError
from poller.stores.memory import MemoryContents, MemoryStore
from poller.wiring import STORES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from poller.config import Config, StoreConfig
    from poller.core.model import MappingId, StreamId
    from poller.edits import EditableStore
    from poller.ports import Clock

MOST_NAMED: Final = 8
"""Names in a message, at the most."""


class CannotDo(PollerError):
    """The store cannot be asked, or not for this; the message says what to do."""


class Unknown(PollerError):
    """There is nothing of this name; the message says what there is."""


class Refused(PollerError):
    """Things are not as the operator thinks, or it would do harm; nothing was changed, and the message says what is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A mapping whose checkpoints are meant.

    Attributes:
        name: as configured; None: no mapping of the configuration has this UUID.
        reads: the ARN of the stream that the configuration names for it; None as above.
    """

    uuid: MappingId
    name: str | None = None
    reads: str | None = None

    @property
    def shown(self) -> str:
        """For people."""
        return self.name or self.uuid


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a command works.

    Attributes:
        known: what the store has enrolled.
        say: tells people something beside the answer: one line, without its end.
    """

    config: Config
    store: EditableStore
    known: dict[MappingId, StreamId]
    clock: Clock
    say: Callable[[str], None]

    def target(self, text: str) -> Target:
        """A mapping of the configuration or the store, by its name or UUID. Raises `Unknown`, and `CannotDo` for a queue's."""
        for each in self.config.event_source_mappings:
            if text in (each.name, each.uuid):
                if not isinstance(each, StreamMappingConfig):
                    raise CannotDo(f"mapping {each.name} reads a queue, which keeps its own books: there are no checkpoints")
                return Target(uuid=each.uuid, name=each.name, reads=each.event_source_arn)
        former = [uuid for uuid in self.known if uuid in (text, default_uuid(text))]
        if former:  # of a mapping that was renamed or taken out
            return Target(uuid=former[0])
        raise Unknown(f"no mapping {text!r}{self._hint(text)}")

    def targets(self) -> list[Target]:
        """All mappings that the store knows."""
        streams = [each for each in self.config.event_source_mappings if isinstance(each, StreamMappingConfig)]
        configured = {each.uuid: Target(uuid=each.uuid, name=each.name, reads=each.event_source_arn) for each in streams}
        return [configured.get(uuid) or Target(uuid=uuid) for uuid in self.known]  # a queue may have the name of a former stream

    def _hint(self, text: str) -> str:
        names = [each.name for each in self.config.event_source_mappings if isinstance(each, StreamMappingConfig)]
        configured = {each.uuid for each in self.config.event_source_mappings}
        return hint(text, [*names, *(uuid for uuid in self.known if uuid not in configured)])


def hint(text: str, names: Iterable[str]) -> str:
    """What to say of a name that is unknown."""
    names = sorted(names)
    if close := difflib.get_close_matches(text, names, n=1):
        return f", did you mean {close[0]!r}?"
    more = ", ..." if len(names) > MOST_NAMED else ""
    return f"; there are: {', '.join(names[:MOST_NAMED]) or 'none'}{more}"


Absent = Literal["refuse", "make", "pretend"]
"""What to do about a store that is not there yet: say so, make it, or go on with an empty one in memory, for a dry run."""


@asynccontextmanager
async def opened(config: Config, clock: Clock, say: Callable[[str], None], *, absent: Absent = "refuse") -> AsyncIterator[Desk]:
    """A desk at the configuration's store. Raises `CannotDo`, `ConfigError` and `Unavailable`."""
    async with store_of(config.store, clock, absent=absent) as store:
        yield Desk(config=config, store=store, known=await store.mappings(), clock=clock, say=say)


def store_of(config: StoreConfig, clock: Clock, *, absent: Absent = "refuse") -> EditableStore:
    """The store, not yet entered. Raises `CannotDo`."""
    if config.scheme == "memory":
        raise CannotDo(
            f"store {config.shown_url}: it is a part of the daemon's own memory, and nobody else can look into it;"
            " set store.url to sqlite:///PATH or redis://HOST"
        )
    path = config.path
    if path is not None and absent != "make" and not (path.exists() and path.stat().st_size):
        if absent == "pretend":
            return MemoryStore(MemoryContents(), clock)
        raise CannotDo(f"there is no store yet at {path}: no poller has run with this configuration")
    return STORES[config.scheme](config, clock)
