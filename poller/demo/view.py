"""How the figures look: a table that is drawn again and again, a line where there is no terminal, a summary at the end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from poller.demo.figures import Row

    Cell = Callable[[Row], Text]

BARS: Final = "▁▂▃▄▅▆▇█"
GOOD, CARE, BAD, QUIET = "green", "yellow", "red", "bright_black"
LABEL_WIDTH: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that is shown at one moment.

    Attributes:
        elapsed: seconds since the feed began.
        rate: orders a second into each source.
        metrics_url: where the figures come from.
        errors: by mapping, what went wrong last.
        log: the last line of the daemon's log.
    """

    elapsed: float
    rate: float
    metrics_url: str
    rows: Sequence[Row]
    errors: dict[str, str]
    log: str


def table(picture: Picture) -> RenderableType:
    """For a terminal; as high as it is, whatever it says, so that it can be drawn over itself."""
    grid = Table(box=None, padding=(0, 2, 0, 0), expand=True, show_edge=False)
    grid.add_column("", style=QUIET, width=LABEL_WIDTH, no_wrap=True)
    for row in picture.rows:
        grid.add_column(Text(row.source.mapping, style="bold"), ratio=1, no_wrap=True, overflow="ellipsis")
    for label, cell in _cells(picture.errors).items():
        grid.add_row(label, *(cell(row) for row in picture.rows))
    return Group(
        Text(""),
        _one_line(
            Text.assemble(
                ("poller demo", "bold"),
                f"  {clock(picture.elapsed)}",
                (f"  {picture.rate:g} orders/s into each source", QUIET),
                ("  Ctrl-C ends it", QUIET),
            )
        ),
        Text(""),
        grid,
        Text(""),
        _one_line(Text.assemble(("metrics  ", QUIET), picture.metrics_url)),
        _one_line(Text.assemble(("log      ", QUIET), picture.log)),
        Text(""),
    )


def line(picture: Picture) -> str:
    """All mappings in one line, without colours."""
    return "  ".join([clock(picture.elapsed), " | ".join(_brief(row) for row in picture.rows)])


def summary(rows: Sequence[Row], left: dict[str, int]) -> list[str]:
    """What became of all orders, a line for each mapping."""
    width = max((len(row.source.mapping) for row in rows), default=0)
    return [
        f"{row.source.mapping.ljust(width)}  fed {row.fed:,}, processed {row.totals.processed:,}, "
        f"retried {row.totals.retries:,}, dead-lettered {row.depth.dead_letters:,}, still there {left[row.source.mapping]:,}"
        for row in rows
    ]


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02}:{rest:02}"


def bars(values: Sequence[float]) -> str:
    """A small chart of these values, from zero to the largest."""
    top = max(values, default=0.0)
    return "".join(BARS[round(value / top * (len(BARS) - 1))] for value in values) if top > 0 else ""


# --------------------------------------------------------------------------------------------------------------------- cells


def _cells(errors: dict[str, str]) -> dict[str, Cell]:
    return {
        "reads": lambda row: Text(_reads(row)),
        "state": lambda row: Text(row.totals.state, style=GOOD if row.totals.state == "Enabled" else CARE),
        "fed": lambda row: Text(f"{row.fed:,}"),
        "processed": lambda row: Text(f"{row.totals.processed:,}"),
        "records/s": lambda row: Text.assemble(f"{row.polled_rate:<7.1f}", (bars(row.trend), GOOD)),
        "invocations/s": lambda row: Text(f"{row.invocation_rate:.1f}"),
        "backlog": lambda row: Text(_backlog(row)),
        "in flight": lambda row: Text(f"{row.totals.in_flight:,}"),
        "retries": lambda row: _count(_retries(row), row.totals.retries, CARE),
        "failures": lambda row: _count(f"{row.totals.failures:,}", row.totals.failures, CARE),
        "dead letters": lambda row: _count(f"{row.depth.dead_letters:,}", row.depth.dead_letters, BAD),
        "last error": lambda row: Text(errors.get(row.source.mapping, "none"), style=QUIET),
    }


def _reads(row: Row) -> str:
    return f"Kinesis stream {row.source.name}" if row.source.kind == "stream" else f"SQS queue {row.source.name}"


def _backlog(row: Row) -> str:
    if row.source.kind == "stream":
        return "iterator age -" if row.totals.age is None else f"iterator age {row.totals.age:.1f} s"
    return "-" if row.depth.visible is None else f"{row.depth.visible:,} visible, {row.depth.in_flight:,} in flight"


def _retries(row: Row) -> str:
    return f"{row.totals.retries:,}" + (f", {row.totals.splits:,} splits" if row.totals.splits else "")


def _count(text: str, count: int, style: str) -> Text:
    return Text(text, style=style if count else "")


def _brief(row: Row) -> str:
    totals = row.totals
    state = "" if totals.state == "Enabled" else f" {totals.state},"
    behind = f"age {totals.age or 0:.1f} s" if row.source.kind == "stream" else f"{row.depth.visible or 0:,} waiting"
    done = f"{totals.processed:,} processed, {row.polled_rate:.0f}/s in"
    return f"{row.source.mapping}{state} {done}, {behind}, {totals.retries:,} retries, {row.depth.dead_letters:,} dead"


def _one_line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
