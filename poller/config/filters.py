"""Lambda's FilterCriteria: which records of its source a mapping wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from poller.config.section import LambdaSection, given_value
from poller.config.wording import fault, must

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

    from poller.core.filters import FilterShape

MOST_FILTERS = 10
LONGEST_PATTERN = 4_096
"""As `poller.core.filters` has them, which is imported only where there are filters: it takes time."""

_EXAMPLE = """'{"body": {"status": ["paid"]}}'"""


def _json_or_mapping(value: object) -> object:
    if not isinstance(value, str | Mapping):
        raise must(("has no value: it " if value is None else "") + "must be JSON in quotes, or a mapping (key: value)")
    return value


class FilterPattern(LambdaSection):
    """One of Lambda's Filters."""

    pattern: Annotated[str | Mapping[str, object], BeforeValidator(_json_or_mapping)] = Field(
        description="What a record has to be like, in EventBridge's language: its JSON as text, as Lambda takes it, or written"
        " out in YAML. At most 4096 characters of JSON.",
        examples=[_EXAMPLE],
    )


class FilterCriteria(LambdaSection):
    """Lambda's FilterCriteria."""

    dry_run: bool = Field(
        default=False,
        description="true: every record is invoked; those that the patterns would keep out are counted, and some are named in the"
        " log. Default false.",
    )

    filters: Annotated[tuple[FilterPattern, ...], Field(strict=False)] = Field(
        default=(),
        max_length=MOST_FILTERS,
        description="Patterns, of which a record has to satisfy one; what satisfies none is done without an invocation."
        " At most 10, as AWS allows on request; without it Lambda takes 5. Default: none, every record is wanted.",
    )


def pattern_faults(given: Mapping[str, object], shape: Callable[[], FilterShape]) -> Iterator[InitErrorDetails]:
    """What is wrong with the patterns of a mapping, as written, for a source of this shape."""
    filters = given_value(given_value(given, "filter_criteria"), "filters")
    if not isinstance(filters, list | tuple):
        return
    for index, each in enumerate(islice(filters, MOST_FILTERS)):
        pattern = given_value(each, "pattern")
        if isinstance(pattern, str | Mapping) and (detail := _problem(pattern, shape())):
            sentence = f"Invalid filter pattern definition. {detail}"
            yield fault(("filter_criteria", "filters", index, "pattern"), sentence)


def _problem(pattern: str | Mapping[str, object], shape: FilterShape) -> str | None:
    import json  # noqa: PLC0415  (only filters need these two, and they take time to import)

    from poller.core.filters import InvalidPattern, compile_filter  # noqa: PLC0415

    if isinstance(pattern, str) and len(pattern) > LONGEST_PATTERN:
        return _too_long(len(pattern))
    try:
        compile_filter([pattern], shape)
    except InvalidPattern as error:
        return error.problem + (f" (at {error.where})" if error.where else "")
    length = 0 if isinstance(pattern, str) else len(json.dumps(pattern, ensure_ascii=False, separators=(",", ":")))
    return _too_long(length) if length > LONGEST_PATTERN else None


def _too_long(length: int) -> str:
    return f"It has {length} characters of JSON, {LONGEST_PATTERN} are allowed"
