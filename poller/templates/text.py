"""Single values and comments in our YAML."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"

_BARE: Final = re.compile(r"[A-Za-z./$][A-Za-z0-9_./$-]*(:+[A-Za-z0-9_./$*-]+)*")
_NOT_TEXT: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "."})
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def one_line(text: str) -> str:
    """Text that cannot end a comment."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def flow(value: Plain) -> str:
    """A value on one line."""
    match value:
        case list():
            return "[" + ", ".join(flow(each) for each in value) + "]"
        case dict():
            return "{" + ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items()) + "}"
        case str():
            return scalar(value)
    return json.dumps(value)


def scalar(text: str) -> str:
    """Text as our YAML has it: bare where nobody can take it for anything else. `${` is what it stands for."""
    text = text.replace("${", "$${")
    if _BARE.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    if '"' in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
