"""Which patterns are valid, and what is said of those that are not: the place, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from poller.core.filters import KINESIS, SQS, InvalidPattern, compile_filter
from poller.core.patterns import compile_pattern

WRONG_SHAPES = {
    "null": ("", "Filter is not an object"),
    '"text"': ("", "Filter is not an object"),
    "[1]": ("", "Filter is not an object"),
    "{}": ("", "Empty objects are not allowed"),
    '{"a": {}}': ("a", "Empty objects are not allowed"),
    '{"a": {"b": {}}}': ("a.b", "Empty objects are not allowed"),
    '{"a": []}': ("a", "Empty arrays are not allowed"),
    '{"a": {"b": "x"}}': ("a.b", '"b" must be an object or an array'),
    '{"a": 1}': ("a", '"a" must be an object or an array'),
    '{"a": null}': ("a", '"a" must be an object or an array'),
    '{"a": ["x", ["y"]]}': ("a[1]", "Match value must be String, number, true, false, or null"),
    '{"a": [{}]}': ("a[0]", "Empty objects are not allowed"),
    '{"a": [{"prefix": "x", "suffix": "y"}]}': ("a[0]", "Only one key allowed in match expression"),
    '{"a": [{"prefix": "x", "prefix": "y"}]}': ("a[0]", "Only one key allowed in match expression"),
    '{"a": [{"Prefix": "x"}]}': ("a[0]", "Unrecognized match type Prefix"),
    '{"a": [{"b": ["x"]}]}': ("a[0]", "Unrecognized match type b"),
    '{"a": [1e309]}': ("", "the number 1e309 does not fit an IEEE double"),
    '{"a": [1e-400]}': ("", "the number 1e-400 does not fit an IEEE double"),
    '{"a": [NaN]}': ("", "Filter is not JSON: NaN"),
    '{"a": ["x"}': ("", "Filter is not JSON: Expecting ',' delimiter: line 1 column 11 (char 10)"),
}


@pytest.mark.rule("filter.refused")
@pytest.mark.parametrize(("pattern", "said"), WRONG_SHAPES.items(), ids=WRONG_SHAPES)
def test_a_pattern_of_a_wrong_shape_is_refused(pattern: str, said: tuple[str, str]) -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern(pattern)
    assert (refused.value.where, refused.value.problem) == said


NUMERIC = 'numeric takes ["=", n], one bound, or a lower bound (> >=) and an upper one (< <=), of numbers'
MIXED = "Inside anything-but list, either all values are number or string, mixed type is not supported"
TOO_COMPLEX = "Rule is too complex - try using fewer wildcard characters (at most 5)"

WRONG_OPERANDS: list[tuple[dict[str, Any], str, str]] = [
    ({"exactly": 1}, ".exactly", "exact match pattern must be a string, not 1"),
    ({"prefix": None}, ".prefix", "prefix match pattern must be a string, not null"),
    ({"prefix": ["x"]}, ".prefix", 'prefix match pattern must be a string, not ["x"]'),
    ({"prefix": {"suffix": "x"}}, ".prefix", "Unsupported prefix pattern: suffix"),
    ({"suffix": {}}, ".suffix", "Empty objects are not allowed"),
    (
        {"suffix": {"equals-ignore-case": 1}},
        ".suffix.equals-ignore-case",
        "equals-ignore-case match pattern must be a string, not 1",
    ),
    ({"equals-ignore-case": True}, ".equals-ignore-case", "equals-ignore-case match pattern must be a string, not true"),
    ({"exists": "yes"}, ".exists", "exists match pattern must be either true or false."),
    ({"exists": None}, ".exists", "exists match pattern must be either true or false."),
    ({"exists": 1}, ".exists", "exists match pattern must be either true or false."),
    ({"wildcard": 1}, ".wildcard", "wildcard match pattern must be a string, not 1"),
    ({"wildcard": "a**b"}, ".wildcard", "Consecutive wildcard characters at pos 1"),
    ({"wildcard": "**"}, ".wildcard", "Consecutive wildcard characters at pos 0"),
    ({"wildcard": "a\\b"}, ".wildcard", "Invalid escape character at pos 1"),
    ({"wildcard": "a\\"}, ".wildcard", "Invalid escape character at pos 1"),
    ({"wildcard": "*a*a*a*a*a*"}, ".wildcard", TOO_COMPLEX),
    ({"numeric": 1}, ".numeric", "Value of numeric must be an array."),
    ({"numeric": []}, ".numeric", NUMERIC),
    ({"numeric": ["=", True]}, ".numeric", NUMERIC),
    ({"numeric": ["==", 1]}, ".numeric", NUMERIC),
    ({"numeric": ["<", 1, ">", 0]}, ".numeric", NUMERIC),
    ({"numeric": [">", 1, "=", 2]}, ".numeric", NUMERIC),
    ({"numeric": [">", 1, "<", 2, 3]}, ".numeric", NUMERIC),
    ({"numeric": [">", 1, "<", 1]}, ".numeric", "Bottom must be less than top"),
    ({"anything-but": None}, ".anything-but", MIXED),
    ({"anything-but": True}, ".anything-but", MIXED),
    ({"anything-but": ["x", 1]}, ".anything-but", MIXED),
    ({"anything-but": []}, ".anything-but", "Empty arrays are not allowed"),
    ({"anything-but": {"numeric": ["=", 1]}}, ".anything-but", "Unsupported anything-but pattern: numeric"),
    ({"anything-but": {"prefix": []}}, ".anything-but.prefix", "Empty arrays are not allowed"),
    ({"anything-but": {"prefix": ["x", ""]}}, ".anything-but.prefix", "Null prefix/suffix not allowed"),
    ({"anything-but": {"suffix": ""}}, ".anything-but.suffix", "Null prefix/suffix not allowed"),
    ({"anything-but": {"wildcard": ["x", "**"]}}, ".anything-but.wildcard", "Consecutive wildcard characters at pos 0"),
    ({"cidr": "10.0.0.0"}, ".cidr", "Malformed CIDR, one '/' required"),
    ({"cidr": "10.0.0.0/8/8"}, ".cidr", "Malformed CIDR, one '/' required"),
    ({"cidr": "10.0.0.256/8"}, ".cidr", "Nonstandard IP address: 10.0.0.256"),
    ({"cidr": "fe80::1%eth0/64"}, ".cidr", "Nonstandard IP address: fe80::1%eth0"),
    ({"cidr": "10.0.0.0/x"}, ".cidr", "Malformed CIDR, mask bits must be an integer"),
    ({"cidr": "10.0.0.0/-1"}, ".cidr", "Malformed CIDR, mask bits must be an integer"),
    ({"cidr": "10.0.0.0/32"}, ".cidr", "IPv4 mask bits must be < 32"),
    ({"cidr": "::/128"}, ".cidr", "IPv6 mask bits must be < 128"),
]


@pytest.mark.rule("filter.refused")
@pytest.mark.parametrize(("expression", "where", "problem"), WRONG_OPERANDS, ids=[repr(case[0]) for case in WRONG_OPERANDS])
def test_an_operand_of_the_wrong_kind_is_refused(expression: dict[str, Any], where: str, problem: str) -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern({"body": {"a": ["x", expression]}})
    assert (refused.value.where, refused.value.problem) == (f"body.a[1]{where}", problem)


@pytest.mark.parametrize(
    ("alternatives", "where", "problem"),
    [
        ([{"a": ["x"]}], "$or[0]", "Unrecognized match type a"),
        ([{"a": ["x"]}, {"prefix": "x"}], "$or[0]", "Unrecognized match type a"),
        ([{"a": ["x"]}, "x"], "$or[0]", "Unrecognized match type a"),
        ([{"a": ["x"]}, {}], "", "Empty objects are not allowed"),
        ([{"a": ["x"]}, {"b": "x"}], "b", '"b" must be an object or an array'),
        ([{"a": ["x"]}, {"b": {"numeric": ["x"]}}], "b", "numeric is a reserved name and cannot be a field inside $or"),
        ([], "$or", "Empty arrays are not allowed"),
    ],
)
def test_an_or_that_is_none_is_refused_like_any_field(alternatives: list[Any], where: str, problem: str) -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern({"$or": alternatives})
    assert (refused.value.where, refused.value.problem) == (where, problem)


def test_the_combinations_of_or_are_limited() -> None:
    tenfold = {"$or": [{"a": [n]} for n in range(10)]}
    compile_pattern({"a": tenfold, "b": tenfold, "c": tenfold})
    with pytest.raises(InvalidPattern, match=r"at d: \$or makes more than 1000 combinations"):
        compile_pattern({"a": tenfold, "b": tenfold, "c": tenfold, "d": tenfold})


@pytest.mark.parametrize("pattern", [{"a": [{1, 2}]}, {"a": [float("nan")]}, {"a": [b"x"]}])
def test_an_object_that_json_cannot_say_is_refused(pattern: dict[str, Any]) -> None:
    with pytest.raises(InvalidPattern, match="Filter is not JSON"):
        compile_pattern(pattern)


@pytest.mark.rule("filter.refused")
def test_the_message_of_a_filter_says_which_pattern_and_where() -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_filter([{"body": ["x"]}, '{"body": {"a": [{"prefix": 1}]}}'], SQS)
    assert refused.value.number == 2
    assert str(refused.value) == "pattern 2, at body.a[0].prefix: prefix match pattern must be a string, not 1"


@pytest.mark.rule("filter.kinesis.data-must-be-json")
@pytest.mark.parametrize("pattern", [{"data": ["text"]}, {"$or": [{"partitionKey": ["1"]}, {"data": [{"exists": True}]}]}])
def test_the_data_of_kinesis_cannot_be_matched_as_text(pattern: dict[str, Any]) -> None:
    with pytest.raises(InvalidPattern, match="pattern 1, at data: the data of Kinesis must be JSON"):
        compile_filter([pattern], KINESIS)


def test_a_message_can_be_printed_whatever_the_pattern_holds() -> None:
    with pytest.raises(InvalidPattern) as refused:
        compile_pattern('{"\\ud800": [{"\\udfff": 1}]}')
    assert str(refused.value).encode() == b"at \\ud800[0]: Unrecognized match type \\udfff"
