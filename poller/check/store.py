"""Questions about the store. One that is not there yet is not made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, cast

from poller.core.model import MappingId
from poller.errors import ConfigError, PollerError
from poller.wiring import STORES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from redis.asyncio import Redis

    from poller.check.finding import Finding, Subject
    from poller.config import Config
    from poller.ports import Clock

NOBODY: Final = MappingId("00000000-0000-0000-0000-000000000000")
"""A mapping to ask for where the configuration has none."""

ASKED: Final = ("persistence", "memory", "replication")
"""Sections of Redis's INFO."""


async def ask_store(config: Config, clock: Clock, about: Subject) -> list[Finding]:
    """Whether the store can be used as it is."""
    shown, path = config.store.shown_url, config.store.path
    if config.store.scheme == "memory":
        return [
            about.warning(f"{shown} forgets all checkpoints at exit", "for more than trying out: sqlite:///PATH or redis://HOST")
        ]
    if path is not None and not (path.exists() and path.stat().st_size):
        return [_judge_place(path, about)]
    mapping = next((each.uuid for each in config.event_source_mappings), NOBODY)
    try:
        async with STORES[config.store.scheme](config.store, clock) as store:
            await store.stream(mapping)
    except ConfigError as error:
        return [about.failed(str(error), "see above: poller would not start")]
    except PollerError as error:
        return [about.failed(f"{shown}: {error}", "poller would start, and wait until the store answers")]
    if path is not None:
        return [about.ok(f"{shown}: the file is sound and can be written")]
    return [about.ok(f"{shown} answers"), *await _ask_server(config.store.url, about)]


def _judge_place(path: Path, about: Subject) -> Finding:
    """Of a file that `poller run` will make."""
    folder = path.parent
    if not folder.is_dir():
        return about.failed(f"{path}: there is no directory {folder}", "make it, or give another path")
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        return about.failed(f"{path} cannot be written", "let this user write the file and its directory")
    return about.ok(f"{path}: will be made; its directory can be written")


async def _ask_server(url: str, about: Subject) -> list[Finding]:
    """What the server would keep through a restart, as far as this user may know."""
    from redis.asyncio import Redis  # noqa: PLC0415  (only who has such a store waits for it)
    from redis.exceptions import RedisError  # noqa: PLC0415  (the same)

    from poller.stores.redis_servers import servers  # noqa: PLC0415  (the same)

    found = servers(url)
    client = Redis(connection_pool=found.pool)
    try:
        return list(judge_server(await _info(client), about))
    except (RedisError, OSError):
        return [about.ok("what the server keeps through a restart is not for this user to see (INFO)")]
    finally:
        await client.aclose()
        await found.pool.disconnect()
        await found.close()


async def _info(client: Redis) -> dict[str, object]:
    facts: dict[str, object] = {}
    for section in ASKED:
        facts |= cast("dict[str, object]", await client.info(section))
    return facts


def judge_server(facts: Mapping[str, object], about: Subject) -> Iterator[Finding]:
    """What is to be said of a Redis server, by its INFO."""
    if facts.get("role", "master") != "master":
        yield about.failed("the server is a replica: it takes no writes", "name the master, or use redis+sentinel://")
    if facts.get("aof_enabled") == 0:
        yield about.warning(
            "the server has no append-only file: a restart of it loses checkpoints, and mappings stop or repeat (`resume`)",
            "appendonly yes, appendfsync everysec or always",
        )
    elif "aof_enabled" in facts:
        yield about.ok("the server keeps an append-only file")
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory") and policy != "noeviction":
        yield about.warning(
            f"maxmemory-policy {policy}: a server that runs full may forget a mapping", "maxmemory-policy noeviction"
        )
