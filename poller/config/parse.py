"""YAML text that nobody has vouched for, as a tree with places.

Guards work on the stream of events (`events.py`), before anything is built from it; here aliases are counted as what they
stand for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from poller.config.events import MAX_DEPTH, MAX_NODES, Unreadable, events, index, place
from poller.config.masking import names_secrets
from poller.config.problem import Document, Problem, quote
from poller.config.scalars import BadReference, expand, resolve
from poller.config.tree import Entry, Items, Node, Scalar, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_SECTION_OF_SECRETS = re.compile(r"""\b(?:env|header)\w*["']?\s*:""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The tree of a document (None: it is empty, or not YAML) and what is wrong with it so far."""

    root: Node | None
    problems: tuple[Problem, ...]


def parse(document: Document, environ: Mapping[str, str]) -> Parsed:
    """Reads a document, replacing variables from `environ`; never raises for anything that the text may hold."""
    composer = _Composer(document, environ)
    try:
        root = composer.compose()
    except Unreadable as error:
        composer.hide_the_rest()
        return Parsed(root=None, problems=(*composer.problems, error.problem))
    return Parsed(root=root, problems=tuple(composer.problems))


@dataclass(eq=False, slots=True)
class _Anchored:
    """What an alias stands for; `node` is None while it is still being built."""

    node: Node | None = None
    nodes: int = 0
    height: int = 0


@dataclass(eq=False, slots=True)
class _Composer:
    """Builds the tree from the events of one document.

    `_nodes` counts nodes with aliases unfolded, `_deepest` is how deep the node under construction goes. `_end` is where the last
    key or node that was begun has its first event's end.
    """

    document: Document
    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    _anchors: dict[str, _Anchored] = field(default_factory=dict)
    _nodes: int = 0
    _deepest: int = 0
    _end: int = 0
    _secret: bool = False

    def compose(self) -> Node | None:
        remaining = events(self.document)
        root = self._document(remaining)
        for event in remaining:
            if isinstance(event, yaml.DocumentStartEvent):
                raise Unreadable(place(self.document, event), 'a second document begins here ("---"): one file holds one')
        return root

    def hide_the_rest(self) -> None:
        """After an error: what comes after the last event, where that is or may be within a section of secrets."""
        text = self.document.text
        if self._secret:
            self.document.hide(self._end, len(text))
        elif found := _SECTION_OF_SECRETS.search(text, self._end):
            self.document.hide(found.end(), len(text))

    def _document(self, remaining: Iterator[yaml.Event]) -> Node | None:
        for event in remaining:
            if isinstance(event, yaml.NodeEvent):
                return self._node(event, remaining, 1)
        return None

    def _node(self, event: yaml.Event, remaining: Iterator[yaml.Event], depth: int) -> Node:
        self._end = index(event.end_mark)
        if self._secret and (isinstance(event, yaml.ScalarEvent) or getattr(event, "anchor", None) is not None):
            self.document.hide(index(event.start_mark), self._end)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        anchor = self._open(event)
        outer, before, self._deepest = self._deepest, self._nodes, depth
        self._count(event, 1, depth)
        node = self._content(event, remaining, depth)
        if anchor is not None:
            anchor.node, anchor.nodes, anchor.height = node, self._nodes - before, self._deepest - depth
        self._deepest = max(outer, self._deepest)
        return node

    def _content(self, event: yaml.Event, remaining: Iterator[yaml.Event], depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            items = tuple(self._node(item, remaining, depth + 1) for item in _until(remaining, yaml.SequenceEndEvent))
            return Items(place=place(self.document, event), items=items)
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(event, remaining, depth)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101  (the parser makes no other node)
        return self._scalar(event)

    def _open(self, event: yaml.Event) -> _Anchored | None:
        name = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if name is None:
            return None
        self._anchors[name] = _Anchored()
        return self._anchors[name]

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise Unreadable(place(self.document, event), "no anchor of this name comes before this alias")
        if anchored.node is None:
            raise Unreadable(place(self.document, event), "this alias stands within what it stands for")
        self._count(event, anchored.nodes, depth + anchored.height)
        return anchored.node

    def _count(self, event: yaml.Event, nodes: int, depth: int) -> None:
        self._nodes += nodes
        self._deepest = max(self._deepest, depth)
        if self._nodes > MAX_NODES or self._deepest > MAX_DEPTH + 1:
            raise Unreadable(place(self.document, event), "aliases stand for more than any configuration needs")

    def _table(self, event: yaml.Event, remaining: Iterator[yaml.Event], depth: int) -> Table:
        entries: dict[str, Entry] = {}
        secret = self._secret
        for key_event in _until(remaining, yaml.MappingEndEvent):
            key, here = self._key(key_event), place(self.document, key_event)
            self._end = index(event.end_mark)
            self._secret = secret or names_secrets(key)
            value = self._node(next(remaining), remaining, depth + 1)
            self._secret = secret
            if key in entries:
                self.problems.append(Problem(here, f"duplicate key {quote(key)}, first at {entries[key].place}"))
            else:
                entries[key] = Entry(place=here, value=value)
        return Table(place=place(self.document, event), entries=entries)

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise Unreadable(place(self.document, event), "a key must be plain text")
        if event.value == "<<" and not event.style:
            raise Unreadable(place(self.document, event), 'merge keys ("<<") are not supported: write the keys out')
        return event.value

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        here = place(self.document, event)
        try:
            text = expand(_checked(event.value), self.environ)
        except BadReference as error:
            self.problems.append(Problem(here, str(error)))
            return Scalar(place=here, text="", value=None, broken=True)
        quoted = bool(event.style) or (text == "" != event.value)
        return Scalar(place=here, text=text, value=text if quoted else resolve(text))


def _checked(text: str) -> str:
    """Refuses what no path, URL or variable can hold; only an escape in double quotes can bring it in."""
    if _UNUSABLE.search(text):
        raise BadReference("this text holds a NUL or half a character")
    return text


def _until(remaining: Iterator[yaml.Event], end: type[yaml.Event]) -> Iterator[yaml.Event]:
    for event in remaining:
        if isinstance(event, end):
            return
        yield event
