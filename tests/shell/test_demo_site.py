"""What the demo sets up: a configuration that holds, a handler as Lambda would run it, orders that fail in a known way."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

import pytest
from support.stage import virtually
from support.virtual import VirtualClock

from poller.clock import SystemClock
from poller.config import load
from poller.demo.feed import MOST_AT_ONCE, POISON_AT, POISON_EACH, SLOW_AT, Feed, Order, order
from poller.demo.site import furnish
from poller.demo.sources import SOURCES, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

GOOD, SLOW, POISON = 1, SLOW_AT, POISON_AT


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return furnish(tmp_path, SOURCES, services="http://127.0.0.1:1", store="redis://127.0.0.1:2", port=3)


@pytest.fixture
def app(site: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The handler's module, from where the daemon would import it; nothing of it takes time."""
    spec = spec_from_file_location("demo_app", site.parent / "functions" / "orders" / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    monkeypatch.setattr(module.random, "random", lambda: 0.0)
    return module


def stream_event(*numbers: int) -> dict[str, Any]:
    def entry(number: int) -> dict[str, Any]:
        data = base64.b64encode(order(number).body.encode()).decode()
        return {"kinesis": {"data": data, "sequenceNumber": f"s{number}"}}

    return {"Records": [entry(number) for number in numbers]}


def queue_event(*numbers: int) -> dict[str, Any]:
    return {"Records": [{"body": order(number).body, "messageId": f"m{number}"} for number in numbers]}


def named(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_the_configuration_holds_and_names_every_source(site: Path) -> None:
    config = load(site, SystemClock())
    assert [(each.name, each.event_source_arn) for each in config.event_source_mappings] == [
        (each.mapping, each.arn) for each in SOURCES
    ]
    assert all(each.reports_batch_item_failures for each in config.event_source_mappings)
    assert config.store.url == "redis://127.0.0.1:2"
    assert config.aws.endpoint_url == "http://127.0.0.1:1"


def test_good_orders_are_taken(app: ModuleType) -> None:
    assert named(app.handler(stream_event(1, 2), None)) == []
    assert named(app.handler(queue_event(1, 2), None)) == []


def test_of_a_stream_everything_from_the_first_failure_on_comes_again(app: ModuleType) -> None:
    assert named(app.handler(stream_event(GOOD, POISON, 2), None)) == [f"s{POISON}", "s2"]


def test_of_a_queue_only_what_fails_comes_again(app: ModuleType) -> None:
    assert named(app.handler(queue_event(GOOD, POISON, 2), None)) == [f"m{POISON}"]


def test_some_orders_fail_now_and_then_and_the_log_says_why(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert named(app.handler(queue_event(SLOW, POISON), None)) == [f"m{SLOW}", f"m{POISON}"]
    assert caplog.messages == [f"order {SLOW}: the bank is away", f"order {POISON}: the quantity is -1"]
    monkeypatch.setattr(app.random, "random", lambda: 0.9)
    assert named(app.handler(queue_event(SLOW, POISON), None)) == [f"m{POISON}"]


def test_one_order_in_60_can_never_be_taken() -> None:
    poison = [number for number in range(600) if json.loads(order(number).body)["quantity"] < 1]
    assert poison == [POISON_AT + POISON_EACH * nth for nth in range(10)]


@dataclass
class Shelf:
    """Takes all orders but one of each put; a put takes as long as it is told to."""

    seconds: float = 0.0
    puts: list[list[Order]] = field(default_factory=list)

    async def put(self, source: Source, orders: Sequence[Order]) -> int:
        self.puts.append(list(orders))
        await asyncio.sleep(self.seconds)
        return len(orders) - 1


async def fed(shelf: Shelf, rate: float, seconds: float) -> Feed:
    """A feed that has run for so long."""
    feed = Feed(taker=shelf, sources=SOURCES, rate=rate, clock=VirtualClock())
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await feed.run()
    return feed


@virtually
async def test_the_feed_keeps_its_rate_for_each_source_and_counts_what_was_taken() -> None:
    shelf = Shelf()
    feed = await fed(shelf, rate=40.0, seconds=10.1)
    assert sum(map(len, shelf.puts)) == 2 * 400
    assert feed.fed == {each.mapping: 400 - len(shelf.puts) // 2 for each in SOURCES}
    first = shelf.puts[:: len(SOURCES)]
    assert [one for some in first for one in some] == [order(number) for number in range(400)], "each order once, in order"


@virtually
async def test_a_slow_source_does_not_slow_the_feed_and_a_long_pause_is_not_made_up_for_at_once() -> None:
    shelf = Shelf(seconds=1.0)
    await fed(shelf, rate=40.0, seconds=10.1)
    assert [len(some) for some in shelf.puts[2:]] == [90] * (len(shelf.puts) - 2)
    asleep = Shelf(seconds=60.0)
    await fed(asleep, rate=40.0, seconds=130.0)
    assert len(asleep.puts[-1]) == MOST_AT_ONCE


@virtually
async def test_a_rate_below_one_order_a_tick_puts_nothing_empty() -> None:
    shelf = Shelf()
    await fed(shelf, rate=0.5, seconds=10.1)
    assert [len(some) for some in shelf.puts] == [1] * 2 * 5
