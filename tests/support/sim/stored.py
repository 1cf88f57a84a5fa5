"""What stands in the store beside a shard's position: where a batch was split, and which window is open. Read as documented."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

NOTHING = b"{}"
"""The state of a window in which nothing has been done yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A tumbling window as a function is shown it, or as it is stored: Unix seconds, and the state as sorted JSON."""

    start: float
    end: float
    state: bytes = NOTHING
    final: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Of one lane.

    Attributes:
        cuts: of each open attempt its last record, by sequence number, how often it has failed, and its first record.
        window: the one that is open; None: there is none.
    """

    cuts: tuple[tuple[int, int, int], ...] = ()
    window: Shown | None = None


def read_kept(extra: bytes, lanes: int) -> tuple[Kept, ...]:
    """Of each lane of a shard that has so many."""
    said = orjson.loads(extra) if extra else {}
    memos = said.get("memos", {}) if said.get("lanes", 1) == lanes else {}
    return tuple(_kept(memos.get(str(lane), {})) for lane in range(lanes))


def _kept(memo: dict[str, Any]) -> Kept:
    cuts = tuple((int(last[:60]), retries, int(first[:60])) for last, retries, first in memo.get("cuts", ()))
    return Kept(cuts=cuts, window=_window(memo.get("window")))


def _window(said: dict[str, Any] | None) -> Shown | None:
    if said is None:
        return None
    return Shown(start=said["start"], end=said["end"], state=canonical(orjson.loads(said["state"])), early=said["early"])


def read_shown(event: dict[str, Any]) -> Shown | None:
    """What the function is told of its window; None where it has none."""
    if "window" not in event:
        return None
    return Shown(
        start=_seconds(event["window"]["start"]),
        end=_seconds(event["window"]["end"]),
        state=canonical(event["state"]),
        final=event["isFinalInvokeForWindow"],
        early=event["isWindowTerminatedEarly"],
    )


def canonical(state: object) -> bytes:
    """Equal states are equal bytes."""
    return orjson.dumps(state, option=orjson.OPT_SORT_KEYS)


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()
