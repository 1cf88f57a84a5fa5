"""What a single value means: variables of the environment, then YAML 1.2's core schema (and nothing of YAML 1.1's surprises)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NULLS: Final = frozenset({"null", "Null", "NULL", "~"})
TRUES: Final = frozenset({"true", "True", "TRUE"})
FALSES: Final = frozenset({"false", "False", "FALSE"})
LONGEST_NUMBER = 40
"""Characters; anything longer is text. Python itself refuses to read endless digits."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def resolve(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar. `NO`, `0644`, `1:30`, `1_000` and `2024-01-01` are text, as they stand there."""
    if text == "" or text in NULLS:
        return None
    if text in TRUES or text in FALSES:
        return text in TRUES
    if len(text) > LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class BadReference(Exception):
    """A `${...}` that cannot be replaced; the message says why."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replaces `${NAME}` and `${NAME:-default}` (for a variable that is not set, or empty); `$${` stands for `${`.

    What comes out is never looked at again. Raises `BadReference`.
    """
    return _REFERENCE.sub(lambda match: _replacement(match, environ), text) if "${" in text else text


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match[0] == "$${":
        return "${"
    variable = _VARIABLE.fullmatch(match[1]) if match[1] is not None else None
    if variable is None:
        raise BadReference('"${" begins a variable, ${NAME} or ${NAME:-default}: write "$${" for the characters themselves')
    name, default = variable[1], variable[2]
    if name in environ and (environ[name] or default is None):
        return environ[name]
    if default is None:
        raise BadReference(f"environment variable {name} is not set: set it, or give a default, ${{{name}:-default}}")
    return default
