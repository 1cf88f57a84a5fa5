"""The gauges of shards: read from the shards at each scrape, gone with them, folded into one where there are many."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from support.observing import ORDERS, FakeShard, HandClock, Page, scrape

from poller.observe.mapping import MappingObserver
from poller.observe.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def mapping(metrics: Metrics) -> MappingObserver:
    return MappingObserver(metrics, ORDERS, HandClock())


def ages(page: Page) -> dict[str, float]:
    return {s.labels["shard"]: s.value for s in page.samples if s.name == "poller_iterator_age_seconds"}


def behind(page: Page) -> dict[str, float]:
    return {s.labels["shard"]: s.value for s in page.samples if s.name == "poller_source_behind_seconds"}


def shards(page: Page) -> dict[str, float]:
    return {s.labels["state"]: s.value for s in page.samples if s.name == "poller_shards"}


def test_a_shard_is_asked_at_each_scrape(metrics: Metrics, mapping: MappingObserver) -> None:
    shard = FakeShard(iterator_age=5.0, behind=2.0, buffered_bytes=100)
    mapping.shard_opened("a", shard)
    assert ages(scrape(metrics)) == {"a": 5.0}
    shard.iterator_age = 6.0
    page = scrape(metrics)
    assert ages(page) == {"a": 6.0}
    assert behind(page) == {"a": 2.0}
    assert page.value("poller_buffered_bytes", mapping="orders") == 100
    assert page.value("poller_pollers", mapping="orders") == 1


def test_without_a_snapshot_nothing_is_asked(metrics: Metrics, mapping: MappingObserver) -> None:
    mapping.shard_opened("a", FakeShard(iterator_age=5.0))
    assert b'shard="a"' not in metrics.render()


def test_a_closed_shard_leaves_no_series_even_before_the_next_scrape(metrics: Metrics, mapping: MappingObserver) -> None:
    mapping.shard_opened("a", FakeShard(iterator_age=5.0, buffered_bytes=10))
    mapping.shard_opened("b", FakeShard(iterator_age=7.0, buffered_bytes=1))
    scrape(metrics)
    mapping.shard_closed("a")
    assert b'shard="a"' not in metrics.render()
    page = scrape(metrics)
    assert ages(page) == {"b": 7.0}
    assert page.value("poller_buffered_bytes", mapping="orders") == 1


def test_closing_a_shard_that_was_never_scraped_is_no_mistake(metrics: Metrics, mapping: MappingObserver) -> None:
    mapping.shard_opened("a", FakeShard())
    mapping.shard_closed("a")
    assert ages(scrape(metrics)) == {}


def test_a_source_that_does_not_say_how_far_it_is_has_no_such_series(metrics: Metrics, mapping: MappingObserver) -> None:
    shard = FakeShard(behind=3.0)
    mapping.shard_opened("a", shard)
    assert behind(scrape(metrics)) == {"a": 3.0}
    shard.behind = None
    assert behind(scrape(metrics)) == {}


def test_shards_are_counted_by_state(metrics: Metrics, mapping: MappingObserver) -> None:
    mapping.shard_opened("a", FakeShard())
    mapping.shard_opened("b", FakeShard(state="blocked"))
    mapping.shard_opened("c", FakeShard())
    mapping.shards_waiting(waiting_for_parent=4, finished=5)
    assert shards(scrape(metrics)) == {"open": 2, "blocked": 1, "waiting_for_parent": 4, "finished": 5}


def test_a_hundred_shards_have_series_each_and_one_more_has_them_folded_into_their_maximum(
    metrics: Metrics, mapping: MappingObserver
) -> None:
    for number in range(100):
        mapping.shard_opened(f"s{number}", FakeShard(iterator_age=number, behind=number / 2))
    page = scrape(metrics)
    assert len(ages(page)) == 100
    assert page.value("poller_shard_series_collapsed", mapping="orders") == 0

    with capture_logs() as log:
        mapping.shard_opened("one more", FakeShard(iterator_age=1.0, behind=None))
        page = scrape(metrics)
        scrape(metrics)
    assert ages(page) == {"max": 99.0}
    assert behind(page) == {"max": 49.5}
    assert shards(page)["open"] == 101
    assert page.value("poller_shard_series_collapsed", mapping="orders") == 1
    assert [(line["event"], line["shards"]) for line in log] == [("shard_series_collapsed", 101)]


def test_when_there_are_few_again_each_has_its_own_series_again(metrics: Metrics, mapping: MappingObserver) -> None:
    for number in range(101):
        mapping.shard_opened(f"s{number}", FakeShard(iterator_age=number))
    scrape(metrics)
    for number in range(2, 101):
        mapping.shard_closed(f"s{number}")
    page = scrape(metrics)
    assert ages(page) == {"s0": 0.0, "s1": 1.0}
    assert page.value("poller_shard_series_collapsed", mapping="orders") == 0


def test_a_closed_mapping_asks_its_shards_no_more(metrics: Metrics, mapping: MappingObserver) -> None:
    mapping.shard_opened("a", FakeShard(iterator_age=5.0))
    scrape(metrics)
    mapping.close()
    assert ages(scrape(metrics)) == {}
