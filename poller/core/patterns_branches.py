"""The fields of a pattern, and its `$or` multiplied out: what a pattern asks for, as lists of fields that must all hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.patterns_json import DEEPEST, InvalidPattern, Members, read
from poller.core.patterns_values import OPERATORS, Values, compile_values

if TYPE_CHECKING:
    from collections.abc import Mapping

Branch = dict[str, Values]
"""One way to match: each field by its name (`detail.state`), and what it may be. All must hold."""

OR = "$or"

MOST_BRANCHES = 1_000
"""Combinations that the `$or`s of a pattern may have."""

RESERVED = OPERATORS | frozenset(
    (
        *("=", "<", "<=", ">", ">="),
        *("regex", "not-wildcard", "not-equals-ignore-case", "ip-address-in-range", "ip-address-not-in-range"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
    )
)
"""Names that AWS keeps from being fields inside `$or`."""


def compile_branches(pattern: str | Mapping[str, object]) -> list[Branch]:
    """What a pattern asks for: one of these, each with at least one field.

    Raises:
        InvalidPattern: it does not follow the grammar.
    """
    value = read(pattern)
    if not isinstance(value, Members):
        raise InvalidPattern("Filter is not an object")
    return _object(value, [{}], "", inside_or=False)


def _object(members: Members, branches: list[Branch], path: str, *, inside_or: bool) -> list[Branch]:
    """The branches with these members added, in the order of the text: of two arrays for one field the last counts."""
    if not members.pairs:
        raise InvalidPattern("Empty objects are not allowed", path)
    for name, value in members.pairs:
        if name == OR and _is_relation(value):
            branches = _either(value, branches, path)
            continue
        if inside_or and name in RESERVED:
            raise InvalidPattern(f"{name} is a reserved name and cannot be a field inside {OR}", path)
        branches = _field(value, branches, f"{path}.{name}" if path else name, inside_or=inside_or)
    return branches


def _field(value: object, branches: list[Branch], path: str, *, inside_or: bool) -> list[Branch]:
    if isinstance(value, Members):
        return _object(value, branches, path, inside_or=inside_or)
    if not isinstance(value, list):
        raise InvalidPattern(f'"{path.rpartition(".")[2]}" must be an object or an array', path)
    if path.count(".") >= DEEPEST:
        raise InvalidPattern(f"Filter is nested deeper than {DEEPEST} levels")
    values = compile_values(value, path)
    return [{**branch, path: values} for branch in branches]


def _is_relation(value: object) -> bool:
    """`$or` relates fields if it lists two or more objects that are no match expressions; else it is a field of that name."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(each, Members) and not any(name in RESERVED for name, _ in each.pairs) for each in value)
    )


def _either(alternatives: object, branches: list[Branch], path: str) -> list[Branch]:
    found: list[Branch] = []
    for alternative in alternatives if isinstance(alternatives, list) else []:
        found += _object(alternative, branches, path, inside_or=True)
        if len(found) > MOST_BRANCHES:
            raise InvalidPattern(f"{OR} makes more than {MOST_BRANCHES} combinations", path)
    return found
