"""What the demo reads from the daemon's own pages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.build import records
from support.observing import FUNCTION_ERROR, SHARD, Bench, FakeShard

from poller.core.model import Accepted, Attempt, Decision, Failed, Partial, Returned
from poller.demo.figures import Depth, Page, Series, Totals, shortfall, totals
from poller.demo.sources import QUEUE, STREAM, Source
from poller.observe.mapping import MappingFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import EventDict


def bench(source: Source) -> Bench:
    kind = "kinesis" if source.kind == "stream" else "sqs"
    return Bench(MappingFacts(name=source.mapping, source_type=kind, source=source.name, function="orders", destination="sqs"))


@pytest.fixture
def log() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def page(of: Bench) -> Page:
    of.metrics.snapshot()
    return Page(of.metrics.render().decode())


def test_a_mapping_that_has_done_nothing_yet_is_starting() -> None:
    assert totals(Page(""), STREAM) == Totals(state="Starting")
    assert totals(page(bench(QUEUE)), STREAM) == Totals(), "another mapping's figures are not its own"


@pytest.mark.usefixtures("log")
def test_figures_of_a_stream_follow_its_counters() -> None:
    on = bench(STREAM)
    on.mapping.state("Enabled")
    on.mapping.shard_opened(SHARD, FakeShard(iterator_age=1.5))
    on.mapping.shard_opened("shardId-000000000001", FakeShard(iterator_age=4.25))
    on.mapping.polled(records(1, 2, 3, 4, 5, 6), size=600, seconds=0.1)
    on.run(Returned(b""), Accepted())
    on.run(Returned(b""), Partial(frozenset({"2"})))
    on.run(FUNCTION_ERROR, Failed("function_error", "ValueError: no"))
    again = Attempt(records=records(2), retries=1)
    on.mapping.decided(Decision(again=(again,)))
    on.mapping.decided(Decision(again=(Attempt(records=records(1)), Attempt(records=records(2)))))
    on.mapping.invoking(Attempt(records=records(4, 5)), SHARD, on.clock.now)
    assert totals(page(on), STREAM) == Totals(
        state="Enabled", polled=6, invocations=3, processed=5, retries=1, splits=1, failures=2, in_flight=2, age=4.25
    )


@pytest.mark.usefixtures("log")
def test_a_message_that_comes_again_is_a_queues_retry() -> None:
    on = bench(QUEUE)
    on.mapping.redelivered(2)
    assert totals(page(on), QUEUE).retries == 2
    assert totals(page(on), QUEUE).age is None


def counted(polled: int, invocations: int = 0) -> Page:
    labels = f'{{mapping="{STREAM.mapping}"}}'
    ended = f'{{mapping="{STREAM.mapping}",outcome="success"}}'
    return Page(f"poller_events_polled_total{labels} {polled}\npoller_invocations_total{ended} {invocations}\n")


def test_rates_are_taken_over_the_last_few_seconds_and_the_trend_from_page_to_page() -> None:
    series = Series(STREAM, 100.0)
    assert series.row(0).polled_rate == 0.0
    series.add(counted(20, 4), 101.0)
    series.add(counted(80, 6), 102.0)
    row = series.row(90)
    assert (row.polled_rate, row.invocation_rate, row.trend, row.fed) == (40.0, 3.0, (20.0, 60.0), 90)
    for second in range(103, 110):
        series.add(counted(80, 6), float(second))
    assert series.row(90).polled_rate == 0.0
    assert series.row(90).trend[-1] == 0.0


def test_after_a_long_silence_a_rate_is_still_one() -> None:
    series = Series(STREAM, 100.0)
    series.add(counted(10), 101.0)
    series.add(counted(110), 201.0)
    assert series.row(0).polled_rate == 1.0


def test_two_pages_of_one_moment_make_no_rate_out_of_bounds() -> None:
    series = Series(STREAM, 100.0)
    series.add(counted(0), 100.0)
    assert series.row(0).polled_rate == 0.0


def test_what_is_neither_processed_nor_dead_is_still_there() -> None:
    row = replace(Series(STREAM, 0.0).row(10), totals=Totals(processed=6), depth=Depth(dead_letters=1))
    assert shortfall([row]) == {"orders-stream": 3}
    again = replace(row, totals=Totals(processed=12))
    assert shortfall([again]) == {"orders-stream": 0}, "a queue may deliver twice"
