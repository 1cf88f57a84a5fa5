"""Puts the question to the store and to the daemon. Either may be silent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final

from poller.checkpoints.desk import CannotDo, store_of
from poller.config import StreamMappingConfig
from poller.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from poller.config import Config
    from poller.core.model import MappingId, ShardId, ShardState, StreamId
    from poller.ports import Clock

PATIENCE: Final = 5.0
"""Seconds that a daemon may take."""

PATH: Final = "/status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the store knows.

    Attributes:
        streams: with which stream each mapping was enrolled.
        shards: of the configuration's mappings.
        problem: why it could not be asked; None: it could.
    """

    streams: dict[MappingId, StreamId] = field(default_factory=dict)
    shards: dict[MappingId, dict[ShardId, ShardState]] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the daemon said.

    Attributes:
        at: where it was asked; None: it has no listener.
        document: see `poller.overview`; None where there is no answer.
        problem: why not.
    """

    at: str | None
    document: dict[str, Any] | None = None
    problem: str | None = None


async def ask_store(config: Config, clock: Clock) -> Stored:
    """All that it knows of the configuration's mappings."""
    uuids = [each.uuid for each in config.event_source_mappings if isinstance(each, StreamMappingConfig)]
    try:
        async with store_of(config.store, clock) as store:
            streams = {uuid: stream for uuid in uuids if (stream := await store.stream(uuid)) is not None}
            return Stored(streams=streams, shards={uuid: await store.shards(uuid) for uuid in streams})
    except (CannotDo, ConfigError) as error:
        return Stored(problem=str(error))
    except Unavailable as error:
        return Stored(problem=f"{config.store.shown_url}: {error}")


def ask_daemon(config: Config, address: tuple[str, int] | None) -> Answered:
    """What the daemon of this configuration says, on this machine unless an `address` is given. No proxy, no redirect."""
    if address is None:
        if config.http.listen is None:
            return Answered(at=None, problem="it has no listener (http.listen is null)")
        address = reachable(config.http.listen)
    at = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    connection = HTTPConnection(*address, timeout=PATIENCE)
    try:
        connection.request("GET", PATH, headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:  # noqa: PLR2004  (OK)
            return Answered(at=at, problem=f"{PATH} answers {response.status}")
        document = json.loads(body)
    except (OSError, HTTPException, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        return Answered(at=at, problem=said[:1].lower() + said[1:])
    finally:
        connection.close()
    if not (isinstance(document, dict) and isinstance(document.get("mappings"), list)):
        return Answered(at=at, problem="what answers there is no poller")
    return Answered(at=at, document=document)


def reachable(listen: str) -> tuple[str, int]:
    """Host and port to connect to for a listener's address: any address of this machine is its loopback."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104  (nothing is bound here)
