"""What a checkpoint holds beside its position, as bytes: JSON, empty where there is nothing to say.

    {"start": {"type": "LATEST", "timestamp": 1764020000.0},
     "lanes": 2, "memos": {"1": {"cuts": [["4959...", 1, "4957..."]], "window": {"start": 1764020040.0, ...}}},
     "tip": 1764020000.0}

A cut is the last record of an attempt, its failures, and its first record, which earlier versions did not say.
Keys that are not known are ignored: an older process may read what a newer one wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from poller.core.memo import NO_MEMO, Cut, Memo, Window
from poller.core.model import BEGINNING, Position, Start

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What it says.

    Attributes:
        start: where the shard begins, while nothing of it is settled; None: not said, at its first record.
        lanes: how many lanes the shard had.
        memos: what each of them remembers; empty where none remembers anything.
        tip: when the shard was last known to hold nothing behind the position, in Unix seconds; None: not known.
    """

    start: Start | None = None
    lanes: int = 1
    memos: tuple[Memo, ...] = ()
    tip: float | None = None

    def memos_of(self, lanes: int) -> tuple[Memo, ...]:
        """For so many lanes. Where there were more or fewer, keys have moved, and cuts are forgotten.

        A window is kept: it is of the whole shard, as windows are for one lane only. Who has no use for it has to say so.
        """
        if self.memos and self.lanes == lanes:
            return self.memos
        window = next((memo.window for memo in self.memos if memo.window is not None), None)
        return (Memo(window=window), *(NO_MEMO,) * (lanes - 1))


NO_EXTRA = Extra()

MOST_LANES = 1000
"""More than any shard has."""

STARTS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
"""Where a shard may begin of which nothing is settled."""


class Unreadable(ValueError):
    """No poller has written this, or one that is too new: nothing is guessed, as a state or the beginning could be lost."""


def pack(extra: Extra) -> bytes:
    """As it is stored; empty where there is nothing to say."""
    said: dict[str, object] = {}
    if extra.start is not None:
        said["start"] = {"type": extra.start.type, "timestamp": extra.start.timestamp}
    if memos := {str(lane): _told(memo) for lane, memo in enumerate(extra.memos) if memo != NO_MEMO}:
        said |= {"lanes": extra.lanes, "memos": memos}
    if extra.tip is not None:
        said["tip"] = extra.tip
    return bytes(memoryview(orjson.dumps(said))) if said else b""  # a copy: what orjson returns takes 4 kB however short it is


def unpack(stored: bytes) -> Extra:
    """The inverse of `pack`. Raises `Unreadable`."""
    if not stored:
        return NO_EXTRA
    try:
        return _extra(orjson.loads(stored))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _extra(said: dict[str, Any]) -> Extra:
    lanes, memos, tip = _whole(said.get("lanes", 1)), said.get("memos", {}), said.get("tip")
    if not 0 < lanes <= MOST_LANES:
        raise ValueError(f"{lanes} lanes")
    return Extra(
        start=_start(said.get("start")),
        lanes=lanes,
        memos=tuple(_memo(memos.get(str(lane), {})) for lane in range(lanes)) if memos else (),
        tip=None if tip is None else _number(tip),
    )


def _start(said: dict[str, Any] | None) -> Start | None:
    if said is None:
        return None
    if (kind := said["type"]) not in STARTS:
        raise ValueError(f"start {kind!r}")
    if (at := said.get("timestamp")) is None and kind == "AT_TIMESTAMP":
        raise ValueError(f"start {kind!r} without a time")
    return Start(type=kind, timestamp=None if at is None else _number(at))


def _told(memo: Memo) -> dict[str, object]:
    told: dict[str, object] = {}
    if memo.cuts:
        told["cuts"] = [_told_cut(cut) for cut in memo.cuts]
    if (window := memo.window) is not None:  # the state as text: read and written again, it might be another one
        told["window"] = {"start": window.start, "end": window.end, "state": window.state.decode(), "early": window.early}
    return told


def _told_cut(cut: Cut) -> list[str | int]:
    return [cut.last, cut.retries] if cut.first == BEGINNING else [cut.last, cut.retries, cut.first]


def _memo(told: dict[str, Any]) -> Memo:
    return Memo(window=_window(told.get("window")), cuts=_cuts(told.get("cuts", ())))


def _cuts(told: Sequence[Sequence[object]]) -> tuple[Cut, ...]:
    return tuple(_cut(*each) for each in told)


def _cut(last: object, retries: object, first: object = BEGINNING, *_: object) -> Cut:
    return Cut(last=Position(_text(last)), retries=_whole(retries), first=Position(_text(first)))


def _window(told: dict[str, Any] | None) -> Window | None:
    if told is None:
        return None
    start, end, state = _number(told["start"]), _number(told["end"]), _text(told["state"])
    return Window(start=start, end=end, state=state.encode(), early=bool(told.get("early")))


def _whole(told: object) -> int:
    if type(told) is not int:
        raise TypeError(f"{told!r} is no number")
    return told


def _number(told: object) -> float:
    if type(told) not in {int, float}:
        raise TypeError(f"{told!r} is no number")
    return told  # type: ignore[return-value]  # just looked at


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise TypeError(f"{told!r} is no text")
    return told
