"""What is wrong with a configuration, and where: `file:line:column: error: message`, the line, and a caret below it."""

from __future__ import annotations

import os
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from poller.config.masking import stretches
from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EXCERPT_WIDTH = 160
"""Columns of a source line that are shown; a longer line is cut to a window around the caret."""

QUOTE_LENGTH = 80
MASK = "********"
_NEAR = 4 * EXCERPT_WIDTH
_LINE_BREAK = re.compile("(?<=[\n\x85\u2028\u2029])|(?<=\r)(?!\n)")


class InvalidConfig(ConfigError):
    """The configuration is wrong in the places of `problems`, at least one; the message shows all, as a reader meets them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.place.order))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `message` is one line, and says what to do where that is not plain."""

    place: Place
    message: str

    @property
    def text(self) -> str:
        """The message, fit for a terminal."""
        return printable(self.message)

    def __str__(self) -> str:
        head = f"{self.place}: error: {self.text}"
        if self.place.line == 0:
            return head
        line, column = self.place.document.excerpt(self.place.line, self.place.column)
        return f"{head}\n{self.place.line:>6} | {line}\n{'':>6} | {' ' * _width(line[:column])}^"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document: line and column count from 1; line 0 is the document as a whole."""

    document: Document
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}:{self.column}" if self.line else self.document.name

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts places as a reader meets them."""
        return self.document.name, self.line, self.column


class Document:
    """The text of one file, and the stretches of it that nobody may see.

    Attributes:
        name: the path as the user gave it, as far as a terminal can show it.
        text: the decoded content.
    """

    def __init__(self, name: str, text: str = "") -> None:
        self.name = name
        self.text = text
        lines = _LINE_BREAK.split(text)
        self._starts = list(accumulate(map(len, lines), initial=0))[:-1]
        self._hidden = list(stretches(lines))
        self._merged: list[tuple[int, int]] = []

    @classmethod
    def at(cls, path: Path, text: str = "") -> Document:
        """The document at a path."""
        return cls(shown(path), text)

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self._starts)

    def place(self, index: int) -> Place:
        """The place of the character at `index`."""
        line = bisect_right(self._starts, index)
        return Place(self, line, index - self._starts[line - 1] + 1)

    def hide(self, start: int, end: int) -> None:
        """Never shows the text between these two indices: it may be a secret."""
        self._hidden.append((start, end))
        self._merged = []

    def excerpt(self, line: int, column: int) -> tuple[str, int]:
        """A line fit for a terminal, secrets masked, and the index in it that belongs to `column`.

        Of a long line only what is near the column is looked at: there may be many problems in it.
        """
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        index = start + column - 1
        start, end = max(start, index - _NEAR), min(end, index + _NEAR)
        line_text, at = self._masked(start, end, index)
        return _window(printable(line_text.rstrip("\r\n\x85\u2028\u2029")), at)

    def _masked(self, start: int, end: int, index: int) -> tuple[str, int]:
        """The text from `start` to `end` with each hidden stretch replaced, and where `index` came to lie."""
        result, at, here = "", 0, start
        for begin, stop in self._spans(start, end):
            if here <= index < begin:
                at = len(result) + index - here
            result += self.text[here:begin]
            if begin <= index < stop:
                at = len(result)
            result += MASK
            here = stop
        if index >= here:
            at = len(result) + index - here
        return result + self.text[here:end], at

    def _spans(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The hidden stretches between two indices, in order, without overlap, cut to fit."""
        if not self._merged:
            self._merged = list(_joined(sorted(self._hidden)))
        first = max(0, bisect_right(self._merged, (start, start)) - 1)
        for begin, stop in islice(self._merged, first, None):
            if begin >= end:
                return
            if stop > start:
                yield max(begin, start), min(stop, end)


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same stretches without overlap; they come sorted."""
    last: tuple[int, int] | None = None
    for begin, end in spans:
        if last is not None and begin <= last[1]:
            last = last[0], max(last[1], end)
            continue
        if last is not None and last[0] < last[1]:
            yield last
        last = begin, end
    if last is not None and last[0] < last[1]:
        yield last


def shown(path: Path) -> str:
    """A path fit for a terminal; bytes that are not UTF-8 are escaped."""
    return printable(os.fsencode(path).decode("utf-8", "backslashreplace"))


def quote(text: object) -> str:
    """A piece of the user's text inside a message: in quotes, on one line, not endless."""
    clean = printable(str(text))
    return f'"{clean}"' if len(clean) <= QUOTE_LENGTH else f'"{clean[:QUOTE_LENGTH]}..."'


def printable(text: str) -> str:
    """The text without anything that a terminal would act on."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _window(line: str, column: int) -> tuple[str, int]:
    """At most EXCERPT_WIDTH characters of the line, around the column."""
    if len(line) <= EXCERPT_WIDTH:
        return line, column
    start = max(0, min(column - EXCERPT_WIDTH // 2, len(line) - EXCERPT_WIDTH))
    cut = line[start : start + EXCERPT_WIDTH]
    head, tail = ("..." if start else ""), ("..." if start + EXCERPT_WIDTH < len(line) else "")
    return head + cut + tail, column - start + len(head)


def _width(text: str) -> int:
    """The columns that a terminal needs for a text: wide characters need two, combining ones none."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
