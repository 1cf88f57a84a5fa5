"""The events of YAML text that nobody has vouched for, as long as they stay within bounds.

PyYAML has two parsers, and both are used. The one in C is eight times as fast; the one in Python says better what is wrong. So
text that is sound is read by the first, and text that is not is read again by the second, which explains it. What C's *loader*
dies of (50,000 nested brackets crash the process) never happens: depth is counted on the events, before anything is built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import yaml

from poller.config.problem import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from poller.config.problem import Document

MAX_DEPTH = 50
MAX_ALIASES = 100
MAX_NODES = 50_000

_READ_DIFFERENTLY = re.compile(r"[\t?!]|[|>]\S*#|:\s*[,}\]]")
"""Where the parsers do not agree: C takes tabs, `[a?b]` and `|#`, and sees the value of `{a: }` elsewhere. What is YAML, and what
is said of it, must not depend on whether C's is there."""


class Unreadable(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(place, message)


def events(document: Document) -> Iterator[yaml.Event]:
    """The events of a document, without tags. Raises `Unreadable` where they leave the bounds, or where it is no YAML."""
    return iter(_quickly(document) or _within_bounds(document, _explained(document)))


def place(document: Document, event: yaml.Event) -> Place:
    """Where an event begins."""
    return document.place(index(event.start_mark))


class _Mark(Protocol):
    """PyYAML's marks, of either of its parsers."""

    @property
    def index(self) -> int: ...


def index(mark: _Mark | None) -> int:
    """The index of a mark in the text."""
    assert mark is not None  # noqa: S101  (only events that somebody built by hand have none)
    return mark.index


def _quickly(document: Document) -> list[yaml.Event] | None:
    """All events, from C. None: it is not there (PyYAML was built without it), or the text needs the other's explanation."""
    parser = getattr(yaml, "CSafeLoader", None)
    if parser is None or _READ_DIFFERENTLY.search(document.text):
        return None
    try:
        return list(_within_bounds(document, yaml.parse(document.text, Loader=parser)))
    except (yaml.YAMLError, ValueError, OverflowError, Unreadable):
        return None


def _within_bounds(document: Document, parsed: Iterable[yaml.Event]) -> Iterator[yaml.Event]:
    depth = aliases = nodes = 0
    for event in parsed:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        aliases += getattr(event, "anchor", None) is not None
        if depth > MAX_DEPTH:
            raise Unreadable(place(document, event), f"nested more than {MAX_DEPTH} levels deep")
        if nodes > MAX_NODES:
            raise Unreadable(place(document, event), f"more than {MAX_NODES} values in one file")
        if aliases > MAX_ALIASES:
            raise Unreadable(place(document, event), f"more than {MAX_ALIASES} anchors and aliases")
        if getattr(event, "tag", None) is not None:
            raise Unreadable(place(document, event), 'tags ("!" and "!!") are not supported: write the plain value')
        yield event


def _explained(document: Document) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(document.text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        from poller.config.syntax import explained  # noqa: PLC0415  (`poller validate` is to feel instant where all is well)

        at, message = explained(error, document)
        raise Unreadable(document.place(at), message) from None
    except (ValueError, OverflowError):
        raise Unreadable(Place(document), "not YAML: an escape names a character that does not exist") from None
