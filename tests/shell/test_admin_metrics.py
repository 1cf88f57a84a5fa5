"""/metrics over real sockets."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from support.build import record
from support.observing import ORDERS, FakeShard, classic, openmetrics
from support.site import Site

from poller.core.model import Accepted, Attempt, Returned
from poller.observe.mapping import MappingFacts, MappingObserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from prometheus_client import Metric


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    async with site.server:
        yield site


async def test_a_scrape_is_classic_text_by_default_and_asks_the_shards(site: Site) -> None:
    mapping = MappingObserver(site.metrics, ORDERS, site.clock)
    mapping.shard_opened("a", FakeShard(iterator_age=12.5))
    response, text = await site.get("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert classic(text).value("poller_iterator_age_seconds", mapping="orders", shard="a") == 12.5


async def test_openmetrics_with_exemplars_where_the_client_asks_for_it(site: Site) -> None:
    mapping = MappingObserver(site.metrics, ORDERS, site.clock)
    attempt = Attempt(records=(record(1),), request_id="r1")
    mapping.invoking(attempt, "a", 0)
    mapping.answered(attempt, "a", Returned(b""), Accepted(), 0.1)
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    response, text = await site.get("/metrics", Accept=prometheus)
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("# EOF\n")
    assert [sample.exemplar.labels for sample in openmetrics(text).samples if sample.exemplar] == [{"request_id": "r1"}]


@pytest.mark.parametrize("accept", ["*/*", "text/html", "text/plain;version=1.0.0", "application/openmetrics-text;q=0", "a;;,=,"])
async def test_classic_text_for_everybody_else(site: Site, accept: str) -> None:
    response, text = await site.get("/metrics", Accept=accept)
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# EOF" not in text


@pytest.mark.parametrize(
    ("accept", "zipped"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.000", False), ("br", False)],
)
async def test_a_large_page_is_zipped_for_whom_it_suits(site: Site, accept: str, *, zipped: bool) -> None:
    response, text = await site.get("/metrics", Accept_Encoding=accept)
    assert ("Content-Encoding" in response.headers) is zipped
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert classic(text).value("poller_store_up") == 0


async def test_a_small_page_is_not_zipped(site: Site) -> None:
    response, text = await site.get("/livez", Accept_Encoding="gzip")
    assert "Content-Encoding" not in response.headers
    assert text == "ok\n"


async def test_shards_are_asked_on_the_loop_and_the_page_is_made_off_it(site: Site) -> None:
    threads: dict[str, int] = {}

    class Spy:
        def collect(self) -> Iterator[Metric]:
            threads["render"] = threading.get_ident()
            yield from ()

    site.metrics.registry.register(Spy())
    threads.clear()  # registering collects once, for the names
    site.metrics.on_scrape(lambda: threads.update(snapshot=threading.get_ident()))
    await site.get("/metrics")
    assert threads["snapshot"] == threading.get_ident()
    assert threads["render"] != threading.get_ident()


async def test_the_loop_answers_while_a_page_is_made(site: Site) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow:
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            began.set()
            assert go_on.wait(30)
            yield from ()

    site.metrics.registry.register(Slow())
    async with asyncio.TaskGroup() as tasks:
        scrape = tasks.create_task(site.get("/metrics"))
        await asyncio.to_thread(began.wait, 30)
        response, _ = await site.get("/livez")
        assert response.status == 200
        assert not scrape.done()
        go_on.set()
    assert scrape.result()[0].status == 200


async def test_twenty_three_thousand_series_are_all_on_the_page(site: Site) -> None:
    for number in range(100):
        facts = MappingFacts(name=f"m{number}", source_type="kinesis", source="s", function="f", destination="sqs")
        mapping = MappingObserver(site.metrics, facts, site.clock)
        for shard in range(50):
            mapping.shard_opened(f"shard-{shard}", FakeShard(iterator_age=1.0))
    _, text = await site.get("/metrics", Accept_Encoding="gzip")
    series = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(series) > 23_000
    assert sum(line.startswith("poller_iterator_age_seconds{") for line in series) == 5_000


async def test_ready_is_a_gauge_too(site: Site) -> None:
    assert classic((await site.get("/metrics"))[1]).value("poller_ready") == 0
    site.health.passed("config")
    site.health.passed("store")
    assert classic((await site.get("/metrics"))[1]).value("poller_ready") == 1
    site.health.drain()
    assert classic((await site.get("/metrics"))[1]).value("poller_ready") == 0
