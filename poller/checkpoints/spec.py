"""Positions in words, as commands take and show them.

A sequence number is *done*: reading goes on after it. `4959...:3` is the fourth record of an aggregate. `TRIM_HORIZON`, `LATEST`
and `AT_TIMESTAMP=2026-01-01T00:00:00Z` say where to begin while nothing is done.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from poller.core.extra import Extra, Unreadable, pack, unpack
from poller.core.model import (
    BEGINNING,
    SEQUENCE_DIGITS,
    SUB_SEQUENCE_DIGITS,
    Checkpoint,
    Position,
    Start,
    position,
)
from poller.core.numbers import numbered
from poller.core.report import iso
from poller.errors import PollerError

_NUMBER: Final = re.compile(rf"([0-9]{{1,{SEQUENCE_DIGITS}}})(?::([0-9]{{1,{SUB_SEQUENCE_DIGITS}}}))?")
_FORMS: Final = "a sequence number, TRIM_HORIZON, LATEST, or AT_TIMESTAMP=2026-01-01T00:00:00Z"

UNREADABLE: Final = "unreadable"
"""Of a checkpoint that no poller has written, or one that is too new, while nothing is done."""


class BadPosition(PollerError):
    """This is no position; the message says what is."""


def parse(text: str, now: float) -> Checkpoint:
    """The checkpoint that a position asks for; `now` in Unix seconds. Raises `BadPosition`.

    LATEST becomes the time as it is now: a store keeps what a later process can begin at, and whatever arrives until then counts.
    """
    word, equals, moment = text.partition("=")
    if text == "TRIM_HORIZON":
        return _begin(Start(type="TRIM_HORIZON"))
    if text == "LATEST":
        return _begin(Start(type="AT_TIMESTAMP", timestamp=now))
    if word == "AT_TIMESTAMP" and equals:
        return _begin(Start(type="AT_TIMESTAMP", timestamp=_seconds(moment, now)))
    return Checkpoint(position=parse_number(text))


def parse_number(text: str) -> Position:
    """Of a sequence number. Raises `BadPosition`."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise BadPosition(f"{text!r} is no position: give {_FORMS}")
    return position(found[1], int(found[2] or 0))


def shown(checkpoint: Checkpoint | None) -> str:
    """A checkpoint in the words of `parse`, or `UNREADABLE`. A shard without one begins at its first record."""
    if checkpoint is None:
        return "TRIM_HORIZON"
    if checkpoint.position != BEGINNING:
        return numbered(checkpoint.position)
    try:
        start = unpack(checkpoint.extra).start
    except Unreadable:
        return UNREADABLE
    if start is None or start.type == "TRIM_HORIZON":
        return "TRIM_HORIZON"
    if start.timestamp is not None:
        return f"{start.type}={iso(start.timestamp)}"
    return start.type if start.position == BEGINNING else f"{start.type}={numbered(start.position)}"


def same(text: str, checkpoint: Checkpoint | None) -> bool:
    """Whether this is how the checkpoint is shown, or another way to say it."""
    if text == shown(checkpoint):
        return True
    try:
        return text != "LATEST" and shown(parse(text, float("inf"))) == shown(checkpoint)
    except BadPosition:
        return False


def with_place(checkpoint: Checkpoint | None) -> bool:
    """Whether it names a record, which is of one shard, and not a place that every shard has."""
    return checkpoint is not None and checkpoint.position != BEGINNING


def _begin(start: Start) -> Checkpoint:
    return Checkpoint(extra=pack(Extra(start=start)))


def _seconds(text: str, now: float) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadPosition(f"AT_TIMESTAMP={text}: {_DATE}") from None
    if moment.tzinfo is None:
        raise BadPosition(f"AT_TIMESTAMP={text} has no offset: {_DATE}")
    if moment.timestamp() > now:
        raise BadPosition(f"AT_TIMESTAMP={text} is in the future")
    return moment.timestamp()


_DATE: Final = "write a date and a time with its offset, 2026-01-01T00:00:00Z or 2026-01-01T01:00:00+01:00"
