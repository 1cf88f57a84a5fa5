"""What a reader of a table's stream makes of trimmed records, pages and shards, and how often it reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.stage import now, virtually
from support.tables import Reading, names_of

from poller.apis.memory_streams import Behaviour
from poller.core.model import Shard, Start, position
from poller.errors import DataTrimmed, Unavailable
from poller.sources.dynamodb import READ_LIMIT, pause_after

if TYPE_CHECKING:
    from poller.ports import Page

rule = pytest.mark.rule

THROTTLED = Unavailable("GetRecords", "throttled")
DAY = 86_400.0


# ---------------------------------------------------------------------------------------------------------------------- trimmed


@rule("dynamodb.poll.trimmed")
@pytest.mark.parametrize("running", [True, False])
@virtually
async def test_who_comes_too_late_is_told_and_goes_on_at_the_oldest_record(*, running: bool) -> None:
    reading = Reading()
    old = reading.put("1", "2", "3")
    start = Start(type="AFTER_SEQUENCE_NUMBER", position=position(old[0]))
    reader = reading.source.reader(reading.shard, start)
    if running:
        await reader.read()
    await asyncio.sleep(DAY / 2)
    reading.put("4")
    await asyncio.sleep(DAY / 2 + 10)
    reading.put("5")
    page = await reader.read()
    assert (names_of(page), page.trimmed, page.ended) == (["4", "5"], True, False)
    page = await reader.read()
    assert (names_of(page), page.trimmed) == ([], False)


@rule("dynamodb.poll.trimmed")
@virtually
async def test_what_was_trimmed_is_told_with_the_next_page_even_if_that_fails_at_first() -> None:
    reading = Reading()
    old = reading.put("1", "2")
    reader = reading.source.reader(reading.shard, Start(type="AFTER_SEQUENCE_NUMBER", position=position(old[0])))
    await asyncio.sleep(DAY + 10)
    reading.trouble.refuse(THROTTLED, "GetRecords")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await reader.read()
    reading.trouble.heal()
    assert (await reader.read()).trimmed
    assert not (await reader.read()).trimmed


@virtually
async def test_an_oldest_record_that_is_trimmed_under_the_reader_is_no_loss_that_anybody_promised() -> None:
    reading = Reading()
    reader = await reading.begin("TRIM_HORIZON")
    reading.put("1")
    reading.trouble.refuse(DataTrimmed("GetRecords"), "GetRecords")
    with pytest.raises(Unavailable) as caught:
        await reader.read()
    assert caught.value.kind == "expired_iterator"
    reading.trouble.heal()
    page = await reader.read()
    assert (names_of(page), page.trimmed) == (["1"], False)


# ------------------------------------------------------------------------------------------------------------------------- pages


@rule("dynamodb.poll.rate")
@pytest.mark.parametrize(
    ("count", "newest", "pause"),
    [(0, 0.0, 0.25), (3, 0.5, 0.25), (3, 60.0, 0.0), (READ_LIMIT, 0.5, 0.0), (0, 60.0, 0.25), (3, -5.0, 0.25)],
    ids=["nothing new", "fresh", "old", "a full page", "an empty page", "a clock behind"],
)
def test_how_long_a_shard_is_left_alone(count: int, newest: float, pause: float) -> None:
    assert pause_after(count, newest) == pause


@rule("dynamodb.poll.rate")
@virtually
async def test_mappings_of_one_process_read_a_shard_five_times_a_second_at_the_most_together() -> None:
    reading = Reading(Behaviour(reads_per_second=5))
    times: list[float] = []

    async def reads() -> None:
        reader = reading.source.reader(reading.shard, Start(type="TRIM_HORIZON"))
        for _ in range(20):
            await reader.read()  # the stream would throttle the sixth in a second
            times.append(now())

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(reads())
    assert max(times) == pytest.approx(39 / 5)


@rule("dynamodb.poll.end-of-shard")
@virtually
async def test_only_the_missing_iterator_ends_a_shard_and_the_service_says_nothing_of_the_tip() -> None:
    reading = Reading(Behaviour(empty_every=2, late_end=True))
    reader = await reading.begin("TRIM_HORIZON")
    reading.put("1", "2")
    reading.tables.roll_all(reading.arn)
    pages: list[Page] = []
    while not (pages and pages[-1].ended):
        pages.append(await reader.read())
    assert [name for page in pages for name in names_of(page)] == ["1", "2"]
    assert len(pages) > 1
    assert all(page.behind is None and page.children == () for page in pages)
    assert pages[0].size > 100


@rule("dynamodb.poll.rolling")
@virtually
async def test_shards_are_told_with_their_parent() -> None:
    reading = Reading()
    (child,) = reading.tables.roll(reading.arn, reading.shard)
    assert await reading.source.shards() == (Shard(id=reading.shard), Shard(id=child, parents=(reading.shard,)))
    assert (await reading.source.describe()).retention == DAY
