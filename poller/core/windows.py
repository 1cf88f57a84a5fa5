"""Tumbling windows: which one a record is in, what the function is told of it, and what it has to answer.

Rules (AWS Lambda developer guide, "Implementing stateful processing"): windows follow each other without gaps, cut from the hours
of UTC. Each invocation gets the state that the previous one returned, and must return one. When no more of a window is to come,
the function is invoked once more, and the state is dropped. A state above 1 MB closes its window early.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import orjson

from poller.core.envelope import FRAME_BYTES, MAX_EVENT_BYTES, SEPARATOR_BYTES, TAIL
from poller.core.memo import Memo, Window
from poller.core.model import Attempt, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from poller.core.model import Record, ShardId

STATE_LIMIT = 1024 * 1024
"""Bytes of the state's JSON: more close the window early."""

SKEW = 2.0
"""Seconds by which a source's clock may be behind ours, so that a record of a window still comes when the window is over."""

SILENCE = 120.0
"""Seconds after its end, and after the last record, for which a window waits where the source does not say whether more is to
come. Lambda's "2 minutes"."""

OPENING = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*(?=")')
COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
FOLLOWING = re.compile(r'[ \t\n\r]*(?:,[ \t\n\r]*(?=")|(\})[ \t\n\r]*\Z)')
"""What is between the members of a JSON object, and around them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tumbling:
    """The windows of one shard.

    Attributes:
        seconds: how long each is; the first began with the year 1970.
        shard, stream_arn: what the function is told.
    """

    seconds: int
    shard: ShardId
    stream_arn: str

    def at(self, record: Record) -> Window:
        """The window in which a record is by its arrival, with nothing in it."""
        start = record.arrived_at // self.seconds * self.seconds
        return Window(start=start, end=start + self.seconds)

    def runs(self, records: Sequence[Record], window: Window | None) -> Iterator[tuple[Window, list[Record]]]:
        """Consecutive records of one window each, the first of which is `window` where it takes any.

        A record that arrived before the window began is in it, too: windows never go back.
        """
        run: list[Record] = []
        for record in records:
            if window is None or record.arrived_at >= window.end:
                if window is not None and run:
                    yield window, run
                window, run = self.at(record), []
            run.append(record)
        if window is not None and run:
            yield window, run

    def tail(self, window: Window) -> bytes:
        """What follows the records in the event."""
        return tail(window, self.shard, self.stream_arn)

    def overhead(self, window: Window) -> int:
        """Bytes by which the event of a window is larger than that of the same records without one."""
        return len(self.tail(window)) - len(TAIL)


def tail(window: Window, shard: ShardId, stream_arn: str) -> bytes:
    """What follows the records in the event of a window, keys in Lambda's order."""
    state, told = window.state, orjson.dumps(info(window))
    place = orjson.dumps({"shardId": shard, "eventSourceARN": stream_arn})
    cut = told.index(b"}") + 1  # the state and the place are told between the window and its flags
    return b"".join((b"],", told[1:cut], b',"state":', state, b",", place[1:-1], told[cut:]))


def bounds(window: Window) -> dict[str, str]:
    """`window` of the event: start and end, UTC, to the second."""
    return {"start": _iso(window.start), "end": _iso(window.end)}


def info(window: Window) -> dict[str, object]:
    """`timeWindowInfo` of a failure document: as in the event."""
    return {"window": bounds(window), "isFinalInvokeForWindow": window.final, "isWindowTerminatedEarly": window.early}


def moved_on(memo: Memo, state: bytes) -> Memo:
    """The open window has this state now, and is to be closed early where that is too much."""
    if memo.window is None:
        return memo
    return replace(memo, window=replace(memo.window, state=state, early=len(state) > STATE_LIMIT))


def fitting(attempt: Attempt, overhead: int, limit: int = MAX_EVENT_BYTES) -> tuple[Attempt, Attempt] | None:
    """Two attempts of one whose event has become too large, as the state has grown since it was put together.

    None where it is not, or cannot be split. The failures of the whole are those of both.
    """
    room = limit - FRAME_BYTES - overhead + SEPARATOR_BYTES
    for count, record in enumerate(attempt.records):
        room -= len(record.payload) + SEPARATOR_BYTES
        if room < 0:
            return _split(attempt, max(count, 1))
    return None


def seen_until(asked_at: float, behind: float | None, quiet: float) -> float | None:
    """What an empty read says: everything that arrived before this time has been read; None: nothing.

    `asked_at` is when it was asked for (Unix seconds), `behind` how far from the tip it is by the source's word, in seconds. A
    source that says nothing of that (None) answers empty pages far from the tip as well, but not for long: `quiet` is for how
    many seconds reads have found nothing.
    """
    if behind is None:
        return asked_at - SILENCE if quiet >= SILENCE else None
    return asked_at - SKEW if behind == 0 else None


def state_of(payload: bytes) -> bytes | Failed:
    """The state that a function has answered, as the text that it was: numbers stay what they are, however large."""
    try:
        state = _member(payload.decode(), "state")
    except (ValueError, RecursionError):
        return Failed("function_error", "a function with tumbling windows answers with its state, and the answer is not JSON")
    if state is None:
        return Failed("function_error", "a function with tumbling windows answers with its state, and the answer has no `state`")
    if not state.startswith("{"):
        return Failed("function_error", "`state` of a function's answer must be an object")
    return state.encode()


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _split(attempt: Attempt, at: int) -> tuple[Attempt, Attempt] | None:
    if at == len(attempt.records):
        return None
    first, rest = (replace(attempt, records=part, request_id=None) for part in (attempt.records[:at], attempt.records[at:]))
    return first, rest


def _member(text: str, name: str) -> str | None:
    """The text of an object's member; of several with the same name the last one's. None where there is none.

    Reads all of it, once: a large state costs enough. Raises `ValueError` where it is no JSON, `RecursionError` if too deep.
    """
    opening, found = OPENING.match(text), None
    if opening is None:  # no object, or an empty one
        _DECODER.decode(text)
        return None
    at, closed = opening.end(), False
    while not closed:
        key, at = _DECODER.raw_decode(text, at)
        start = _past(COLON, text, at).end()
        _, at = _DECODER.raw_decode(text, start)
        if key == name:
            found = text[start:at]
        following = _past(FOLLOWING, text, at)
        at, closed = following.end(), following[1] is not None
    return found


def _past(mark: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = mark.match(text, at)
    if match is None:
        raise ValueError(f"no JSON at {at}")
    return match


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_json)
"""Only says where values end: numbers are not looked at, and `NaN` and its kin are no JSON."""
