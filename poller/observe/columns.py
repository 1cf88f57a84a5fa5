"""Tables and durations for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.observe.console import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line each, columns as wide as their widest cell. The first row is the heads."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def resource(arn: str) -> str:
    """What an ARN names, without where that is: `stream/orders`. It may have colons itself, as the time in a table's stream."""
    return arn.split(":", 5)[-1]


def age(seconds: float) -> str:
    """The two largest parts: `3 d 4 h`."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in PARTS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
