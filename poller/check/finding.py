"""What was found, and how it is shown."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Level = Literal["ok", "warning", "failed"]

LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "failed")
COLOURS: Final[dict[Level, str]] = {"ok": "\x1b[32m", "warning": "\x1b[33m", "failed": "\x1b[31;1m"}
RESET: Final = "\x1b[0m"
LEVEL_WIDTH: Final = 9
NARROWEST: Final = 40
ARROW: Final = "-> "


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: `store`, `function NAME` or `mapping NAME`.
        text: what was found, one line.
        remedy: what to do about it; empty where nothing is to be done.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Makes findings about one thing."""

    name: str

    def ok(self, text: str) -> Finding:
        """All is well."""
        return Finding(level="ok", subject=self.name, text=text)

    def warning(self, text: str, remedy: str) -> Finding:
        """It works, but not as somebody will wish one day."""
        return Finding(level="warning", subject=self.name, text=text, remedy=remedy)

    def failed(self, text: str, remedy: str) -> Finding:
        """It does not work, or nobody knows whether it does."""
        return Finding(level="failed", subject=self.name, text=text, remedy=remedy)


def summary(findings: Sequence[Finding]) -> dict[str, int]:
    """How many there are of each level."""
    counted = Counter(finding.level for finding in findings)
    return {level: counted[level] for level in LEVELS}


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """For programs: the numbers, and each finding."""
    return {**summary(findings), "findings": [asdict(finding) for finding in findings]}


def table(findings: Sequence[Finding], *, width: int | None = None, colours: bool = False) -> Iterator[str]:
    """For people: a line each, remedies below, the numbers last. Lines are wrapped at `width` columns; None: never."""
    subjects = max((len(finding.subject) for finding in findings), default=0) + 2
    for finding in findings:
        level = finding.level.ljust(LEVEL_WIDTH)
        paint, end = (COLOURS[finding.level], RESET) if colours else ("", "")
        head = f"{paint}{level}{end}{finding.subject.ljust(subjects)}"
        room = None if width is None else max(NARROWEST, width - LEVEL_WIDTH - subjects)
        remedy = _wrapped(finding.remedy, room and room - len(ARROW))
        lines = _wrapped(finding.text, room) + [(" " * len(ARROW) if at else ARROW) + line for at, line in enumerate(remedy)]
        yield head + lines[0]
        yield from (" " * (LEVEL_WIDTH + subjects) + line for line in lines[1:])
    yield ", ".join(f"{number} {level}" for level, number in _plural(summary(findings)))


def _wrapped(text: str, room: int | None) -> list[str]:
    """On one line, however long, where there is no end of room."""
    if room is None:
        return [text] if text else []
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def _plural(numbers: dict[str, int]) -> Iterator[tuple[str, int]]:
    for level, number in numbers.items():
        yield (f"{level}s" if level == "warning" and number != 1 else level), number
