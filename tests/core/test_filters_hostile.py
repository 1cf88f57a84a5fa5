"""What is thrown at a filter: any JSON as a pattern, any bytes as a record, and what is made to be slow (counted in steps)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, SupportsIndex

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import record

from poller.core.filters import KINESIS, SQS, InvalidPattern, compile_filter
from poller.core.patterns import DEEPEST_ARRAYS, Pattern, _gather, _Scope, compile_pattern
from poller.core.patterns_values import Values
from poller.core.patterns_wildcard import MOST_STARS, compile_wildcard

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = st.sampled_from(["$or", "prefix", "numeric", "anything-but", "exists", "wildcard", "cidr", "a"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | WORDS, inner),
    max_leaves=20,
)
ARRAYS: list[list[Any]] = [
    [{"exists": False}],
    [{"anything-but": ["x"]}, {"numeric": [">", 0]}],
    [{"wildcard": "*a*"}, {"cidr": "::/0"}],
    [{"prefix": {"equals-ignore-case": "S"}}, 1, None, True],
]


@given(ANY_JSON, ANY_JSON)
def test_any_json_compiles_or_is_an_invalid_pattern_and_any_json_matches_or_not(pattern: object, event: object) -> None:
    try:
        compiled = compile_pattern(json.dumps(pattern))
    except InvalidPattern as error:
        message = str(error)
    else:
        message = f"matches: {compiled.matches(event)}"
    assert message.encode()


@given(st.text())
def test_any_text_is_an_invalid_pattern(text: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(text)


@given(st.sampled_from(ARRAYS), ANY_JSON)
def test_any_event_matches_or_not(array: list[Any], value: object) -> None:
    compiled = compile_pattern({"a": array, "b": {"a": array}})
    assert compiled.matches({"a": value, "b": value}) in {True, False}


@given(st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_no_payload_makes_a_filter_raise(payload: bytes) -> None:
    for shape, pattern in ((KINESIS, {"data": {"a": [1]}}), (SQS, {"body": {"a": [1]}}), (SQS, {"body": ["a"]})):
        assert compile_filter([pattern], shape).wants(record(1, payload=payload)) is False


@given(st.binary(), ANY_JSON)
def test_no_message_makes_a_filter_raise(raw: bytes, value: object) -> None:
    for message in (raw.decode("latin-1"), value, json.dumps(value)):
        for shape, key in ((KINESIS, "data"), (SQS, "body")):
            payload = json.dumps({key: message, "kinesis": {key: message}}).encode()
            assert compile_filter([{key: {"a": [1]}}], shape).wants(record(1, payload=payload)) in {True, False}


@pytest.mark.parametrize(
    "pattern",
    ["[" * 100_000, '{"a":' * 2_000, '{"a":' * 200 + "[1]" + "}" * 200, '{"a":[' * 800, json.dumps({".".join("a" * 102): [1]})],
    ids=["arrays", "unclosed", "objects", "both", "a name of many steps"],
)
def test_a_pattern_that_is_nested_too_deeply_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


def test_a_pattern_nested_too_deeply_is_refused_also_as_an_object() -> None:
    pattern: dict[str, Any] = {"a": [1]}
    for _ in range(100_000):
        pattern = {"a": pattern}
    with pytest.raises(InvalidPattern, match="nested deeper than 100 levels"):
        compile_pattern(pattern)


def test_a_pattern_as_deep_as_allowed_matches_and_a_deeper_one_is_refused() -> None:
    def nested(inner: Any) -> Any:
        for _ in range(99):
            inner = {"a": inner}
        return inner

    assert compile_pattern(nested([1])).matches(nested(1))
    with pytest.raises(InvalidPattern, match="nested deeper than 100 levels"):
        compile_pattern(nested({"a": [1]}))


@pytest.mark.parametrize("depth", [DEEPEST_ARRAYS - 1, DEEPEST_ARRAYS, DEEPEST_ARRAYS + 1, 1_000])
def test_arrays_in_arrays_are_searched_however_deep_they_are(depth: int) -> None:
    def nested(inner: str) -> object:
        return orjson.loads('["y",' * depth + inner + "]" * depth)

    assert compile_pattern({"a": ["x"]}).matches({"a": nested('"x"')})
    assert compile_pattern({"a": {"b": ["x"], "c": ["y"]}}).matches({"a": nested('{"b": "x", "c": "y"}')})
    assert not compile_pattern({"a": ["z"]}).matches({"a": nested('"x"')})


class Counted(str):
    """A text that counts how many of its characters are looked at."""

    __slots__ = ("steps",)
    steps: int

    def startswith(self, prefix: Any, *rest: Any) -> bool:
        self.steps += len(prefix)
        return super().startswith(prefix, *rest)

    def endswith(self, suffix: Any, *rest: Any) -> bool:
        self.steps += len(suffix)
        return super().endswith(suffix, *rest)

    def find(self, sub: str, start: SupportsIndex | None = 0, end: SupportsIndex | None = None, /) -> int:
        found = super().find(sub, start, end)
        reached = int(end or len(self)) if found < 0 else found + len(sub)
        self.steps += reached - int(start or 0)
        return found


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a*a*a*a*b", "a" * 3_000),
        ("*ab*ab*ab*c*", "ab" * 1_500),
        ("*" + "a" * 50 + "*b", "a" * 3_000),
        ("a*a*a*a*a*", "a" * 3_000),
        ("*aab*aab*aac*", "aa" * 1_500),
    ],
)
def test_a_wildcard_reads_a_text_once(pattern: str, text: str) -> None:
    counted = Counted(text)
    counted.steps = 0
    compile_wildcard(pattern, "")(counted)
    assert 0 < counted.steps <= len(text) + len(pattern)
    assert pattern.count("*") <= MOST_STARS


def counting(calls: list[object]) -> Callable[[object], bool]:
    def never(value: object) -> bool:
        calls.append(value)
        return False

    return never


@pytest.mark.parametrize(
    "event",
    [
        lambda size: {"a": [{"b": n, "c": n} for n in range(size)]},
        lambda size: {"a": [[{"b": n}, {"c": n}] for n in range(size)]},
        lambda size: {"a": [{"b": list(range(size))}, {"c": list(range(size))}]},
    ],
    ids=["objects", "arrays", "values"],
)
def test_each_value_of_an_event_is_looked_at_once(event: Callable[[int], dict[str, object]]) -> None:
    calls: list[object] = []
    values = Values(counting(calls), absence=False)
    Pattern([{"a.b": values, "a.c": values}, {"a.b": values}]).matches(event(2_000))
    assert len(calls) <= 2 * 2_000


def test_a_field_that_is_satisfied_is_not_looked_at_again() -> None:
    calls: list[object] = []
    values = Values(lambda value: not counting(calls)(value), absence=False)
    assert Pattern([{"a": values}]).matches({"a": [["x"] * 10, *["x"] * 1_000]})
    assert len(calls) == 2


def test_elements_that_are_alike_are_kept_once_however_many_there_are() -> None:
    compiled, scope = compile_pattern({"a": {"b": ["x"], "c": [1]}}), _Scope()
    _gather(compiled._root, {"a": [{"b": text, "c": n} for n in range(5_000) for text in "xy"]}, scope, 0)
    assert [(element.seen, element.hits) for element in scope.arrays[0].elements] == [(3, 1), (3, 0), (3, 3), (3, 2)]
