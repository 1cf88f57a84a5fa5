"""Patterns against a matcher that is as plain as the language's description, and what must hold of any pattern and any event."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.build import record

from poller.core.filters import SQS, compile_filter
from poller.core.patterns import compile_pattern
from poller.core.patterns_branches import OR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    if operator == "exists":
        return operand is True
    if operator == "anything-but":
        ((inner, excluded),) = operand.items() if isinstance(operand, dict) else [("", operand)]
        each = excluded if isinstance(excluded, list) else [excluded]
        return not any(fits({inner: one} if inner else one, value) for one in each)
    if operator == "numeric":
        return isinstance(value, int | float) and not isinstance(value, bool) and in_bounds(value, operand)
    return isinstance(value, str) and FITS_TEXT[operator](value, operand)


def same(wanted: object, value: object) -> bool:
    return bool(wanted == value) and isinstance(wanted, bool) == isinstance(value, bool)


def in_bounds(value: float, terms: list[Any]) -> bool:
    holds = {"=": float.__eq__, "<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
    return all(holds[sign](float(value), float(n)) for sign, n in zip(terms[::2], terms[1::2], strict=True))


def starts(value: str, text: Any) -> bool:
    if isinstance(text, dict):
        return starts(value.lower(), text["equals-ignore-case"].lower())
    return re.match(re.escape(text), value) is not None


def ends(value: str, text: Any) -> bool:
    if isinstance(text, dict):
        return ends(value.lower(), text["equals-ignore-case"].lower())
    return starts(value[::-1], text[::-1])


def fits_wildcard(value: str, text: str) -> bool:
    parts = re.findall(r"\\(.)|(\*)|([^*\\])", text)
    expression = "".join("(?s:.*)" if star else re.escape(escaped or plain) for escaped, star, plain in parts)
    return re.fullmatch(expression, value) is not None


def in_network(value: str, text: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False


FITS_TEXT: dict[str, Callable[[str, Any], bool]] = {
    "prefix": starts,
    "suffix": ends,
    "equals-ignore-case": lambda value, text: value.lower() == text.lower(),
    "exactly": lambda value, text: bool(value == text),
    "wildcard": fits_wildcard,
    "cidr": in_network,
}


# ---------------------------------------------------------------------------------------------------------- what is drawn

TEXTS = st.sampled_from(["", "x", "X", "xy", "yx", "xyx", "*", "x*", "10.0.0.1", "10.0.0.7", "1"])
NUMBERS = st.sampled_from([0, 1, 1.0, 1.5, -1, 2, -0.0, 2**53, 2**53 + 1, 1e300])
SCALARS = TEXTS | NUMBERS | st.booleans() | st.none()
BOUNDS = st.sampled_from([-1, 0, 1, 1.5, 2])
WILDCARDS = st.sampled_from(["", "*", "x*", "*x", "*y*", "x*x", "\\*", "*\\*", "x*y*x", "*.0.*", "\\\\"])


@st.composite
def numeric(draw: st.DrawFn) -> list[Any]:
    if draw(st.booleans()):
        return [draw(st.sampled_from(["=", "<", "<=", ">", ">="])), draw(BOUNDS)]
    bottom, top = draw(BOUNDS), draw(BOUNDS)
    assume(bottom < top)
    return [draw(st.sampled_from([">", ">="])), bottom, draw(st.sampled_from(["<", "<="])), top]


def expression(operator: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return operand.map(lambda value: {operator: value})


def listed(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | st.lists(strategy, min_size=1, max_size=2)


IGNORING_CASE = expression("equals-ignore-case", TEXTS)
EXPRESSIONS = st.one_of(
    IGNORING_CASE,
    expression("exists", st.booleans()),
    expression("exactly", TEXTS),
    expression("prefix", TEXTS | IGNORING_CASE),
    expression("suffix", TEXTS | IGNORING_CASE),
    expression("wildcard", WILDCARDS),
    expression("numeric", numeric()),
    expression("cidr", st.sampled_from(["10.0.0.0/29", "10.0.0.0/30", "10.0.0.7/31", "0.0.0.0/0"])),
    expression("anything-but", listed(TEXTS) | listed(NUMBERS)),
    expression("anything-but", expression("equals-ignore-case", listed(TEXTS))),
    expression("anything-but", expression("wildcard", listed(WILDCARDS))),
    expression("anything-but", expression("prefix", listed(TEXTS.filter(bool)))),
    expression("anything-but", expression("suffix", listed(TEXTS.filter(bool)))),
)
ARRAYS = st.lists(SCALARS | EXPRESSIONS, min_size=1, max_size=3)
ONE_FIELD = ARRAYS.map(lambda array: {"a": array})


class Shapes:
    """Patterns and events of a few names and values, drawn quickly: what counts is how arrays, objects and `$or` nest."""

    def __init__(self, seed: int, names: list[str]) -> None:
        self.random = Random(seed)
        self.names = names

    def event(self) -> dict[str, Any]:
        return {self.random.choice(self.names): self.value(1) for _ in range(self.random.randint(1, 3))}

    def value(self, depth: int) -> Any:
        kind = self.random.random()
        if depth > 4 or kind < 0.3:
            return self.random.choice(["x", "y", 1, True, None])
        if kind < 0.65:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]
        return {self.random.choice(self.names): self.value(depth + 1) for _ in range(self.random.randint(0, 3))}

    def pattern(self, depth: int = 0) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for _ in range(self.random.randint(1, 3)):
            leaf = depth >= 2 or self.random.random() < 0.5
            fields[self.random.choice(self.names)] = self.array() if leaf else self.pattern(depth + 1)
        if self.random.random() < 0.2:
            fields[OR] = [self.pattern(depth + 1), self.pattern(depth + 1)]
        return fields

    def array(self) -> list[Any]:
        return [
            self.random.choice(["x", "y", 1, True, None, {"exists": True}, {"exists": False}, {"anything-but": "x"}])
            for _ in range(self.random.randint(1, 2))
        ]


def overlapping(names: Iterable[str]) -> bool:
    """Whether one of the names is inside another: `a` and `a.b`."""
    known = list(names)
    return any(inner.startswith(f"{outer}.") for outer in known for inner in known)


def ambiguous(value: Any) -> bool:
    """Whether an event spells a name in two ways."""
    if isinstance(value, dict):
        return overlapping(value) or any(map(ambiguous, value.values()))
    return isinstance(value, list) and any(map(ambiguous, value))


# ------------------------------------------------------------------------------------------------------------- properties


@given(ONE_FIELD, SCALARS | st.lists(SCALARS, max_size=3))
def test_every_operator_agrees_with_the_plain_matcher(pattern: dict[str, Any], value: object) -> None:
    assert compile_pattern(pattern).matches({"a": value}) == naive(pattern, {"a": value})


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "b", "c", "a.b"]], ids=["names", "names with dots"])
@pytest.mark.parametrize("seed", range(2))
def test_nesting_agrees_with_the_plain_matcher(seed: int, names: list[str]) -> None:
    shapes = Shapes(seed, names)
    answers: Counter[bool] = Counter()
    for _ in range(3_000):
        pattern, event = shapes.pattern(), shapes.event()
        if any(overlapping(branch) for branch in branches_of(pattern, "", [{}])) or ambiguous(event):
            continue
        answer = compile_pattern(pattern).matches(event)
        assert answer == naive(pattern, event), (pattern, event)
        answers[answer] += 1
    assert min(answers[True], answers[False]) > 100


@pytest.mark.parametrize("seed", range(2))
def test_what_the_plain_matcher_wants_is_wanted_also_where_a_name_is_spelled_in_two_ways(seed: int) -> None:
    shapes = Shapes(seed, ["a", "b", "a.b"])
    found = 0
    for _ in range(3_000):
        pattern, event = shapes.pattern(), shapes.event()
        if ambiguous(event) and "'exists': False" not in repr(pattern) and naive(pattern, event):
            assert compile_pattern(pattern).matches(event), (pattern, event)
            found += 1
    assert found > 10


def test_or_is_the_union_of_its_branches_and_so_are_the_patterns_of_a_filter() -> None:
    shapes = Shapes(7, ["a", "b", "c"])
    for _ in range(800):
        one, other, event = shapes.pattern(), shapes.pattern(), shapes.event()
        either = compile_pattern(one).matches(event) or compile_pattern(other).matches(event)
        assert compile_pattern({OR: [one, other]}).matches(event) == either
        message = record(1, payload=orjson.dumps({"body": json.dumps(event)}))
        assert compile_filter([{"body": one}, {"body": other}], SQS).wants(message) == either


def test_one_more_value_never_makes_an_event_unwanted() -> None:
    shapes = Shapes(8, ["a", "b", "c"])
    wanted = 0
    for _ in range(2_500):
        pattern, event = shapes.pattern(), shapes.event()
        if compile_pattern(pattern).matches(event):
            wanted += 1
            assert compile_pattern(with_one_more(pattern, shapes)).matches(event), (pattern, event)
    assert wanted > 100


def with_one_more(pattern: dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    """The pattern with a further value for each of its fields."""
    more: dict[str, Any] = {}
    for key, value in pattern.items():
        if key == OR:
            more[key] = [with_one_more(branch, shapes) for branch in value]
        else:
            more[key] = with_one_more(value, shapes) if isinstance(value, dict) else [*value, *shapes.array()]
    return more
