"""The JSON of a pattern, read so that nothing of it is lost: duplicate keys, and numbers that no double can hold."""

from __future__ import annotations

import json
from math import isinf
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST = 100
"""Levels of objects and arrays in a pattern at the most, and steps of a field's name."""

LARGEST_INTEGER = 2**64 - 1
SMALLEST_INTEGER = -(2**63)
"""Integers in this range are exact, in patterns and in events alike; all other numbers are IEEE doubles."""

SHOWN = 60
"""Characters of a value in an error message."""


class InvalidPattern(ValueError):
    """A pattern that cannot be compiled.

    Attributes:
        problem: what is wrong, in AWS's words where they are known.
        where: the place inside the pattern (`detail.state[0].prefix`); empty for the pattern as a whole.
        number: which pattern of a filter it is, counted from 1; None for a pattern on its own.
    """

    def __init__(self, problem: str, where: str = "", number: int | None = None) -> None:
        self.problem, self.where, self.number = _printable(problem), _printable(where), number
        place = ", ".join(filter(None, (f"pattern {number}" if number else "", f"at {self.where}" if where else "")))
        super().__init__(f"{place}: {self.problem}" if place else self.problem)


class Members(NamedTuple):
    """A JSON object as it was written: each key with its value, in order; a key may come twice."""

    pairs: tuple[tuple[str, object], ...]


def read(pattern: str | Mapping[str, object]) -> object:
    """The JSON value of a pattern: objects as `Members`, everything else as `json` has it.

    Raises:
        InvalidPattern: it is no JSON, or nested too deeply, or has a number that is no IEEE double.
    """
    text = pattern if isinstance(pattern, str) else _written(pattern)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidPattern(f"Filter is not JSON: {error}") from error
    except RecursionError:
        raise _too_deep() from None
    if _depth(value) > DEEPEST:
        raise _too_deep()
    return value


def shown(value: object) -> str:
    """A value in an error message: its JSON, cut short."""
    text = json.dumps(value, default=lambda _: "{...}") if not isinstance(value, Members) else "{...}"
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _written(pattern: Mapping[str, object]) -> str:
    try:
        return json.dumps(pattern, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidPattern(f"Filter is not JSON: {error}") from error
    except RecursionError:
        raise _too_deep() from None


def _integer(text: str) -> int | float:
    if len(text) > len(str(LARGEST_INTEGER)):
        return _double(text)
    value = int(text)
    return value if SMALLEST_INTEGER <= value <= LARGEST_INTEGER else _double(text)


def _double(text: str) -> float:
    value = float(text)
    digits = text.lower().partition("e")[0]
    if isinf(value) or (value == 0 and any(digit in digits for digit in "123456789")):
        raise InvalidPattern(f"the number {text[:SHOWN]} does not fit an IEEE double")
    return value


def _no_number(text: str) -> NoReturn:
    raise InvalidPattern(f"Filter is not JSON: {text}")


_DECODER = json.JSONDecoder(
    object_pairs_hook=lambda pairs: Members(tuple(pairs)),
    parse_int=_integer,
    parse_float=_double,
    parse_constant=_no_number,
)


def _depth(value: object) -> int:
    """Levels of nesting, counted without recursion."""
    level, depth = [value], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
    return depth


def _inside(value: object) -> list[object]:
    if isinstance(value, Members):
        return [inner for _, inner in value.pairs]
    return value if isinstance(value, list) else []


def _too_deep() -> InvalidPattern:
    return InvalidPattern(f"Filter is nested deeper than {DEEPEST} levels")


def _printable(text: str) -> str:
    """Lone surrogates, which JSON can spell, would stop the message at the first log."""
    return text.encode("utf-8", "backslashreplace").decode()
