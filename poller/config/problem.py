"""What is wrong with a configuration, and where: `file:line:column: error: message`, the line, and a caret below it."""

from __future__ import annotations

import os
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EXCERPT_WIDTH = 160
"""Columns of a source line that are shown; a longer line is cut to a window around the caret."""

QUOTE_LENGTH = 80
MASK = "********"
_LINE_BREAK = re.compile("(?<=[\n\x85\u2028\u2029])|(?<=\r)(?!\n)")


class InvalidConfig(ConfigError):
    """The configuration is wrong in the places of `problems`, at least one; the message shows all, as a reader meets them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda problem: problem.place.order))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `message` is one line, and says what to do where that is not plain."""

    place: Place
    message: str

    def __str__(self) -> str:
        head = f"{self.place}: error: {printable(self.message)}"
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
        name = printable(self.document.name)
        return f"{name}:{self.line}:{self.column}" if self.line else name

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts places as a reader meets them."""
        return self.document.name, self.line, self.column


@dataclass(eq=False, slots=True)
class Document:
    """The text of one file, and the stretches of it that nobody may see.

    Attributes:
        name: the path as the user gave it.
        text: the decoded content.
    """

    name: str
    text: str = ""
    _starts: list[int] = field(init=False)
    _hidden: list[tuple[int, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._starts = list(accumulate(map(len, _LINE_BREAK.split(self.text)), initial=0))[:-1]

    @classmethod
    def at(cls, path: Path, text: str = "") -> Document:
        """The document at a path; a name that is not UTF-8 is shown with its bytes escaped."""
        return cls(os.fsencode(path).decode("utf-8", "backslashreplace"), text)

    def place(self, index: int) -> Place:
        """The place of the character at `index`."""
        line = bisect_right(self._starts, index)
        return Place(self, line, index - self._starts[line - 1] + 1)

    def hide(self, start: int, end: int) -> None:
        """Never shows the text between these two indices: it may be a secret."""
        if start < end:
            self._hidden.append((start, end))

    def excerpt(self, line: int, column: int) -> tuple[str, int]:
        """A line fit for a terminal, secrets masked, and the index in it that belongs to `column`."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        shown, at = self._masked(start, end, start + column - 1)
        shown, at = _without_passwords(shown, at)
        return _window(printable(shown.rstrip("\r\n\x85\u2028\u2029")), at)

    def _masked(self, start: int, end: int, index: int) -> tuple[str, int]:
        """The text from `start` to `end` with each hidden stretch replaced, and where `index` came to lie."""
        shown, at, here = "", 0, start
        for begin, stop in sorted(self._hidden):
            if stop <= here or begin >= end:
                continue
            begins = max(begin, here)
            if here <= index < begins:
                at = len(shown) + index - here
            shown += self.text[here:begins]
            if begins <= index < stop:
                at = len(shown)
            shown += MASK
            here = min(stop, end)
        if index >= here:
            at = len(shown) + index - here
        return shown + self.text[here:end], at


def quote(text: object) -> str:
    """A piece of the user's text inside a message: in quotes, on one line, not endless."""
    shown = printable(str(text))
    return f'"{shown}"' if len(shown) <= QUOTE_LENGTH else f'"{shown[:QUOTE_LENGTH]}..."'


def printable(text: str) -> str:
    """The text without anything that a terminal would act on."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in text)


_USER_INFO = re.compile(r"://[^/\s@\"']*@")


def _without_passwords(line: str, column: int) -> tuple[str, int]:
    """The line with the user part of each URL masked, and the column moved with it."""
    for match in reversed(list(_USER_INFO.finditer(line))):
        start, end = match.start() + 3, match.end() - 1
        line = line[:start] + MASK + line[end:]
        if column >= end:
            column += len(MASK) - (end - start)
        elif column > start:
            column = start
    return line, column


def _window(line: str, column: int) -> tuple[str, int]:
    if len(line) <= EXCERPT_WIDTH:
        return line, column
    start = max(0, min(column - EXCERPT_WIDTH // 2, len(line) - EXCERPT_WIDTH))
    cut = line[start : start + EXCERPT_WIDTH]
    head, tail = ("..." if start else ""), ("..." if start + EXCERPT_WIDTH < len(line) else "")
    return head + cut + tail, column - start + len(head)


def _width(text: str) -> int:
    """The columns that a terminal needs for a text: wide characters need two, combining ones none."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
