"""Why a filter wants a record, or does not: condition by condition, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from poller.core.patterns import Pattern
from poller.core.patterns_branches import OR, compile_branches
from poller.core.patterns_json import Members, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from poller.core.filters import Document, FilterShape
    from poller.core.patterns_branches import Branch

MOST_FOUND = 5
"""Values that are shown of a field that an array has many of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One field of a pattern.

    Attributes:
        field: its name, `body.status`.
        wanted: its array in the pattern, as JSON.
        found: what the record has there, as JSON; empty where it has nothing.
        holds: whether that will do.
    """

    field: str
    wanted: str
    found: tuple[str, ...]
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What one pattern says to one record.

    Attributes:
        number: of the pattern, from 1.
        matches: whether the record satisfies it.
        conditions: its own; of several alternatives (`$or`) those of the one that comes closest.
        remark: what is wrong with the message as a whole; empty where nothing is.
    """

    number: int
    matches: bool
    conditions: tuple[Condition, ...]
    remark: str = ""

    @property
    def together(self) -> bool:
        """Whether the conditions hold each for itself, and not together."""
        return not self.matches and all(each.holds for each in self.conditions)


def explain(patterns: Sequence[str | Mapping[str, object]], shape: FilterShape, payload: bytes) -> list[Explanation]:
    """Each pattern's answer to one record, its element of `Records` as JSON. A record is wanted where one of them matches.

    Raises:
        InvalidPattern: one cannot be compiled.
        ValueError: the payload is no JSON object.
    """
    view, is_json = _view(shape, payload)
    return [_pattern(number, pattern, shape, view, is_json=is_json) for number, pattern in enumerate(patterns, 1)]


def _view(shape: FilterShape, payload: bytes) -> tuple[Document, bool]:
    """The record as patterns see it, and whether its message is JSON."""
    event = orjson.loads(payload)
    if not isinstance(event, dict):
        raise ValueError("a record is a JSON object")  # noqa: TRY004  what `orjson` raises for other text
    view = shape.view(event)
    message = view.get(shape.data)
    data = shape.decode(message)
    if data is not None:
        view[shape.data] = data
    return view, data is not None


def _pattern(
    number: int, pattern: str | Mapping[str, object], shape: FilterShape, view: Document, *, is_json: bool
) -> Explanation:
    wanted = dict(_leaves(read(pattern), ""))
    best: tuple[Condition, ...] | None = None
    for branch in compile_branches(pattern):
        apt = _apt(branch, shape, is_json=is_json)
        conditions = tuple(_condition(name, branch, wanted, view, apt=apt) for name in branch)
        if apt and Pattern([branch]).matches(view):
            return Explanation(number=number, matches=True, conditions=conditions)
        if best is None or _failures(conditions) < _failures(best):
            best = conditions
    remark = "" if is_json or not _names(best or (), shape) else f"the {shape.data} is no JSON object or array"
    return Explanation(number=number, matches=False, conditions=best or (), remark=remark)


def _apt(branch: Branch, shape: FilterShape, *, is_json: bool) -> bool:
    """Whether the message is of the kind that the branch asks for: text for `body`, JSON for what is in it."""
    if shape.data in branch:
        return not is_json
    return is_json or not any(name.startswith(f"{shape.data}.") for name in branch)


def _names(conditions: Sequence[Condition], shape: FilterShape) -> bool:
    return any(each.field.startswith(f"{shape.data}.") for each in conditions)


def _failures(conditions: Sequence[Condition]) -> int:
    return sum(not each.holds for each in conditions)


def _condition(name: str, branch: Branch, wanted: Mapping[str, str], view: Document, *, apt: bool) -> Condition:
    found = tuple(dict.fromkeys(_shown(value) for value in _found(view, name.split("."))))
    alone = Pattern([{name: branch[name]}])
    holds = alone.matches(view) and (apt or "." not in name)
    return Condition(field=name, wanted=wanted.get(name, ""), found=found[:MOST_FOUND], holds=holds)


def _leaves(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every field of a pattern with its array, as JSON; alternatives too."""
    if isinstance(value, Members):
        for name, inner in value.pairs:
            if name == OR and isinstance(inner, list):
                for each in inner:
                    yield from _leaves(each, path)
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, _shown(_plain(value))


def _plain(value: object) -> object:
    """A pattern's JSON with its objects as dictionaries."""
    if isinstance(value, Members):
        return {name: _plain(inner) for name, inner in value.pairs}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _found(value: object, steps: Sequence[str]) -> Iterator[object]:
    """What a document has at a path, through all arrays. A key may spell several steps at once."""
    if isinstance(value, list):
        for each in value:
            yield from _found(each, steps)
    elif not steps:
        yield value
    elif isinstance(value, dict):
        for count in range(1, len(steps) + 1):
            key = ".".join(steps[:count])
            if key in value:
                yield from _found(value[key], steps[count:])


def _shown(value: object) -> str:
    return orjson.dumps(value).decode()
