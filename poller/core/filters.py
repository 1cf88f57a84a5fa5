"""Event filtering: which records of a source a mapping wants (Lambda's FilterCriteria).

What a pattern may name depends on the source, and so does what it means that a message is no JSON: that is a `FilterShape`. The
language of the patterns is in `poller.core.patterns`. A record that is not wanted is settled like one that is done; a record that
is wanted reaches the function unchanged.

Source: AWS Lambda developer guide, "Control which events Lambda sends to your function", with its table of formats.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import orjson

from poller.core.patterns import InvalidPattern, Pattern
from poller.core.patterns_branches import compile_branches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poller.core.model import Record
    from poller.core.patterns_branches import Branch

__all__ = [
    "DYNAMODB",
    "FILTERS_LIMIT",
    "FILTERS_LIMIT_RAISED",
    "KINESIS",
    "PATTERN_LIMIT",
    "SQS",
    "Filter",
    "FilterShape",
    "InvalidPattern",
    "compile_filter",
]

PATTERN_LIMIT: Final = 4_096
"""Characters of one pattern's JSON at the most."""

FILTERS_LIMIT: Final = 5
FILTERS_LIMIT_RAISED: Final = 10
"""Patterns of one mapping at the most: by default, and where AWS has raised an account's quota. Whoever reads the configuration
counts; `compile_filter` does not."""

LARGEST_DATA: Final = 16 * 1024 * 1024
"""Bytes or characters of a message that are still parsed. No source allows as many; what is larger counts as no JSON."""

Document = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterShape:
    """What patterns see of a source's records.

    Attributes:
        source: its name, for messages.
        data: the key of the message itself; the other keys are metadata.
        plain: whether the message may be matched as a string, where it is no JSON (`"body": ["text"]`).
        keys: the top-level keys that its records can have.
        view: the record as patterns see it, from its element of `Records`; the message is still as it came.
        decode: the message, of any type, as a JSON object or array; None where it is neither, or cannot be read. Raises nothing.
    """

    source: str
    data: str
    plain: bool
    keys: frozenset[str]
    view: Callable[[Document], Document]
    decode: Callable[[object], object]


class Filter:
    """One or more patterns, of which a record has to satisfy one. Without patterns every record is wanted.

    Attributes:
        unknown: names that the patterns use and no record of this source has, sorted: most likely a mistake, which drops all.
    """

    __slots__ = ("_json", "_metadata", "_plain", "_shape", "unknown")

    def __init__(self, branches: Sequence[Branch], shape: FilterShape) -> None:
        """Sorts the branches by what they need of the message: nothing, its text, or its JSON."""
        self._shape = shape
        self._metadata = _pattern([branch for branch in branches if _asks(branch, shape) == "nothing"])
        self._plain = _pattern([branch for branch in branches if _asks(branch, shape) == "text"])
        self._json = _pattern([branch for branch in branches if _asks(branch, shape) == "json"])
        names = {name.partition(".")[0] for branch in branches for name in branch}
        self.unknown = tuple(sorted(names - shape.keys))

    def wants(self, record: Record) -> bool:
        """Whether the function is to see the record. Raises nothing, whatever its payload.

        The message is decoded once, and only if a pattern names it. One that is no JSON satisfies no pattern for its fields,
        not even `exists: false`; one that is JSON satisfies no pattern for its text.
        """
        if self._plain is self._json is self._metadata is None:
            return True
        view = self._view(record.payload)
        if view is None:
            return False
        if self._metadata is not None and self._metadata.matches(view):
            return True
        return (self._plain is not None or self._json is not None) and self._wants_message(view)

    def _view(self, payload: bytes) -> Document | None:
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return None
        return self._shape.view(event) if isinstance(event, dict) else None

    def _wants_message(self, view: Document) -> bool:
        message = view.get(self._shape.data)
        data = self._shape.decode(message)
        if data is None:
            return self._plain is not None and self._plain.matches(view)
        view[self._shape.data] = data
        return self._json is not None and self._json.matches(view)


def compile_filter(patterns: Sequence[str | Mapping[str, object]], source: FilterShape) -> Filter:
    """The filter of a mapping.

    Args:
        patterns: each as its JSON, or as the object that the JSON says; none wants everything.
        source: what the mapping reads.

    Raises:
        InvalidPattern: one of them cannot be compiled for this source. The message says which, where in it, and what is wrong.
    """
    branches: list[Branch] = []
    for number, pattern in enumerate(patterns, 1):
        try:
            found = compile_branches(pattern)
            _check(found, source)
        except InvalidPattern as error:
            raise InvalidPattern(error.problem, error.where, number) from error
        branches += found
    return Filter(branches, source)


def _check(branches: Sequence[Branch], source: FilterShape) -> None:
    if not source.plain and any(source.data in branch for branch in branches):
        raise InvalidPattern(f"the data of {source.source} must be JSON: its pattern has to be an object", source.data)


def _asks(branch: Branch, shape: FilterShape) -> Literal["nothing", "text", "json"]:
    """What a branch has to know of the message."""
    if shape.data in branch:
        return "text"
    return "json" if any(name.startswith(f"{shape.data}.") for name in branch) else "nothing"


def _pattern(branches: Sequence[Branch]) -> Pattern | None:
    return Pattern(branches) if branches else None


# --------------------------------------------------------------------------------------------------------------------- sources


def _kinesis_view(event: Document) -> Document:
    """The record as one flat object: what Lambda nests in `kinesis`, beside the rest."""
    inner = event.pop("kinesis", None)
    return {**event, **inner} if isinstance(inner, dict) else event


def _from_base64(data: object) -> object:
    if not isinstance(data, str) or len(data) > LARGEST_DATA:
        return None
    try:
        return _json(b64decode(data))
    except ValueError:
        return None


def _from_text(body: object) -> object:
    return None if not isinstance(body, str) or len(body) > LARGEST_DATA else _json(body)


def _as_it_is(change: object) -> object:
    return change if isinstance(change, dict) else None


def _json(text: bytes | str) -> object:
    """The object or array that a text spells; None for anything else: not UTF-8, no JSON, nested too deeply, a lone scalar."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict | list) else None


_EVENT_KEYS = frozenset(("eventSource", "eventSourceARN", "awsRegion"))

KINESIS: Final = FilterShape(
    source="Kinesis",
    data="data",
    plain=False,
    keys=_EVENT_KEYS
    | {"kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp", "encryptionType"}
    | {"eventVersion", "eventID", "eventName", "invokeIdentityArn"},
    view=_kinesis_view,
    decode=_from_base64,
)

DYNAMODB: Final = FilterShape(
    source="DynamoDB",
    data="dynamodb",
    plain=False,
    keys=_EVENT_KEYS | {"dynamodb", "eventVersion", "eventID", "eventName", "userIdentity"},
    view=lambda event: event,
    decode=_as_it_is,
)
"""What changed is JSON as it comes, in attribute values: their numbers are strings, which `numeric` does not match."""

SQS: Final = FilterShape(
    source="SQS",
    data="body",
    plain=True,
    keys=_EVENT_KEYS
    | {"messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "md5OfMessageAttributes"},
    view=lambda event: event,
    decode=_from_text,
)
