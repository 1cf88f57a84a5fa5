"""What will be written: functions and mappings with our keys, and what is to be said beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from poller.templates.text import flow
from poller.templates.values import NoValue, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.templates.text import Plain
    from poller.templates.values import Value

_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_IN_OUR_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME: Final = 64
LONGEST_SHOWN: Final = 100
"""Characters of a value that is left out; a longer one is only named."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """A function or a mapping under construction.

    Attributes:
        origin: where it comes from, for a comment.
        fields: our keys, in the order in which they are written. `None` as a value is never written.
        hints: comments by key; `environment.NAME` goes one level down. Those that ask for something begin with "set this".
        lost: what could not be carried over, a comment each.
        off: why the whole is only a comment; empty: it is not.
    """

    kind: Literal["function", "mapping"]
    name: str
    origin: str
    fields: dict[str, Plain] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    off: str = ""

    def ask(self, key: str, what: str) -> None:
        """Somebody has to look at this value."""
        self.hints[key] = f"set this: {what}"

    def drop(self, key: str, why: str) -> None:
        """A value that cannot be carried over."""
        value = self.fields.pop(key)
        self.hints = {at: hint for at, hint in self.hints.items() if at.partition(".")[0] != key}
        shown = flow(value)
        self.lost.append(f"{key}: {shown} ({why})" if key != "environment" and len(shown) <= LONGEST_SHOWN else f"{key} ({why})")


def snake(name: str) -> str:
    """Lambda's spelling in ours: `BatchSize` is `batch_size`, `KMSKeyArn` is `kms_key_arn`."""
    return "_".join(_WORD.split(name)).lower()


def our_name(text: str) -> str:
    """A name that mappings and functions can have: letters, digits, `-` and `_`."""
    return _NOT_IN_OUR_NAMES.sub("-", text).strip("-")[:_LONGEST_NAME] or "unnamed"


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where it is taken."""
    others, made, number = set(taken), name, 2
    while made in others:
        end = f"-{number}"
        made, number = name[: _LONGEST_NAME - len(end)] + end, number + 1
    return made


def plain(value: Value) -> tuple[Plain, list[str]]:
    """A value with guesses in the place of what is unknown, and how the template names that."""
    match value:
        case Unknown():
            return value.guess, [value.why]
        case NoValue():
            return None, []
        case list():
            items = [plain(each) for each in value]
            return [item for item, _ in items], [why for _, whys in items for why in whys]
        case dict():
            entries = {key: plain(each) for key, each in value.items()}
            return {key: item for key, (item, _) in entries.items()}, [why for _, whys in entries.values() for why in whys]
    return value, []


def says(whys: Iterable[str], assumed: Iterable[str] = ()) -> str:
    """For a comment: what stands in the template where nobody knows the value, and what was made up."""
    known, made_up = list(dict.fromkeys(whys)), sorted(assumed)
    parts = [f"the template says {', '.join(known)}"] if known else []
    if made_up:
        parts.append(f"{', '.join(made_up)} {'is' if len(made_up) == 1 else 'are'} made up")
    return "; ".join(parts)


def number_or_flag(value: Plain) -> Plain:
    """Templates may write numbers and flags as text."""
    if isinstance(value, str):
        if re.fullmatch(r"-?[0-9]{1,15}", value):
            return int(value)
        if value.lower() in {"true", "false"}:
            return value.lower() == "true"
    return value
