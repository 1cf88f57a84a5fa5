"""Logs: one event a line on stderr, as JSON, or readable where stderr is a terminal.

What libraries log by the standard `logging` goes the same way from WARNING up. Payloads of records are never logged; secrets
are masked (`redact`). A log that cannot be written is lost: logging never fails what it tells of.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from poller.core.report import iso
from poller.observe.console import console
from poller.observe.redact import redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import BinaryIO

Logger = FilteringBoundLogger
Level = Literal["debug", "info", "warning", "error"]


def configure(level: Level, *, json: bool | None = None) -> None:
    """Sets logging up for the whole process. Call it once, before the first line; loggers made before follow.

    Args:
        level: the least level that is written. Libraries write from this one up, but at least WARNING.
        json: JSON lines or readable ones; None decides by whether stderr is a terminal.
    """
    terminal = sys.stderr.isatty()
    as_json = not terminal if json is None else json
    stderr = _Stderr(getattr(sys.stderr.buffer, "raw", sys.stderr.buffer))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt=None),
            structlog.processors.format_exc_info,
            redact,
            _order,
            _json if as_json else console(colours=terminal and _colours_wanted()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda: stderr,
        cache_logger_on_first_use=True,
    )
    _bridge_standard_logging(level)


def logger(**fields: object) -> Logger:
    """A logger whose lines all carry these fields."""
    bound: Logger = structlog.get_logger(**fields)
    return bound


class _Stderr:
    """The end of the chain: unbuffered, one write a line, so that lines never mix and none is left over at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def msg(self, line: bytes) -> None:
        rest = line + b"\n"
        with suppress(OSError, ValueError):  # a full disk, a closed pipe or stream must not stop the delivery of records
            while rest and (written := self._stream.write(rest)):
                rest = rest[written:]

    debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """Carries the records of standard `logging` over."""

    def __init__(self) -> None:
        super().__init__()
        self._log = logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record; one whose arguments do not fit its format is written as it stands."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = str(record.msg)
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        self._log.log(level, "library", logger=record.name, message=message, exc_info=record.exc_info or None)


def _bridge_standard_logging(level: Level) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    logging.captureWarnings(capture=True)


def _order(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Time, level and event first, time in ISO 8601 UTC with milliseconds."""
    at = event.pop("timestamp")
    head = {"timestamp": iso(at) if isinstance(at, float) else at, "level": event.pop("level"), "event": event.pop("event")}
    return head | dict(event)


def _json(_logger: object, _method: str, event: MutableMapping[str, object]) -> bytes:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair: text says it well enough
        plain = {key: str(value).encode("utf-8", "backslashreplace").decode() for key, value in event.items()}
        return orjson.dumps(plain)


def _colours_wanted() -> bool:
    """By the convention of no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
