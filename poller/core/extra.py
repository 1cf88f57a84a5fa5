"""What a checkpoint holds beside its position, as bytes: JSON, empty where there is nothing to say.

    {"start": {"type": "LATEST", "timestamp": 1764020000.0},
     "lanes": 2, "memos": {"1": {"cuts": [["4959...", 1]], "window": {"start": 1764020040.0, ...}}}}

Keys that are not known are ignored: an older process may read what a newer one wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from poller.core.memo import NO_MEMO, Cut, Memo, Window
from poller.core.model import Position, Start

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What it says.

    Attributes:
        start: where the shard begins, while nothing of it is settled; None: not said, at its first record.
        lanes: how many lanes the shard had.
        memos: what each of them remembers; empty where none remembers anything.
    """

    start: Start | None = None
    lanes: int = 1
    memos: tuple[Memo, ...] = ()

    def memos_of(self, lanes: int) -> tuple[Memo, ...]:
        """For so many lanes. Where there were more or fewer, keys have moved, and nothing is remembered."""
        return self.memos if self.memos and self.lanes == lanes else (NO_MEMO,) * lanes


NO_EXTRA = Extra()


def pack(extra: Extra) -> bytes:
    """As it is stored; empty where there is nothing to say."""
    said: dict[str, object] = {}
    if extra.start is not None:
        said["start"] = {"type": extra.start.type, "timestamp": extra.start.timestamp}
    if memos := {str(lane): _told(memo) for lane, memo in enumerate(extra.memos) if memo != NO_MEMO}:
        said |= {"lanes": extra.lanes, "memos": memos}
    return orjson.dumps(said) if said else b""


def unpack(stored: bytes) -> Extra:
    """The inverse of `pack`."""
    if not stored:
        return NO_EXTRA
    said = orjson.loads(stored)
    lanes, memos = said.get("lanes", 1), said.get("memos", {})
    return Extra(
        start=_start(said.get("start")),
        lanes=lanes,
        memos=tuple(_memo(memos.get(str(lane), {})) for lane in range(lanes)) if memos else (),
    )


def _start(said: dict[str, Any] | None) -> Start | None:
    return None if said is None else Start(type=said["type"], timestamp=said["timestamp"])


def _told(memo: Memo) -> dict[str, object]:
    told: dict[str, object] = {}
    if memo.cuts:
        told["cuts"] = [[cut.last, cut.retries] for cut in memo.cuts]
    if (window := memo.window) is not None:  # the state as text: read and written again, it might be another one
        told["window"] = {"start": window.start, "end": window.end, "state": window.state.decode(), "early": window.early}
    return told


def _memo(told: dict[str, Any]) -> Memo:
    return Memo(window=_window(told.get("window")), cuts=_cuts(told.get("cuts", ())))


def _cuts(told: Sequence[tuple[str, int]]) -> tuple[Cut, ...]:
    return tuple(Cut(last=Position(last), retries=retries) for last, retries in told)


def _window(told: dict[str, Any] | None) -> Window | None:
    if told is None:
        return None
    return Window(start=told["start"], end=told["end"], state=told["state"].encode(), early=told["early"])
