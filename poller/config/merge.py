"""A folder of files as one configuration: mappings are concatenated, functions merged, everything else is said once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from poller.config.problem import Problem, quote
from poller.config.tree import Entry, Items, Node, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from poller.config.problem import Place


def merge(place: Place, roots: Iterable[Table]) -> tuple[Table, tuple[Problem, ...]]:
    """One table, at `place`, of all roots; a key that two files define is a problem that names both places."""
    entries: dict[str, Entry] = {}
    problems = [problem for root in roots for problem in _add(entries, root)]
    return Table(place=place, entries=entries), tuple(problems)


def _add(entries: dict[str, Entry], root: Table) -> Iterator[Problem]:
    for key, entry in root.entries.items():
        before = entries.get(key)
        if before is None:
            entries[key] = entry
        elif key == "functions":
            entries[key], problems = _functions(before, entry)
            yield from problems
        elif key == "event_source_mappings":
            entries[key], problems = _mappings(before, entry)
            yield from problems
        else:
            yield _twice(key, before, entry)


def _functions(before: Entry, entry: Entry) -> tuple[Entry, tuple[Problem, ...]]:
    if not isinstance(before.value, Table) or not isinstance(entry.value, Table):
        return _first_well_formed(before, entry, Table)
    entries = dict(before.value.entries)
    new = {key: function for key, function in entry.value.entries.items() if key not in entries}
    problems = (_twice(key, entries[key], function) for key, function in entry.value.entries.items() if key in entries)
    return replace(before, value=Table(place=before.value.place, entries=entries | new)), tuple(problems)


def _mappings(before: Entry, entry: Entry) -> tuple[Entry, tuple[Problem, ...]]:
    if not isinstance(before.value, Items) or not isinstance(entry.value, Items):
        return _first_well_formed(before, entry, Items)
    return replace(before, value=Items(place=before.value.place, items=before.value.items + entry.value.items)), ()


def _first_well_formed(before: Entry, entry: Entry, kind: type[Node]) -> tuple[Entry, tuple[Problem, ...]]:
    """Of two entries that cannot be joined: the one of the right kind, and what is wrong with the other."""
    kept, other = (before, entry) if isinstance(before.value, kind) else (entry, before)
    expected = "a list" if kind is Items else "a mapping (key: value)"
    return kept, (Problem(other.value.place, f"must be {expected}, to be joined with the one at {kept.place}"),)


def _twice(key: str, before: Entry, entry: Entry) -> Problem:
    return Problem(entry.place, f"{quote(key)} is defined twice, first at {before.place}")
