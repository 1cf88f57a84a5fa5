"""Rules between the concurrency of functions and that of the process, over what was written: any of it may be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from poller.config.problem import quote
from poller.config.section import Section, given_key, given_value
from poller.config.wording import fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import InitErrorDetails

RESERVED: Final = "reserved_concurrency"
LEAST_UNRESERVED: Final = 1
"""What reservations must leave where a function reserves nothing, else it could never run. Lambda keeps 100 of an account's 1,000
for those; here who sets the limit sees all functions that share it."""


def reservations(given: Mapping[str, object], *, usual: int) -> Iterator[InitErrorDetails]:
    """Functions that reserve less than they ask for elsewhere, or more than there is; `usual`: the limit if none is written."""
    functions = given.get("functions")
    if not isinstance(functions, Mapping):
        return
    for name, function in functions.items():
        yield from _within(str(name), function)
    limit = _number(given, "concurrency_limit") if "concurrency_limit" in given else usual
    if limit is not None:
        yield from _sum(functions, limit)


def _within(name: str, function: object) -> Iterator[InitErrorDetails]:
    """Nothing that a function may or must have is above what it reserves, which is all that it can have."""
    reserved = _number(function, RESERVED)
    if reserved is None:
        return
    most, ready = given_key(function, "maximum_concurrency"), given_key(function, "provisioned_concurrency")
    if most is not None and 0 < reserved < (_number(function, most) or 0):
        text = f"{quote(most)} must not be above {RESERVED}, {reserved}: the function never has more than it reserves"
        yield fault(("functions", name, most), text)
    if ready is not None and reserved < (_number(function, ready) or 0):
        text = (
            f"{quote(ready)} must not be above {RESERVED}, {reserved} (Lambda: Requested Provisioned Concurrency should not be"
            " greater than the reservedConcurrentExecution for function)"
        )
        yield fault(("functions", name, ready), text)


def _sum(functions: Mapping[str, object], limit: int) -> Iterator[InitErrorDetails]:
    """All reservations together are within the limit of the process, and leave something to those that reserve nothing."""
    reserved = {name: count for name, function in functions.items() if (count := _number(function, RESERVED))}
    poor = next((name for name, function in functions.items() if _reserves_nothing(function)), None)
    total, least = sum(reserved.values()), 0 if poor is None else LEAST_UNRESERVED
    if not reserved or total + least <= limit:
        return
    largest = max(reserved, key=reserved.__getitem__)
    left = f", which leaves none for {quote(poor)}" if poor is not None and total <= limit else ""
    text = (
        f"the functions reserve {total} together, concurrency_limit is {limit}{left}: raise that to {total + least} or more, or"
        f" reserve less (Lambda: Specified ReservedConcurrentExecutions for function decreases account's"
        f" UnreservedConcurrentExecution below its minimum value of [{least}])"
    )
    yield fault(("functions", largest, given_key(functions[largest], RESERVED) or RESERVED), text)


def _reserves_nothing(function: object) -> bool:
    return isinstance(function, Mapping | Section) and given_value(function, RESERVED) is None


def _number(section: object, field: str) -> int | None:
    value = given_value(section, field)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
