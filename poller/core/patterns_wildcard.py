"""The `wildcard` operator: `*` stands for any characters, also for none; a backslash takes the meaning from `*` and from itself.

Matching never goes back: what stands between two stars is best found where it first occurs, so a text is read once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.core.patterns_json import InvalidPattern

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STARS = 5
"""`*` in one wildcard at the most. AWS refuses what is too complex, by a measure of its own; one with six was seen refused."""


def compile_wildcard(pattern: str, where: str) -> Callable[[str], bool]:
    """Whether a text fits the pattern as a whole.

    Raises:
        InvalidPattern: two stars in a row, too many stars, or a backslash before anything but `*` and backslash.
    """
    first, *others = _pieces(pattern, where)
    if not others:
        return first.__eq__
    *between, last = others

    def fits(text: str) -> bool:
        end = len(text) - len(last)
        if not (text.startswith(first) and text.endswith(last)):
            return False
        at = len(first)
        for piece in between:
            found = text.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return at <= end

    return fits


def _pieces(pattern: str, where: str) -> list[str]:
    """The literal texts before, between and after the stars."""
    pieces, escaped, star = [""], False, -1
    for index, character in enumerate(pattern):
        if escaped:
            if character not in "*\\":
                raise InvalidPattern(f"Invalid escape character at pos {index - 1}", where)
            pieces[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "*":
            if star == index - 1 >= 0:
                raise InvalidPattern(f"Consecutive wildcard characters at pos {star}", where)
            star = index
            pieces.append("")
        else:
            pieces[-1] += character
    if escaped:
        raise InvalidPattern(f"Invalid escape character at pos {len(pattern) - 1}", where)
    if len(pieces) > MOST_STARS + 1:
        raise InvalidPattern(f"Rule is too complex - try using fewer wildcard characters (at most {MOST_STARS})", where)
    return pieces
