"""Rules between mappings and functions, over what was written: any of it may be wrong, missing or of another type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from poller.config.arn import names_queue
from poller.config.mappings import default_uuid
from poller.config.problem import quote
from poller.config.section import given_text
from poller.config.wording import Path, fault, guess

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from pydantic_core import InitErrorDetails

SECTION = "event_source_mappings"

_QUALIFIED = re.compile(r"(?:(?:arn:aws[a-z0-9-]*:lambda:[a-z0-9-]+:)?[0-9]{12}:function:)?([A-Za-z0-9_-]+)(?::[$A-Za-z0-9_-]+)?")
"""A name, a name and a qualifier, a partial ARN or a whole one."""


def collisions(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """Mappings that name a function which does not exist, or claim what another mapping has."""
    functions, mappings = given.get("functions"), given.get(SECTION)
    if not isinstance(mappings, list | tuple):
        return
    if isinstance(functions, Mapping):
        yield from _unknown_functions(functions, mappings)
    yield from _taken_names(mappings)
    yield from _taken_uuids(mappings)
    yield from _taken_sources(mappings)


def _unknown_functions(functions: Mapping[str, object], mappings: Sequence[object]) -> Iterator[InitErrorDetails]:
    for index, mapping in enumerate(mappings):
        name = given_text(mapping, "function_name")
        if name and name not in functions:
            text = f"Function does not exist: {quote(name)} is not under functions{_instead(name, functions)}"
            yield fault((SECTION, index, "function_name"), text)


def _instead(name: str, functions: Mapping[str, object]) -> str:
    """The function that may have been meant. Lambda takes ARNs and qualifiers as well, which mean nothing here."""
    found = _QUALIFIED.fullmatch(name) if ":" in name else None
    bare = found[1] if found else name
    hint = f", did you mean {quote(bare)}?" if bare in functions else guess(bare, functions)
    return f", and ARNs and qualifiers mean nothing there{hint}" if found else hint


def _taken_names(mappings: Sequence[object]) -> Iterator[InitErrorDetails]:
    """Names are unique: UUIDs, and so checkpoints, follow from them."""
    for index, first in _repeats(mappings, lambda mapping: given_text(mapping, "name")):
        text = f"another mapping has the name {quote(given_text(mappings[index], 'name'))}"
        yield fault((SECTION, index, "name"), text, see=(SECTION, first, "name"))


def _taken_uuids(mappings: Sequence[object]) -> Iterator[InitErrorDetails]:
    """UUIDs are unique, whether given or made from the name; of two equal names `_taken_names` speaks."""
    for index, first in _repeats(mappings, _uuid):
        if _made_from_one_name(mappings[index], mappings[first]):
            continue
        text = "another mapping has this UUID: the two would share their checkpoints"
        yield fault(_place_of_uuid(mappings, index), text, see=_place_of_uuid(mappings, first))


def _taken_sources(mappings: Sequence[object]) -> Iterator[InitErrorDetails]:
    """As Lambda: one mapping for a source and a function."""
    for index, first in _repeats(mappings, _source_and_function):
        arn, function = _source_and_function(mappings[index]) or ("", "")
        text = _taken(arn, function)
        yield fault((SECTION, index, "event_source_arn"), text, see=(SECTION, first, "event_source_arn"))


def _taken(arn: str, function: str) -> str:
    """Lambda has words of its own for queues."""
    if names_queue(arn):
        return f'An event source mapping with SQS arn (" {arn} ") and function (" {function} ") already exists'
    return f'The event source arn (" {arn} ") and function (" {function} ") provided mapping already exists'


def _repeats(mappings: Sequence[object], identity: Callable[[object], Hashable]) -> Iterator[tuple[int, int]]:
    """The index of each mapping whose identity an earlier one has, and the index of the first that has it."""
    first: dict[Hashable, int] = {}
    for index, mapping in enumerate(mappings):
        key = identity(mapping)
        if key is not None and first.setdefault(key, index) != index:
            yield index, first[key]


def _uuid(mapping: object) -> str | None:
    given, name = given_text(mapping, "uuid"), given_text(mapping, "name")
    if given is not None:
        return given.lower()
    return None if name is None else default_uuid(name)


def _source_and_function(mapping: object) -> tuple[str, str] | None:
    arn, function = given_text(mapping, "event_source_arn"), given_text(mapping, "function_name")
    return None if arn is None or function is None else (arn, function)


def _made_from_one_name(mapping: object, other: object) -> bool:
    return given_text(mapping, "uuid") is None and given_text(mapping, "name") == given_text(other, "name")


def _place_of_uuid(mappings: Sequence[object], index: int) -> Path:
    return SECTION, index, "name" if given_text(mappings[index], "uuid") is None else "uuid"
