"""What each form of a pattern wants and does not want, by example."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from poller.core.patterns import compile_pattern

OPERATORS: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    # name: (the array of the field, values that it wants, values that it does not want)
    "text": (["x", "y"], ["x", "y", ["z", "y"]], ["X", "", "xy", None, [], ["z"], {"x": "x"}]),
    "empty text": ([""], ["", [""]], [None, " ", [], [[]]]),
    "null": ([None], [None, [None]], ["", "null", 0, False, [], {}]),
    "flags": ([True], [True], [False, 1, 1.0, "true"]),
    "numbers are no flags": ([1, 0], [1, 0, 1.0], [True, False, "1"]),
    "a mixture": (["x", 1, None, True], ["x", 1, None, True], ["y", 2, False]),
    "exactly": ([{"exactly": "x"}], ["x"], ["X", 1]),
    "prefix": ([{"prefix": "ab"}], ["ab", "abc"], ["a", "Ab", "xab", 1, None]),
    "empty prefix": ([{"prefix": ""}], ["", "x"], [1, None]),
    "prefix, any case": ([{"prefix": {"equals-ignore-case": "aB"}}], ["abc", "AB"], ["a", "ba"]),
    "suffix": ([{"suffix": "ab"}], ["ab", "xab"], ["b", "xAB", "abx", 1]),
    "suffix, any case": ([{"suffix": {"equals-ignore-case": ".pNg"}}], ["a.PNG", ".png"], ["png", "a.png "]),
    "any case": ([{"equals-ignore-case": "Straße"}], ["STRASSE", "straße"], ["Strase", ""]),
    "wildcard": ([{"wildcard": "a*b*c"}], ["abc", "axxbxxc", "abcbc"], ["ab", "acb", "abcx", "xabc", "ac"]),
    "wildcards that would overlap": ([{"wildcard": "*aa*aa*a"}], ["aaaaa", "aaxaaxa"], ["aaaa", "aaa"]),
    "wildcard in a row of the same": ([{"wildcard": "a*a"}], ["aa", "aba"], ["a", ""]),
    "wildcard at both ends": ([{"wildcard": "*b*"}], ["b", "abc"], ["", "a"]),
    "wildcard alone": ([{"wildcard": "*"}], ["", "x"], [1, None]),
    "wildcard without a star": ([{"wildcard": "x"}], ["x"], ["xx"]),
    "escaped star": ([{"wildcard": r"a\**\\"}], ["a*\\", "a*xyz\\"], ["ax\\", "a*"]),
    "equal number": ([{"numeric": ["=", 1.5]}], [1.5], [1, "1.5", True]),
    "lower bound": ([{"numeric": [">=", 1]}], [1, 1.0, 1e300], [0.99, True, "2", None]),
    "upper bound": ([{"numeric": ["<", 0]}], [-0.1, -1e300], [0, -0.0, 1]),
    "open range": ([{"numeric": [">", 0, "<", 1]}], [0.5, 5e-324], [0, 1]),
    "closed range": ([{"numeric": [">=", 0, "<=", 1]}], [0, 1, -0.0], [-1e-9, 1.0000001]),
    "half-open ranges": ([{"numeric": [">", 0, "<=", 1]}, {"numeric": [">=", 5, "<", 6]}], [1, 5], [0, 6]),
    "anything but a text": ([{"anything-but": "x"}], ["y", "", 1, None, True, ["x", "y"]], ["x", [], {"x": "y"}]),
    "anything but a number": ([{"anything-but": 1}], [2, "1", None, True], [1, 1.0]),
    "anything but numbers": ([{"anything-but": [0, 1]}], [2, True, False], [0, 1, -0.0]),
    "anything but a prefix": ([{"anything-but": {"prefix": ["a", "b"]}}], ["ca", 1, None], ["a", "bc"]),
    "anything but a suffix": ([{"anything-but": {"suffix": "a"}}], ["ab", 1], ["a", "ba"]),
    "anything but, any case": ([{"anything-but": {"equals-ignore-case": ["A", "b"]}}], ["c", 1], ["a", "B"]),
    "anything but a wildcard": ([{"anything-but": {"wildcard": ["a*", "*b"]}}], ["c", "", 1], ["a", "ab", "b"]),
    "exists": ([{"exists": True}], ["", None, False, 0, ["x"]], [[], {}, {"x": 1}, [{}], [[]], [{"x": 1}]]),
    "exists not": ([{"exists": False}], [[], {}, {"x": 1}, [{}], [[]], [{"x": 1}]], ["", None, False, 0, ["x"]]),
    "cidr 4": (
        [{"cidr": "10.1.0.9/16"}],
        ["10.1.0.0", "10.1.255.255", "10.01.2.3", "::ffff:10.1.2.3"],
        ["10.2.0.0", "10.1", "::1"],
    ),
    "cidr 0": ([{"cidr": "0.0.0.0/0"}], ["255.255.255.255"], ["::", "256.0.0.0", "1.2.3.4.5", "1.2.3.x", "", 1]),
    "cidr 6": ([{"cidr": "2001:db8::/33"}], ["2001:DB8:7fff::1", "2001:db8:0:0:0:0:0:1"], ["2001:db8:8000::", "10.0.0.1"]),
    "no addresses": (
        [{"cidr": "::/0"}],
        ["::", "1::", "::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4"],
        [":", ":::", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "12345::", "g::", "::1.2.3", "::1%eth0", "+1::"],
    ),
}


@pytest.mark.rule("filter.operators")
@pytest.mark.rule("filter.exists-is-for-leaves")
@pytest.mark.parametrize(("array", "wanted", "unwanted"), OPERATORS.values(), ids=OPERATORS)
def test_an_operator_wants_these_values_and_not_those(array: list[Any], wanted: list[Any], unwanted: list[Any]) -> None:
    compiled = compile_pattern({"a": array})
    assert [value for value in wanted if not compiled.matches({"a": value})] == []
    assert [value for value in unwanted if compiled.matches({"a": value})] == []


@pytest.mark.rule("filter.numbers-by-value")
@pytest.mark.parametrize("written", ["300", "300.0", "3e2", "3.00E+2", "30000e-2"])
@pytest.mark.parametrize("event", ["300", "300.0", "3e2"])
def test_numbers_are_equal_by_value_however_they_are_written(written: str, event: str) -> None:
    assert compile_pattern(f'{{"a": [{written}]}}').matches(orjson.loads(f'{{"a": {event}}}'))


@pytest.mark.parametrize(
    ("written", "equal", "different"),
    [
        ("9007199254740993", "9007199254740993", "9007199254740992"),
        ("18446744073709551615", "18446744073709551615", "18446744073709551614"),
        ("-9223372036854775808", "-9223372036854775808", "-9223372036854775807"),
        ("123456789012345678901234567890", "123456789012345678901234567891", "123456789012345778901234567890"),
        ("0.1", "0.10000000000000001", "0.1000000000000001"),
    ],
)
def test_integers_of_64_bits_are_exact_and_other_numbers_doubles(written: str, equal: str, different: str) -> None:
    compiled = compile_pattern(f'{{"a": [{written}]}}')
    assert compiled.matches(orjson.loads(f'{{"a": {equal}}}'))
    assert not compiled.matches(orjson.loads(f'{{"a": {different}}}'))


PEOPLE = {
    "people": [
        {"name": "Ann", "pets": [{"kind": "cat", "age": 3}, {"kind": "dog", "age": 9}]},
        {"name": "Bob", "pets": [{"kind": "cat", "age": 9}], "fired": None},
    ],
    "tags": ["x", "y"],
    "flats": [{"floor": 1, "rooms": [{"damp": 1}, {"damp": 2}]}, {"floor": 1}],
    "a.b": {"c": 1},
}

SHAPES: dict[str, tuple[dict[str, Any], bool]] = {
    "fields of one element": ({"people": {"name": ["Bob"], "pets": {"age": [9]}}}, True),
    "fields of two elements": ({"people": {"name": ["Bob"], "pets": {"kind": ["dog"]}}}, False),
    "elements of an inner array": ({"people": {"name": ["Ann"], "pets": {"kind": ["cat"], "age": [9]}}}, False),
    "another element has both": ({"people": {"pets": {"kind": ["cat"], "age": [9]}}}, True),
    "missing in the element that was chosen before": ({"people": {"name": ["Ann"], "z": [{"exists": False}]}}, True),
    "missing in the element of the name": ({"people": {"name": ["Ann"], "pets": {"z": [{"exists": False}]}}}, True),
    "in the order of the names: not missing everywhere": ({"people": {"fired": [{"exists": False}], "name": ["Ann"]}}, False),
    "an object is no leaf": ({"people": [{"exists": False}]}, True),
    "two values of one array": ({"tags": ["x"], "$or": [{"tags": ["y"]}, {"a": {"b": {"c": [2]}}}]}, True),
    "an element with the same fields, and more in an inner array": (
        {"flats": {"floor": [1], "rooms": {"damp": [{"exists": False}]}}},
        True,
    ),
    "dots in the event": ({"a": {"b": {"c": [1]}}}, True),
    "dots in the pattern": ({"people.pets.age": [3]}, True),
    "dots in both": ({"a.b.c": [1]}, True),
    "other dots": ({"a": {"b.c": [1]}}, True),
    "another place": ({"b": {"c": [1]}}, False),
}


@pytest.mark.rule("filter.fields-together")
@pytest.mark.rule("filter.one-element-of-an-array")
@pytest.mark.rule("filter.dots")
@pytest.mark.parametrize(("pattern", "matches"), SHAPES.values(), ids=SHAPES)
def test_fields_have_to_hold_together(pattern: dict[str, Any], matches: bool) -> None:  # noqa: FBT001 - a row of the table
    assert compile_pattern(pattern).matches(PEOPLE) is matches


ORS: dict[str, tuple[str, str, bool]] = {
    "the first": ('{"$or": [{"a": [1]}, {"b": [2]}]}', '{"a": 1}', True),
    "the last": ('{"$or": [{"a": [1]}, {"b": [2]}]}', '{"a": 2, "b": 2}', True),
    "none": ('{"$or": [{"a": [1]}, {"b": [2]}]}', '{"a": 2, "b": 1}', False),
    "beside a field": ('{"c": [3], "$or": [{"a": [1]}, {"b": [2]}]}', '{"a": 1}', False),
    "inside an object": ('{"o": {"$or": [{"a": [1]}, {"b": [2]}]}}', '{"o": {"b": 2}}', True),
    "inside an or": ('{"$or": [{"a": [1]}, {"c": [3], "$or": [{"b": [2]}, {"b": [3]}]}]}', '{"b": 3, "c": 3}', True),
    "two of them": (
        '{"$or": [{"a": [1]}, {"b": [2]}], "o": {"$or": [{"c": [3]}, {"d": [4]}]}}',
        '{"a": 1, "o": {"c": 4}}',
        False,
    ),
    "a field that is named again inside": ('{"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}', '{"a": 2}', True),
    "a field that is named again behind": ('{"$or": [{"a": [2]}, {"b": [3]}], "a": [1]}', '{"a": 2}', False),
    "a field of that name": ('{"$or": [{"prefix": "x"}, {"suffix": "y"}]}', '{"$or": "zy"}', True),
    "an object of that name": ('{"$or": {"a": [1]}}', '{"$or": {"a": 1}}', True),
    "values of that name": ('{"$or": ["x", "y"]}', '{"$or": "y"}', True),
}


@pytest.mark.rule("filter.or")
@pytest.mark.parametrize(("pattern", "event", "matches"), ORS.values(), ids=ORS)
def test_or_relates_fields(pattern: str, event: str, matches: bool) -> None:  # noqa: FBT001 - a row of the table
    assert compile_pattern(pattern).matches(orjson.loads(event)) is matches


@pytest.mark.rule("filter.last-duplicate-key")
def test_of_two_arrays_for_one_field_the_last_counts() -> None:
    compiled = compile_pattern('{"a": ["x"], "b": {"c": [1]}, "b": {"c": [2]}, "a": ["y"]}')
    assert compiled.matches({"a": "y", "b": {"c": 2}})
    assert not compiled.matches({"a": "x", "b": {"c": 2}})
    assert not compiled.matches({"a": "y", "b": {"c": 1}})


def test_a_field_of_two_places_need_not_be_in_the_element_that_another_field_has_chosen() -> None:
    compiled = compile_pattern({"a": {"b": ["x"], "c": ["y"]}})
    assert compiled.matches({"a": [{"b": "x"}, {"c": "y"}], "a.b": [["x"], ["z"]]})
    assert not compiled.matches({"a": [{"b": "x"}, {"c": "y"}], "a.b": [["z"], ["z"]]})


@pytest.mark.parametrize("document", [None, True, 1, "x", [], [{"a": 1}]])
def test_what_is_no_object_never_matches(document: object) -> None:
    assert not compile_pattern({"a": [{"exists": False}]}).matches(document)


def test_a_pattern_may_be_an_object_or_its_json() -> None:
    for pattern in ({"a": [1, {"prefix": "x"}]}, '{"a": [1, {"prefix": "x"}]}'):
        assert compile_pattern(pattern).matches({"a": "xy"})
