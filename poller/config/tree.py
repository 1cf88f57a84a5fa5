"""A YAML document as a tree whose every node knows its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.config.problem import Place

Plain = bool | int | float | str | list["Plain"] | dict[str, "Plain"] | None
"""What the models read: no places, no aliases."""

At = Literal["value", "key", "parent"]
"""What a problem points at: a value, its key, or (where the key is missing) what should have held it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value.

    Attributes:
        place: of its first character.
        text: as written, variables expanded.
        value: as YAML 1.2's core schema reads it.
        broken: its problem has been reported already.
    """

    place: Place
    text: str
    value: bool | int | float | str | None
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key of a table, where it stands, and its value."""

    place: Place
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping of YAML; keys are text as written, each once."""

    place: Place
    entries: Mapping[str, Entry]


_DEPTH = 2
"""Keys that lead to a function."""

Node = Scalar | Items | Table


def plain(node: Node, path: tuple[str, ...] = ()) -> Plain:
    """The tree as plain values; `environment` and `headers` of a function as written: `1.10` stays "1.10", `NO` stays "NO".

    `path`: the keys that lead to the node. Elsewhere (in a filter pattern, or as a function's name) the words mean nothing.
    """
    match node:
        case Scalar():
            return node.text if node.text and _is_text(path) else node.value
        case Items():
            return [plain(item, path) for item in node.items]
        case Table():
            return {key: plain(entry.value, (*path, key)) for key, entry in node.entries.items()}
    assert_never(node)


def _is_text(path: tuple[str, ...]) -> bool:
    return path[:1] == ("functions",) and len(path) > _DEPTH and path[_DEPTH].lower() in {"environment", "headers"}


def find(root: Node, path: Sequence[str | int], at: At) -> tuple[Node, Place]:
    """The node at a path, or the nearest one above that exists, and the place to point at."""
    node, pointed = root, root.place
    for index, step in enumerate(path):
        entry = _step(node, step)
        if entry is None:
            break
        last = index == len(path) - 1
        node, pointed = entry.value, (entry.value.place if at == "value" and last else entry.place)
    return node, pointed


def _step(node: Node, step: str | int) -> Entry | None:
    if isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
        return Entry(place=node.items[step].place, value=node.items[step])
    if isinstance(node, Table) and isinstance(step, str):
        return node.entries.get(step) or next((e for key, e in node.entries.items() if folded(key) == folded(step)), None)
    return None


def folded(key: str) -> str:
    """A key without its spelling: `batch_size`, `BatchSize` and `batchSize` are one."""
    return key.replace("_", "").lower()
