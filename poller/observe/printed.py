"""What a line that a function printed says of itself: its level, and its fields where it is a JSON object.

Lambda's own JSON log format, the loggers of Powertools and most libraries for structured logs write such lines.
"""

from __future__ import annotations

import re
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Final

import orjson

MAX_JSON_CHARACTERS: Final = 64 * 1024
MAX_JSON_VALUES: Final = 2000
MAX_JSON_DEPTH: Final = 32
"""Objects beyond these stay text: to mask their secrets and write them anew would keep the loop for some milliseconds."""

LEVELS: Final[dict[object, int]] = {
    **dict.fromkeys(("TRACE", "DEBUG", 10, 20), DEBUG),
    **dict.fromkeys(("INFO", "NOTICE", 30), INFO),
    **dict.fromkeys(("WARN", "WARNING", 40), WARNING),
    **dict.fromkeys(("ERROR", "FATAL", "CRITICAL", 50, 60), ERROR),
}
"""Ours, as `logging` numbers them, by the names in use; the numbers here are those of pino and bunyan, which write no names."""

_TEXT = re.compile(r"\[([A-Z]{4,8})\][\t ]|\d{4}-\d\d-\d\dT[\d:.]{8,15}Z\t[^\t]{0,64}\t([A-Z]{4,8})\t")
"""The line formats of Lambda's runtimes: Python's `[LEVEL]<tab>...`, and Node's `time<tab>request id<tab>LEVEL<tab>...`."""


def read(line: str) -> tuple[int, dict[str, object]]:
    """Its level, INFO where it names none, and what it says: `json`, the object that it is, else `line`, the text."""
    fields = _object(line)
    if fields is not None:
        return _level(fields.get("level", fields.get("log_level"))), {"json": fields}
    found = _TEXT.match(line)
    return _level(found[1] or found[2]) if found else INFO, {"line": line}


def _object(line: str) -> dict[str, object] | None:
    text = line.strip()
    if not (text.startswith("{") and text.endswith("}") and len(text) <= MAX_JSON_CHARACTERS):
        return None
    try:
        fields: dict[str, object] = orjson.loads(text)
    except ValueError:
        return None
    return fields if _affordable(fields) else None


def _affordable(fields: dict[str, object]) -> bool:
    """Whether an object has no more values, and no more levels, than may be taken apart."""
    level: list[dict[str, object] | list[object]] = [fields]
    values = 0
    for _ in range(MAX_JSON_DEPTH):
        values += sum(map(len, level))
        if values > MAX_JSON_VALUES:
            return False
        members = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for each in members for value in each if isinstance(value, (dict, list))]
        if not level:
            return True
    return False


def _level(named: object) -> int:
    return LEVELS.get(named.upper() if isinstance(named, str) else named if isinstance(named, int) else None, INFO)
