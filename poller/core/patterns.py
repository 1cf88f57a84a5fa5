"""EventBridge's event patterns: which JSON documents are wanted.

A pattern is compiled once: its fields into a tree by their names, each array of values into one test, `$or` into branches.
Matching walks the document along that tree, notes which fields were met and which were satisfied, and asks whether a branch
has all it needs. Both take time that is linear in the document.

Inside an array of objects all fields must hold in the same element. So each element is a scope of its own, and a branch
chooses one element of each array that it needs.

Source of the language: AWS's guides for EventBridge and Lambda, and how aws/event-ruler behaves, the engine that AWS published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from poller.core.patterns_branches import compile_branches
from poller.core.patterns_json import InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from poller.core.patterns_branches import Branch
    from poller.core.patterns_values import Test, Values

__all__ = ["InvalidPattern", "Pattern", "compile_pattern"]

DEEPEST_ARRAYS = 32
"""Arrays within arrays whose elements are told apart; further inside, all elements count as one."""


def compile_pattern(pattern: str | Mapping[str, object]) -> Pattern:
    """The pattern, ready to match.

    Args:
        pattern: its JSON, or the object that the JSON says.

    Raises:
        InvalidPattern: it cannot be compiled; the message says where and why.
    """
    return Pattern(compile_branches(pattern))


class Pattern:
    """What compiled branches want of a document; a document has to satisfy one of them."""

    __slots__ = ("_branches", "_root")

    def __init__(self, branches: Sequence[Branch]) -> None:
        fields = _numbered(branches)
        self._root = _tree(fields)
        self._branches = tuple(dict.fromkeys(_needs(branch, fields) for branch in branches))

    def matches(self, document: object) -> bool:
        """Whether the document, as a JSON parser returns it, is an object that satisfies the pattern. Raises nothing."""
        if not isinstance(document, dict):
            return False
        scope = _Scope()
        _gather(self._root, document, scope, 0)
        return any(_holds(scope, branch.required, branch.optional) for branch in self._branches)


# ------------------------------------------------------------------------------------------------------------------- compiling


class _Field(NamedTuple):
    """A field of one or more branches.

    Attributes:
        bit: stands for the field in all masks. Bits rise with the names.
    """

    bit: int
    name: str
    values: Values


class _Needs(NamedTuple):
    """A branch as masks of fields.

    Attributes:
        required: must be there, with a value that is wanted.
        optional: the same, or not be there at all.
    """

    required: int
    optional: int


class _Node:
    """A name within the tree.

    Attributes:
        mask: the fields that end here.
        tests: each of them with its test.
        below: each key that an object here may have, and the node that it leads to. A key can spell several steps (`"a.b"`).
    """

    __slots__ = ("below", "children", "mask", "tests")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.mask = 0
        self.tests: list[tuple[int, Test]] = []
        self.below: tuple[tuple[str, _Node], ...] = ()


def _numbered(branches: Iterable[Branch]) -> dict[tuple[str, int], _Field]:
    """The fields of all branches, by name and values. A field that several branches share is one field."""
    found = {(name, id(values)): values for branch in branches for name, values in branch.items()}
    ordered = sorted(found.items(), key=lambda item: item[0])
    return {key: _Field(1 << index, key[0], values) for index, (key, values) in enumerate(ordered)}


def _needs(branch: Branch, fields: Mapping[tuple[str, int], _Field]) -> _Needs:
    required = optional = 0
    for name, values in branch.items():
        bit = fields[name, id(values)].bit
        if values.absence:
            optional |= bit
        else:
            required |= bit
    return _Needs(required, optional)


def _tree(fields: Mapping[tuple[str, int], _Field]) -> _Node:
    root = _Node()
    for field in fields.values():
        node = root
        for step in field.name.split("."):
            node = node.children.setdefault(step, _Node())
        node.mask |= field.bit
        node.tests.append((field.bit, field.values.accepts))
    _join(root)
    return root


def _join(node: _Node) -> None:
    for child in node.children.values():
        _join(child)
    node.below = tuple(_keys(node))


def _keys(node: _Node) -> Iterator[tuple[str, _Node]]:
    for step, child in node.children.items():
        yield step, child
        for key, inner in child.below:
            yield f"{step}.{key}", inner


# -------------------------------------------------------------------------------------------------------------------- matching


class _Scope:
    """What was found in one element of an array, or in the document outside of all arrays.

    Attributes:
        seen: the fields that are there.
        hits: those of them with a value that is wanted.
        arrays: the arrays inside.
    """

    __slots__ = ("arrays", "hits", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.hits = 0
        self.arrays: list[_Array] = []


class _Array:
    """An array whose elements are told apart; `seen` and `hits` are of all of them together."""

    __slots__ = ("elements", "hits", "seen")

    def __init__(self, elements: list[_Scope]) -> None:
        self.elements = elements
        self.seen = self.hits = 0
        for scope in elements:
            self.seen |= scope.seen
            self.hits |= scope.hits
            for array in scope.arrays:
                self.seen |= array.seen
                self.hits |= array.hits


def _gather(node: _Node, value: object, scope: _Scope, depth: int) -> None:
    """Notes in the scope what the value has of the fields at the node and below."""
    if isinstance(value, dict):
        for key, child in node.below:
            if key in value:
                _gather(child, value[key], scope, depth)
    elif isinstance(value, list):
        _gather_array(node, value, scope, depth)
    elif node.mask:
        scope.seen |= node.mask
        for bit, accepts in node.tests:
            if not scope.hits & bit and accepts(value):
                scope.hits |= bit


def _gather_array(node: _Node, elements: list[object], scope: _Scope, depth: int) -> None:
    """Plain values belong to the array's own scope: any of them will do. Objects and arrays inside get one each."""
    if depth >= DEEPEST_ARRAYS:
        for element in _flat(elements):
            _gather(node, element, scope, depth)
        return
    inner: list[_Scope] = []
    alike: set[tuple[int, int]] = set()
    for element in elements:
        if not isinstance(element, dict | list):
            _gather(node, element, scope, depth)
            continue
        within = _Scope()
        _gather(node, element, within, depth + 1)
        found = (within.seen, within.hits)
        if within.arrays:
            inner.append(within)
        elif within.seen and found not in alike:
            inner.append(within)
            alike.add(found)
    if inner:
        scope.arrays.append(_Array(inner))


def _flat(elements: list[object]) -> Iterator[object]:
    """All elements, also those of arrays inside, without recursion."""
    waiting: list[object] = [elements]
    while waiting:
        element = waiting.pop()
        if isinstance(element, list):
            waiting.extend(element)
        else:
            yield element


def _holds(scope: _Scope, required: int, optional: int) -> bool:
    """Whether the scope has what is required, and of each optional field a wanted value or nothing."""
    required = (required | optional & scope.seen) & ~scope.hits
    if not scope.arrays:
        return not required
    return _arrays_hold(scope.arrays, required, optional & ~scope.seen)


def _arrays_hold(arrays: list[_Array], required: int, optional: int) -> bool:
    """Whether an element can be chosen of each array so that together they have what is required.

    A field is in several arrays only if the document spells its name in two ways (`"a": [{"b": ...}]` beside `"a.b"`). Then it
    is enough that one has it, and it chooses no element.
    """
    anywhere = twice = 0
    for array in arrays:
        twice |= anywhere & array.hits
        anywhere |= array.hits
    return not required & ~anywhere and all(_array_holds(array, required & array.hits & ~twice, optional) for array in arrays)


def _array_holds(array: _Array, required: int, optional: int) -> bool:
    """Whether one element has all of it.

    AWS's engine takes the fields in the order of their names: an optional field can be missing from the chosen element
    alone only if a field before it has chosen the element; otherwise it has to be missing from all of them, or be wanted itself.
    """
    optional &= array.seen
    first = optional & -optional
    if first and (not required or first < required & -required):
        required, optional = required | first, optional ^ first
    if not required:
        return True
    return not required & ~array.hits and any(_holds(element, required, optional) for element in array.elements)
