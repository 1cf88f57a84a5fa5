"""How the whole process stands, for `/status`: what runs, how far it is, and what is wrong. Nothing of what records say."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from poller import __version__
from poller.core.model import BEGINNING
from poller.core.numbers import numbered
from poller.core.report import iso
from poller.observe.standing import StandingObserver, in_short

if TYPE_CHECKING:
    from poller.admin.health import Health
    from poller.config import MappingConfig
    from poller.fleet import Fleet
    from poller.observe.shards import LaneStatus, ShardStatus
    from poller.observe.standing import MappingStanding, Trouble

AT_ONCE = 200
"""Shards and lanes that are put into words before others have a turn on the loop."""


async def overview(fleet: Fleet, health: Health) -> dict[str, object]:
    """The document. Times are in ISO 8601, ages in seconds. Asks one mapping after the other, so that none keeps the loop."""
    config, world, permits = fleet.config, fleet.parts.world, fleet.parts.permits
    now = world.clock.time()
    mappings = []
    for each in config.event_source_mappings:
        mappings.append(await _mapping(each, fleet, now))
        await asyncio.sleep(0)
    functions = {name: {"in_flight": permits.in_use(name), "limit": each.concurrency} for name, each in config.functions.items()}
    return {
        "version": __version__,
        "owner": world.owner,
        "at": iso(now),
        "ready": health.ready,
        "draining": health.draining,
        "checks": health.report(),
        "store": config.store.shown_url,
        "in_flight": sum(permits.in_use(name) for name in functions),
        "concurrency_limit": config.concurrency_limit,
        "functions": functions,
        "mappings": mappings,
    }


async def _mapping(config: MappingConfig, fleet: Fleet, now: float) -> dict[str, object]:
    member = fleet.members.get(config.name)
    told: dict[str, object] = {
        "name": config.name,
        "uuid": config.uuid,
        "source": config.event_source_arn,
        "source_type": config.source_type,
        "function": config.function_name,
        "state": "Creating" if config.enabled else "Disabled",
        "last_error": _trouble(fleet.trouble(config.name), now),
        "last_success": None,
        "shards": [],
        "waiting_for_parent": 0,
        "finished": 0,
        "queue": None,
    }
    observe = None if member is None or member.made is None else member.made.work.observe
    return told | await put_in_words(observe.standing(), now) if isinstance(observe, StandingObserver) else told


async def put_in_words(standing: MappingStanding, now: float) -> dict[str, object]:
    """What the document has of a mapping that runs."""
    shards, turn = [], 0
    for each in standing.shards:
        shards.append(_shard(each))
        turn += 1 + len(each.lanes)
        if turn >= AT_ONCE:
            turn = 0
            await asyncio.sleep(0)
    return {
        "state": standing.state,
        "last_error": _trouble(standing.last_error, now),
        "last_success": None if standing.last_success is None else iso(standing.last_success),
        "shards": shards,
        "waiting_for_parent": standing.waiting_for_parent,
        "finished": standing.finished,
        "queue": None if standing.queue is None else asdict(standing.queue),
    }


def _trouble(trouble: Trouble | None, now: float) -> dict[str, object] | None:
    if trouble is None:
        return None
    return {
        "what": trouble.what,
        "kind": trouble.kind,
        "text": trouble.text,
        "times": trouble.times,
        "since": iso(trouble.first),
        "last": iso(trouble.last),
        "age": round(max(0.0, now - trouble.last), 3),
    }


def _shard(status: ShardStatus) -> dict[str, object]:
    """With ages of milliseconds; `position` null while nothing is done."""
    told = _tidy(status)
    lanes = [_tidy(lane) for lane in status.lanes]
    return told | {"position": None if status.position == BEGINNING else numbered(status.position), "lanes": lanes}


def _tidy(told: ShardStatus | LaneStatus) -> dict[str, object]:
    """Its fields. No `asdict`, which copies all the way down: a process may have thousands of these."""
    fields = ((name, getattr(told, name)) for name in told.__slots__)
    return {
        name: round(value, 3) if isinstance(value, float) else in_short(value) if isinstance(value, str) else value
        for name, value in fields
    }
