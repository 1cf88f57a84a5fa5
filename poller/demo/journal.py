"""Reads on in the daemon's log: what went wrong last, and what it says now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Line = dict[str, Any]

REMEMBERED: Final = 200
"""Invocations whose last words are kept for the line that says how they ended."""

TIME: Final = slice(len("2025-01-31T"), len("2025-01-31T12:00:00"))
"""Where a timestamp has its time of day."""

FIRST: Final = ("timestamp", "level", "event")


class Journal:
    """What the demo shows of a log.

    Attributes:
        tail: its last line, readable.
        errors: by mapping, what went wrong last.
    """

    def __init__(self, path: Path) -> None:
        self.tail = ""
        self.errors: dict[str, str] = {}
        self._path = path
        self._read = 0
        self._said: dict[str, str] = {}

    def read_on(self) -> None:
        """Takes in what the log has gained. A last line that is not whole yet waits."""
        with self._path.open("rb") as log:
            log.seek(self._read)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        self.take(_parsed(whole.splitlines()))

    def take(self, lines: Iterable[Line]) -> None:
        """Takes in lines."""
        for line in lines:
            self.tail = shown(line)
            if line["event"] == "function":
                self._remember(line)
            elif "mapping" in line and "error" in line:
                self.errors[line["mapping"]] = self._said.pop(line.get("request_id", ""), line["error"])

    def _remember(self, line: Line) -> None:
        """An error that the function logged says more of its invocation than the invocation's own line: it names the order."""
        level, _, rest = line["line"].partition("\t")
        if level == "[ERROR]" and "request_id" in line:
            self._said[line["request_id"]] = rest.rpartition("\t")[2]
            while len(self._said) > REMEMBERED:
                del self._said[next(iter(self._said))]


def shown(line: Line) -> str:
    """A line of the log, readable: time, level where it is not info, event, fields."""
    head = [line["timestamp"][TIME], *([] if line["level"] == "info" else [line["level"]]), line["event"]]
    fields = [f"{name}={_value(value)}" for name, value in line.items() if name not in FIRST and value is not None]
    return " ".join([*head, *fields])


def _value(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text.isprintable() or " " in text else text


def _parsed(lines: Iterable[bytes]) -> Iterable[Line]:
    """What is no line of the log, such as a traceback of the interpreter, is passed over."""
    for line in lines:
        try:
            parsed = json.loads(line)
        except ValueError:
            continue
        if isinstance(parsed, dict) and all(name in parsed for name in FIRST):
            yield parsed
