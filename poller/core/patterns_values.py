"""What one field may be: the array at a leaf of a pattern, compiled into one test.

The operators are those of EventBridge as its published engine has them; Lambda's guide names most of them, and is silent about
`wildcard`, `cidr`, `exactly` and some forms of `anything-but`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from poller.core.patterns_address import network
from poller.core.patterns_json import InvalidPattern, Members, shown
from poller.core.patterns_wildcard import compile_wildcard

if TYPE_CHECKING:
    from collections.abc import Sequence

Scalar = str | int | float | bool | None
"""A leaf of an event. Objects and arrays are never compared."""

Test = Callable[[object], bool]
"""Whether a scalar is wanted. Takes any of the five kinds, and raises nothing."""


class Values(NamedTuple):
    """The compiled array of a leaf.

    Attributes:
        accepts: whether one value of the event is wanted.
        absence: whether the field may be missing (`exists: false`).
    """

    accepts: Test
    absence: bool


def compile_values(array: Sequence[object], where: str) -> Values:
    """The test of a leaf's array: an event's value has to satisfy one of its elements.

    Raises:
        InvalidPattern: an element is no value and no match expression.
    """
    if not array:
        raise InvalidPattern("Empty arrays are not allowed", where)
    literals: list[Scalar] = []
    tests: list[Test] = []
    absence = False
    for index, element in enumerate(array):
        here = f"{where}[{index}]"
        if isinstance(element, Members):
            test = _expression(element, here)
            absence = absence or test is None
            tests += [test] if test is not None else []
        elif _is_scalar(element):
            literals.append(element)
        else:
            raise InvalidPattern("Match value must be String, number, true, false, or null", here)
    return Values(_any_of(literals, tests), absence)


def _any_of(literals: list[Scalar], tests: list[Test]) -> Test:
    if not literals and len(tests) == 1:
        return tests[0]
    equal = _equal_to(literals)
    if not tests:
        return equal
    return lambda value: equal(value) or any(test(value) for test in tests)


def _equal_to(literals: list[Scalar]) -> Test:
    """Python's equality is that of patterns (300, 300.0 and 3e2 are one number), but for `True == 1`."""
    flags = frozenset(each for each in literals if isinstance(each, bool))
    others = frozenset(each for each in literals if not isinstance(each, bool))
    if not flags and all(isinstance(each, str) for each in others):
        return others.__contains__
    return lambda value: value in (flags if isinstance(value, bool) else others)


def _expression(expression: Members, where: str) -> Test | None:
    """The test of `{"operator": operand}`; None for `exists: false`, which no value satisfies."""
    operator, operand = _only(expression, where)
    here = f"{where}.{operator}"
    if operator == "exists":
        return _exists(operand, here)
    compile_operand = _OPERATORS.get(operator)
    if compile_operand is None:
        raise InvalidPattern(f"Unrecognized match type {operator}", where)
    return compile_operand(operand, here)


def _exists(operand: object, where: str) -> Test | None:
    if not isinstance(operand, bool):
        raise InvalidPattern("exists match pattern must be either true or false.", where)
    return (lambda _: True) if operand else None


def _exactly(operand: object, where: str) -> Test:
    return _equal_to([_string("exact", operand, where)])


def _prefix(operand: object, where: str) -> Test:
    if isinstance(operand, Members):
        start = _fold(_ignoring_case("prefix", operand, where))
        return lambda value: isinstance(value, str) and _fold(value).startswith(start)
    start = _string("prefix", operand, where)
    return lambda value: isinstance(value, str) and value.startswith(start)


def _suffix(operand: object, where: str) -> Test:
    if isinstance(operand, Members):
        end = _fold(_ignoring_case("suffix", operand, where))
        return lambda value: isinstance(value, str) and _fold(value).endswith(end)
    end = _string("suffix", operand, where)
    return lambda value: isinstance(value, str) and value.endswith(end)


def _equals_ignore_case(operand: object, where: str) -> Test:
    wanted = _fold(_string("equals-ignore-case", operand, where))
    return lambda value: isinstance(value, str) and _fold(value) == wanted


def _wildcard(operand: object, where: str) -> Test:
    fits = compile_wildcard(_string("wildcard", operand, where), where)
    return lambda value: isinstance(value, str) and fits(value)


def _cidr(operand: object, where: str) -> Test:
    holds = network(_string("cidr", operand, where), where).holds
    return lambda value: isinstance(value, str) and holds(value)


def _numeric(operand: object, where: str) -> Test:
    """`[op, n]`, or a lower bound and an upper one: `[">", n, "<=", m]`."""
    if not isinstance(operand, list):
        raise InvalidPattern("Value of numeric must be an array.", where)
    match operand:
        case ["=", equal] if _is_number(equal):
            return lambda value: _is_number(value) and value == equal
        case [("<" | "<=") as below, top] if _is_number(top):
            return _range(float("-inf"), top, closed=(True, below == "<="))
        case [(">" | ">=") as above, bottom] if _is_number(bottom):
            return _range(bottom, float("inf"), closed=(above == ">=", True))
        case [(">" | ">=") as above, bottom, ("<" | "<=") as below, top] if _is_number(bottom) and _is_number(top):
            if bottom >= top:
                raise InvalidPattern("Bottom must be less than top", where)
            return _range(bottom, top, closed=(above == ">=", below == "<="))
    raise InvalidPattern('numeric takes ["=", n], one bound, or a lower bound (> >=) and an upper one (< <=), of numbers', where)


def _range(bottom: float, top: float, *, closed: tuple[bool, bool]) -> Test:
    match closed:
        case (True, True):
            return lambda value: _is_number(value) and bottom <= value <= top
        case (True, False):
            return lambda value: _is_number(value) and bottom <= value < top
        case (False, True):
            return lambda value: _is_number(value) and bottom < value <= top
    return lambda value: _is_number(value) and bottom < value < top


def _anything_but(operand: object, where: str) -> Test:
    """Any value but these. A value of another kind than theirs is one, `null` too; a field that is missing is not."""
    if isinstance(operand, Members):
        operator, values = _only(operand, where)
        negated = _NEGATED.get(operator)
        if negated is None:
            raise InvalidPattern(f"Unsupported anything-but pattern: {operator}", where)
        return negated(values, f"{where}.{operator}")
    values = _listed(operand, where)
    if not (all(isinstance(each, str) for each in values) or all(_is_number(each) for each in values)):
        raise InvalidPattern(
            "Inside anything-but list, either all values are number or string, mixed type is not supported", where
        )
    excluded = _equal_to([each for each in values if _is_scalar(each)])
    return lambda value: not excluded(value)


def _but_prefix(operand: object, where: str) -> Test:
    starts = tuple(_strings("prefix", operand, where, empty=False))
    return lambda value: not (isinstance(value, str) and value.startswith(starts))


def _but_suffix(operand: object, where: str) -> Test:
    ends = tuple(_strings("suffix", operand, where, empty=False))
    return lambda value: not (isinstance(value, str) and value.endswith(ends))


def _but_ignoring_case(operand: object, where: str) -> Test:
    excluded = frozenset(map(_fold, _strings("equals-ignore-case", operand, where)))
    return lambda value: not (isinstance(value, str) and _fold(value) in excluded)


def _but_wildcard(operand: object, where: str) -> Test:
    fits = [compile_wildcard(text, where) for text in _strings("wildcard", operand, where)]
    return lambda value: not (isinstance(value, str) and any(fit(value) for fit in fits))


_OPERATORS: dict[str, Callable[[object, str], Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "exactly": _exactly,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}

_NEGATED: dict[str, Callable[[object, str], Test]] = {
    "equals-ignore-case": _but_ignoring_case,
    "prefix": _but_prefix,
    "suffix": _but_suffix,
    "wildcard": _but_wildcard,
}

OPERATORS = frozenset({*_OPERATORS, "exists"})
"""The names of match expressions."""


def _only(expression: Members, where: str) -> tuple[str, object]:
    """The one key of an expression, and its operand."""
    if len(expression.pairs) != 1:
        problem = "Only one key allowed in match expression" if expression.pairs else "Empty objects are not allowed"
        raise InvalidPattern(problem, where)
    return expression.pairs[0]


def _ignoring_case(name: str, operand: Members, where: str) -> str:
    operator, value = _only(operand, where)
    if operator != "equals-ignore-case":
        raise InvalidPattern(f"Unsupported {name} pattern: {operator}", where)
    return _string(operator, value, f"{where}.{operator}")


def _string(name: str, operand: object, where: str) -> str:
    if not isinstance(operand, str):
        raise InvalidPattern(f"{name} match pattern must be a string, not {shown(operand)}", where)
    return operand


def _strings(name: str, operand: object, where: str, *, empty: bool = True) -> list[str]:
    """One string or a list of them."""
    texts = [_string(name, each, where) for each in _listed(operand, where)]
    if not (empty or all(texts)):
        raise InvalidPattern("Null prefix/suffix not allowed", where)
    return texts


def _listed(operand: object, where: str) -> list[object]:
    if operand == []:
        raise InvalidPattern("Empty arrays are not allowed", where)
    return operand if isinstance(operand, list) else [operand]


def _fold(text: str) -> str:
    """Unicode's own way to make cases equal."""
    return text.casefold()


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: object) -> TypeGuard[Scalar]:
    return value is None or isinstance(value, str | int | float)
