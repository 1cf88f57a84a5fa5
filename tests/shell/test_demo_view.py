"""How the demo looks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.console import Console

from poller.demo.figures import Depth, Row, Totals
from poller.demo.sources import QUEUE, STREAM
from poller.demo.view import Picture, bars, line, summary, table

TOTALS = Totals(
    state="Enabled", polled=1590, invocations=300, processed=1562, retries=42, splits=19, failures=61, in_flight=12, age=1.34
)

ROW = Row(
    source=STREAM,
    fed=1600,
    totals=TOTALS,
    depth=Depth(dead_letters=11),
    polled_rate=40.2,
    invocation_rate=11.3,
    trend=(0.0, 20.0, 40.0, 80.0),
)

QUEUED = replace(
    ROW,
    source=QUEUE,
    totals=replace(TOTALS, state="Enabling", age=None, splits=0, retries=0),
    depth=Depth(dead_letters=0, visible=1200, in_flight=14),
)

PICTURE = Picture(
    elapsed=75.3,
    rate=40.0,
    metrics_url="http://127.0.0.1:9108/metrics",
    rows=(ROW, QUEUED),
    errors={"orders-stream": "order 1207: the quantity is -1 [bold]"},
    log="12:00:00 warning batch mapping=orders-stream shard=shardId-000000000002 records=3 attempt=1 outcome=partial",
)

TABLE_80 = """

poller demo  01:15  40 orders/s into each source  Ctrl-C ends it

                 orders-stream                   orders-queue
reads            Kinesis stream orders           SQS queue orders
state            Enabled                         Enabling
fed              1,600                           1,600
processed        1,562                           1,562
records/s        40.2   ▁▃▅█                     40.2   ▁▃▅█
invocations/s    11.3                            11.3
backlog          iterator age 1.3 s              1,200 visible, 14 in flight
in flight        12                              12
retries          42, 19 splits                   0
failures         61                              61
dead letters     11                              0
last error       order 1207: the quantity is -…  none

metrics  http://127.0.0.1:9108/metrics
log      12:00:00 warning batch mapping=orders-stream shard=shardId-00000000000…

"""


def drawn(picture: Picture, width: int, *, colours: bool = False) -> str:
    console = Console(width=width, force_terminal=colours, color_system="standard" if colours else None, legacy_windows=False)
    with console.capture() as capture:
        console.print(table(picture))
    return capture.get()


def test_the_table_fits_80_columns() -> None:
    assert "\n" + "\n".join(each.rstrip() for each in drawn(PICTURE, 80).splitlines()) + "\n" == TABLE_80


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_table_is_as_high_whatever_it_says_and_never_wider_than_the_terminal(width: int) -> None:
    longer = replace(PICTURE, errors={"orders-queue": "no " * 200}, log="x" * 500)
    empty = replace(PICTURE, errors={}, log="", rows=tuple(replace(row, totals=Totals(), trend=()) for row in PICTURE.rows))
    heights = {len(drawn(each, width).splitlines()) for each in (PICTURE, longer, empty)}
    assert len(heights) == 1
    assert all(len(each) <= width for each in drawn(longer, width).splitlines())


def test_what_calls_for_attention_is_in_colour() -> None:
    text = drawn(PICTURE, 120, colours=True)
    for colour, word in ((32, "Enabled"), (33, "Enabling"), (31, "11"), (33, "42, 19 splits")):
        assert re.search(rf"\x1b\[{colour}m{word} *\x1b\[0m", text), word
    assert "[bold]" in text, "what comes from outside is text, not markup"


def test_without_a_terminal_all_mappings_are_in_one_line() -> None:
    assert line(PICTURE) == (
        "01:15  orders-stream 1,562 processed, 40/s in, age 1.3 s, 42 retries, 11 dead"
        " | orders-queue Enabling, 1,562 processed, 40/s in, 1,200 waiting, 0 retries, 0 dead"
    )


def test_the_summary_tells_what_became_of_all_orders() -> None:
    assert summary((ROW, QUEUED), {"orders-stream": 27, "orders-queue": 38}) == [
        "orders-stream  fed 1,600, processed 1,562, retried 42, dead-lettered 11, still there 27",
        "orders-queue   fed 1,600, processed 1,562, retried 0, dead-lettered 0, still there 38",
    ]


def test_bars_reach_from_zero_to_the_largest_value() -> None:
    assert (bars([0.0, 50.0, 100.0]), bars([0.0, 0.0]), bars([])) == ("▁▅█", "", "")
