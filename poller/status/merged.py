"""One document of what the store and the daemon say, each mapping and each shard once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poller.checkpoints.spec import shown
from poller.config import StreamMappingConfig
from poller.core.model import ShardId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.config import Config, MappingConfig
    from poller.core.model import ShardState
    from poller.status.asking import Answered, Stored

Fields = dict[str, Any]

ASIDE = ("mappings", "functions")
"""Of the daemon's document: told elsewhere."""


def merged(config: Config, mappings: Sequence[MappingConfig], stored: Stored, answered: Answered) -> Fields:
    """For programs. What only a daemon knows is null where none answered."""
    daemon = answered.document
    told = {each["name"]: each for each in daemon["mappings"]} if daemon else {}
    return {
        "store": {"url": config.store.shown_url, "problem": stored.problem},
        "daemon": {
            "address": answered.at,
            "problem": answered.problem,
            **{key: value for key, value in (daemon or {}).items() if key not in ASIDE},
        },
        "functions": (daemon or {}).get("functions"),
        "mappings": [_mapping(each, stored, told.get(each.name)) for each in mappings],
    }


def _mapping(config: MappingConfig, stored: Stored, told: Fields | None) -> Fields:
    fields: Fields = {
        "name": config.name,
        "uuid": config.uuid,
        "source": config.event_source_arn,
        "source_type": config.source_type,
        "function": config.function_name,
        "state": None if config.enabled else "Disabled",
        "last_error": None,
        "last_success": None,
        "waiting_for_parent": None,
        "finished": None,
        "queue": None,
    } | {key: value for key, value in (told or {}).items() if key != "shards"}
    if isinstance(config, StreamMappingConfig):
        stream = stored.streams.get(config.uuid)
        states = stored.shards.get(config.uuid, {})
        fields["enrolled"] = None if stored.problem else stream is not None
        waits = fields["state"] == "Enabled" and bool(fields["waiting_for_parent"])
        fields["shards"] = _shards(states, {each["shard"]: each for each in (told or {}).get("shards", [])}, waits=waits)
        if stored.problem is None:
            fields["finished"] = sum(state.finished for state in states.values())
        fields["iterator_age"] = max((each["iterator_age"] for each in fields["shards"] if "iterator_age" in each), default=None)
    return fields


def _shards(states: dict[ShardId, ShardState], told: dict[str, Fields], *, waits: bool) -> list[Fields]:
    """By the store, then whatever the daemon has at work that is not in it: a store in its memory."""
    names = sorted({*states, *told})
    return [
        {"shard": name, **_stored(states, name, waits=waits), **_told(told.get(name), known=name in states)} for name in names
    ]


def _stored(states: dict[ShardId, ShardState], name: str, *, waits: bool) -> Fields:
    """`waits`: a daemon is at work and has shards that wait for their parents; what else is free it would have taken."""
    state = states.get(ShardId(name))
    if state is None:
        return {}
    free = "waiting" if waits else "free"
    standing = "finished" if state.finished else free if state.owner is None else "held"
    return {"state": standing, "position": shown(state.checkpoint), "owner": state.owner, "epoch": state.epoch}


def _told(told: Fields | None, *, known: bool) -> Fields:
    if told is None:
        return {}
    return {key: value for key, value in told.items() if key != "shard" and not (known and key == "position")}
