"""Patterns against a matcher that is as plain as the language's description, and what must hold of any pattern and any event."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

import orjson
from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.build import record

from poller.core.filters import KINESIS, SQS, InvalidPattern, compile_filter
from poller.core.patterns import compile_pattern
from poller.core.patterns_branches import OR

# ----------------------------------------------------------------------------------------------------- the plain matcher

Membership = dict[int, int]
Leaf = tuple[str, object, Membership]
Fields = dict[str, list[Any]]


def flattened(event: dict[str, object]) -> list[Leaf]:
    """Every leaf of an event: its dotted name, its value, and which element of which arrays it is in."""
    leaves: list[Leaf] = []
    arrays = 0

    def walk(name: str, value: object, membership: Membership) -> None:
        nonlocal arrays
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{name}.{key}" if name else key, inner, membership)
        elif isinstance(value, list):
            arrays += 1
            this = arrays
            for index, inner in enumerate(value):
                walk(name, inner, {**membership, this: index} if isinstance(inner, dict | list) else membership)
        else:
            leaves.append((name, value, membership))

    for key, value in event.items():
        walk(key, value, {})
    return leaves


def consistent(chosen: Membership, membership: Membership) -> bool:
    return all(chosen.get(array, index) == index for array, index in membership.items())


def branches_of(pattern: dict[str, Any], path: str, found: list[Fields]) -> list[Fields]:
    """`$or` multiplied out: fields by their dotted names; what comes later in the text replaces what came before."""
    for key, value in pattern.items():
        name = f"{path}.{key}" if path else key
        if key == OR:
            found = [branch for each in value for branch in branches_of(each, path, found)]
        elif isinstance(value, dict):
            found = branches_of(value, name, found)
        else:
            found = [{**branch, name: value} for branch in found]
    return found


def naive(pattern: dict[str, Any], event: dict[str, object]) -> bool:
    """Tries every choice of leaves, the fields in the order of their names."""
    leaves = flattened(event)

    def search(fields: list[tuple[str, list[Any]]], chosen: Membership) -> bool:
        if not fields:
            return True
        (name, values), *rest = fields
        here = [leaf for leaf in leaves if leaf[0] == name and consistent(chosen, leaf[2])]
        if {"exists": False} in values and not here and search(rest, chosen):
            return True
        return any(
            search(rest, {**chosen, **membership})
            for _, value, membership in here
            if any(fits(wanted, value) for wanted in values)
        )

    return any(search(sorted(branch.items()), {}) for branch in branches_of(pattern, "", [{}]))


def fits(wanted: Any, value: object) -> bool:
    if not isinstance(wanted, dict):
        return same(wanted, value)
    ((operator, operand),) = wanted.items()
    match operator, operand:
        case "exists", _:
            return operand is True
        case "anything-but", dict():
            ((inner, texts),) = operand.items()
            return not any(fits({inner: text}, value) for text in (texts if isinstance(texts, list) else [texts]))
        case "anything-but", _:
            return not any(same(each, value) for each in (operand if isinstance(operand, list) else [operand]))
        case "numeric", [*terms]:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            pairs = list(zip(terms[::2], terms[1::2], strict=True))
            return all({"=": value == n, "<": value < n, "<=": value <= n, ">": value > n, ">=": value >= n}[op] for op, n in pairs)
    return isinstance(value, str) and fits_text(operator, operand, value)


def same(wanted: object, value: object) -> bool:
    return wanted == value and isinstance(wanted, bool) == isinstance(value, bool)


def fits_text(operator: str, operand: Any, value: str) -> bool:
    match operator, operand:
        case ("prefix" | "suffix"), {"equals-ignore-case": text}:
            return fits_text(operator, text.lower(), value.lower())
        case "prefix", _:
            return value[: len(operand)] == operand
        case "suffix", _:
            return value[len(value) - len(operand) :] == operand if len(operand) <= len(value) else False
        case "equals-ignore-case", _:
            return value.lower() == operand.lower()
        case "exactly", _:
            return value == operand
        case "wildcard", _:
            expression = re.sub(r"\\\\(.)|\\\*", lambda found: re.escape(found[1]) if found[1] else "(?s:.*)", re.escape(operand))
            return re.fullmatch(expression, value) is not None
        case "cidr", _:
            try:
                return ipaddress.ip_address(value) in ipaddress.ip_network(operand, strict=False)
            except ValueError:
                return False
    raise AssertionError(operator)


# ---------------------------------------------------------------------------------------------------------- what is drawn

NAMES = st.sampled_from(["a", "b", "c", "d"])
DOTTED = NAMES | st.sampled_from(["a.b", "b.a", "a.b.c"])
TEXTS = st.sampled_from(["", "x", "X", "xy", "yx", "xyx", "*", "x*", "10.0.0.1", "10.0.0.7", "1"])
NUMBERS = st.sampled_from([0, 1, 1.0, 1.5, -1, 2, -0.0, 2**53, 2**53 + 1, 1e300])
SCALARS = TEXTS | NUMBERS | st.booleans() | st.none()
BOUNDS = st.sampled_from([-1, 0, 1, 1.5, 2])
WILDCARDS = st.sampled_from(["", "*", "x*", "*x", "*y*", "x*x", "\\\\*", "*\\*", "x*y*x", "*.0.*"])


@st.composite
def numeric(draw: st.DrawFn) -> list[Any]:
    if draw(st.booleans()):
        return [draw(st.sampled_from(["=", "<", "<=", ">", ">="])), draw(BOUNDS)]
    bottom, top = draw(BOUNDS), draw(BOUNDS)
    assume(bottom < top)
    return [draw(st.sampled_from([">", ">="])), bottom, draw(st.sampled_from(["<", "<="])), top]


def one_of_or_list(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | st.lists(strategy, min_size=1, max_size=2)


IGNORING_CASE = st.fixed_dictionaries({"equals-ignore-case": TEXTS})
EXPRESSIONS = st.one_of(
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"exists": st.just(value=False)}),
    st.fixed_dictionaries({"exactly": TEXTS}),
    st.fixed_dictionaries({"prefix": TEXTS | IGNORING_CASE}),
    st.fixed_dictionaries({"suffix": TEXTS | IGNORING_CASE}),
    IGNORING_CASE,
    st.fixed_dictionaries({"wildcard": WILDCARDS}),
    st.fixed_dictionaries({"numeric": numeric()}),
    st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.0/29", "10.0.0.0/30", "10.0.0.7/31", "0.0.0.0/0"])}),
    st.fixed_dictionaries({"anything-but": one_of_or_list(TEXTS) | one_of_or_list(NUMBERS)}),
    st.fixed_dictionaries({"anything-but": st.fixed_dictionaries({"wildcard": one_of_or_list(WILDCARDS)})}),
    st.fixed_dictionaries({"anything-but": IGNORING_CASE}),
    st.fixed_dictionaries({"anything-but": st.fixed_dictionaries({"prefix": one_of_or_list(TEXTS.filter(bool))})}),
    st.fixed_dictionaries({"anything-but": st.fixed_dictionaries({"suffix": one_of_or_list(TEXTS.filter(bool))})}),
)
ARRAYS = st.lists(SCALARS | EXPRESSIONS, min_size=1, max_size=3)


def patterns(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Valid patterns."""

    def larger(smaller: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        fields = st.dictionaries(names, smaller | ARRAYS, min_size=1, max_size=3)
        relation = st.fixed_dictionaries({OR: st.lists(fields, min_size=2, max_size=3)})
        return fields | st.tuples(fields, relation).map(lambda both: both[0] | both[1]) | relation

    flat = st.dictionaries(names, ARRAYS, min_size=1, max_size=3)
    return st.recursive(flat, larger, max_leaves=6)


def events(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    values = st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=14,
    )
    return st.dictionaries(names, values, max_size=4)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from([OR, "prefix", "numeric", "anything-but"]), inner),
)

# ------------------------------------------------------------------------------------------------------------- properties


@given(patterns(NAMES), events(NAMES))
@example({"a": {"b": [{"exists": False}], "c": ["x"]}}, {"a": [{"b": 1}, {"c": "x"}]})
@example({"a": {"c": [{"exists": False}], "b": ["x"]}}, {"a": [{"c": 1}, {"b": "x"}]})
@example({"a": {"b": ["x"], "c": [{"exists": False}, "y"]}}, {"a": [{"b": "x", "c": ["z", "y"]}, {"c": 1}]})
def test_the_plain_matcher_agrees(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    assert compile_pattern(pattern).matches(event) == naive(pattern, event)


@given(patterns(DOTTED), events(DOTTED))
def test_the_plain_matcher_agrees_also_on_names_with_dots(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    assert compile_pattern(pattern).matches(event) == naive(pattern, event)
