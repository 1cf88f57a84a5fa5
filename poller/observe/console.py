"""Log lines for people at a terminal: time, level, event, then `key=value`.

One event is one line, but for a traceback. Control characters are escaped, so that what a function prints can neither forge a
line nor move the cursor.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    Render = Callable[[object, str, MutableMapping[str, object]], bytes]

RESET, BOLD, DIM, CYAN = "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[36m"
LEVEL_COLOURS = {"debug": DIM, "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31;1m"}
LEVEL_WIDTH = len("warning")
EVENT_WIDTH = len("worker_ready")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What may do more to a terminal than show a character, and surrogates, which no encoding takes."""
QUOTED = re.compile(r"""[\s="\\]|^$""")


def console(*, colours: bool) -> Render:
    """A renderer for structlog, to go last."""

    def paint(text: str, colour: str) -> str:
        return f"{colour}{text}{RESET}" if colours and text else text

    def render(_logger: object, _method: str, event: MutableMapping[str, object]) -> bytes:
        time, level, name = (str(event.pop(key, "")) for key in ("timestamp", "level", "event"))
        traceback = printable(str(event.pop("exception", "")), keep="\n\t")
        head = [
            paint(time, DIM),
            paint(level.ljust(LEVEL_WIDTH), LEVEL_COLOURS.get(level, "")),
            paint(printable(name).ljust(EVENT_WIDTH), BOLD),
        ]
        fields = [f"{paint(key, CYAN)}={_shown(value)}" for key, value in event.items() if value is not None]
        line = " ".join([*head, *fields])
        return f"{line}\n{traceback}".rstrip("\n").encode("utf-8", "backslashreplace")

    return render


def _shown(value: object) -> str:
    """A value as it is, an object as JSON, anything in quotes where it would be taken for more than one."""
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)
    if QUOTED.search(text) and not isinstance(value, dict):
        text = json.dumps(text, ensure_ascii=False)
    return printable(text)


def printable(text: str, keep: str = "") -> str:
    """The text with everything escaped that may do more to a terminal than show a character, but for `keep`."""
    return CONTROL.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
