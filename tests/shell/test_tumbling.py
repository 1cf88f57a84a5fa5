"""Tumbling windows of a running mapping: the state from batch to batch, and when and how a window ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson
import pytest
from support.doubles import ACCEPTS, RAISES, Call
from support.processes import SHAPE, World, names, running
from support.stage import STREAM_ARN, now, until, virtually
from support.windows import Windowed, counted, event_of, put

from poller.core.batching import BatchLimits
from poller.core.model import Answer, Refused, Returned
from poller.core.policy import StreamPolicy
from poller.errors import Unavailable
from poller.ports import Page
from poller.sources.kinesis import KinesisSource
from poller.sources.pace import ReadPace

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.core.model import ShardId, Start
    from poller.ports import ShardReader

rule = pytest.mark.rule

BY_TWO = BatchLimits(count=2)
DOWN = Unavailable("GetRecords", "connection")


def failing(times: int, when: Callable[[dict[str, object]], object]) -> Callable[[Call], Answer]:
    """The counting function; it raises the first so many times where this is true of an event."""
    left = [times]

    def answer(call: Call) -> Answer:
        if left[0] and when(event_of(call)):
            left[0] -= 1
            return RAISES
        return counted(call)

    return answer


def final(event: dict[str, object]) -> object:
    return event["isFinalInvokeForWindow"]


# -------------------------------------------------------------------------------------------------------- the state, and the end


@rule("stream.windows.state-goes-on")
@rule("stream.windows.final")
@rule("stream.windows.one-window-a-batch")
@virtually
async def test_the_state_goes_from_batch_to_batch_until_a_record_of_a_later_window_closes_it() -> None:
    world = World()
    process = Windowed(world=world, limits=BY_TWO)
    async with running(process):
        await put(world, (1, "a b c"), (50, "d"), (99, "e"), (100, "f g"), (150, "h"))
        await until(lambda: len(process.executor.calls) == 7)
        assert process.events == ["0 n=0 a b", "0 n=2 c", "0 n=3 d", "0 n=4 e", "0 n=5 final", "100 n=0 f g", "100 n=2 h"]
        assert process.finals[0]["Records"] == []
        assert process.finals[0]["state"] == {"n": 5, "names": ["a", "b", "c", "d", "e"]}
        assert process.count("windows_closed_total", reason="later_record") == 1
        assert process.count("events_invoked_total") == 8


@rule("stream.windows.one-window-a-batch")
@virtually
async def test_a_batch_that_is_still_gathering_goes_out_when_its_window_is_over() -> None:
    world = World()
    process = Windowed(world=world, limits=BatchLimits(count=100, window=300))
    async with running(process):
        await put(world, (1, "a"), (50, "b"), (120, "c"))
        await until(lambda: len(process.executor.calls) == 2)
        assert now() < 125
        assert process.events == ["0 n=0 a b", "0 n=2 final"]


@rule("stream.windows.closed-without-later-record")
@virtually
async def test_a_window_without_a_later_record_is_closed_soon_after_its_end_and_not_before() -> None:
    world = World()
    process = Windowed(world=world)
    async with running(process):
        await put(world, (1, "a"))
        await until(lambda: process.finals)
        assert 102 <= now() < 105
        assert process.events == ["0 n=0 a", "0 n=1 final"]
        await asyncio.sleep(500)
        assert len(process.executor.calls) == 2  # a window without records is none
        await put(world, (800, "b"))
        await until(lambda: len(process.executor.calls) == 3)
        assert process.events[2] == "800 n=0 b"
    assert process.count("windows_closed_total", reason="time") == 1


@rule("stream.windows.closed-without-later-record")
@virtually
async def test_while_reads_fail_a_window_stays_open() -> None:
    world = World()
    process = Windowed(world=world)
    async with running(process):
        await put(world, (1, "a"), (90, "b"))
        await asyncio.sleep(5)
        process.reading.refuse(DOWN, "GetRecords")
        await put(world, (98, "c"))
        await asyncio.sleep(2000)
        assert process.finals == []
        process.reading.heal()
        await until(lambda: process.finals)
    assert process.events == ["0 n=0 a", "0 n=1 b", "0 n=2 c", "0 n=3 final"]


@virtually
async def test_a_wall_clock_that_is_put_right_does_not_keep_a_window_open() -> None:
    world = World()
    process = Windowed(world=world)
    async with running(process):
        await put(world, (1, "a"))
        world.clock.jump(-7200)
        await until(lambda: process.events)
        await asyncio.sleep(1)
        world.clock.jump(7200)
        await until(lambda: process.finals)
        assert now() < 110


class SilentReader:
    """Does not say how far it is from the tip, as DynamoDB's does not; so many of its first pages are empty."""

    def __init__(self, reader: ShardReader, empty: int) -> None:
        self._reader = reader
        self._empty = empty

    async def read(self) -> Page:
        """See `ShardReader.read`."""
        self._empty -= 1
        return Page(records=(), pause=0.25) if self._empty >= 0 else replace(await self._reader.read(), behind=None)


@dataclass(frozen=True, kw_only=True)
class SilentSource(KinesisSource):
    """Its readers are silent."""

    empty: int = 0

    def reader(self, shard: ShardId, start: Start) -> ShardReader:  # type: ignore[override]  # it wraps the other
        """See `StreamSource.reader`."""
        return SilentReader(super().reader(shard, start), self.empty)


def silent(process: Windowed, empty: int = 0) -> Windowed:
    """The process, with another source."""
    clock = process.world.clock
    process.source = SilentSource(api=process.api, shape=SHAPE, pace=ReadPace(clock), clock=clock, empty=empty)
    return process


@rule("stream.windows.closed-without-later-record")
@virtually
async def test_where_the_source_does_not_say_that_nothing_is_left_a_window_waits_two_minutes_after_its_end() -> None:
    world = World()
    process = silent(Windowed(world=world))
    async with running(process):
        await put(world, (1, "a"))
        await until(lambda: process.finals)
        assert 220 <= now() < 223


@rule("stream.windows.closed-without-later-record")
@virtually
async def test_empty_pages_of_such_a_source_do_not_close_a_window_whose_records_come_behind_them() -> None:
    world = World()
    first, second = silent(Windowed(world=world)), silent(Windowed(world=world, owner="two"), empty=100)
    async with running(first):
        world.put("a")
        await until(lambda: first.events)
    world.put("b")
    await asyncio.sleep(1000)
    began = now()
    async with running(second):
        await until(lambda: second.finals)
        assert began + 145 <= now() < began + 147
    assert second.events == ["0 n=1 b", "0 n=2 final"]


@rule("stream.windows.late-record")
@virtually
async def test_a_record_of_a_window_that_is_closed_opens_it_once_more() -> None:
    world = World()
    process = Windowed(world=world)
    async with running(process):
        await put(world, (1, "a"))
        await until(lambda: process.finals)
        world.clock.skew -= 50  # the clock of the stream, and ours
        await put(world, (now() + 1, "b"))
        await until(lambda: len(process.executor.calls) == 3)
    assert process.events == ["0 n=0 a", "0 n=1 final", "0 n=0 b"]


@rule("stream.windows.shard-end")
@rule("stream.shards.parent-before-child")
@virtually
async def test_a_shard_that_ends_closes_its_window_and_only_then_its_children_begin_theirs() -> None:
    world = World()
    process = Windowed(world=world, limits=BatchLimits(count=1))
    world.put("a", "b")
    world.streams.split(STREAM_ARN, next(iter(world.streams._streams[STREAM_ARN].shards)))
    world.put("c")
    async with running(process):
        await until(lambda: len(process.executor.calls) == 4)
    assert process.events == ["0 n=0 a", "0 n=1 b", "0 n=2 final", "0 n=0 c"]
    parent, child = event_of(process.executor.calls[2])["shardId"], event_of(process.executor.calls[3])["shardId"]
    assert parent != child
    assert process.count("windows_closed_total", reason="shard_end") == 1


@virtually
async def test_each_shard_has_its_own_state() -> None:
    world = World(shards=2)
    process = Windowed(world=world)
    async with running(process):
        await put(world, (1, "a b c d e f"))
        await until(lambda: len(process.finals) == 2)
    assert sum(event["state"]["n"] for event in process.finals) == 6
    assert len({event["shardId"] for event in process.finals}) == 2


# --------------------------------------------------------------------------------------------------------------------- failures


@rule("stream.windows.retry-as-of-then")
@virtually
async def test_a_batch_that_fails_is_tried_again_with_the_state_as_of_then() -> None:
    world = World()
    process = Windowed(world=world, limits=BY_TWO, script=failing(2, lambda event: event["state"]))
    async with running(process):
        await put(world, (1, "a b c"))
        await until(lambda: process.finals)
    assert process.events == ["0 n=0 a b", "0 n=2 c", "0 n=2 c", "0 n=2 c", "0 n=3 final"]
    assert len({call.invocation.request_id for call in process.executor.calls}) == 3  # an unchanged retry keeps its own


@rule("stream.windows.state-is-demanded")
@virtually
async def test_an_answer_without_a_state_spends_retries_and_may_split_the_batch() -> None:
    world = World()

    def answer(call: Call) -> Answer:
        return ACCEPTS if "b" in names(call) else counted(call)

    process = Windowed(world=world, script=answer, policy=StreamPolicy(max_retries=1, bisect=True))
    async with running(process):
        await put(world, (1, "a b c"))
        await until(lambda: process.finals)
    assert process.events == ["0 n=0 a b c", "0 n=0 a b", "0 n=0 a", "0 n=1 b", "0 n=1 b", "0 n=1 c", "0 n=2 final"]
    (document,) = world.documents
    assert document["KinesisBatchInfo"]["batchSize"] == 1
    assert list(document)[-1] == "timeWindowInfo"
    assert document["timeWindowInfo"] == {
        "window": {"start": "2023-11-14T22:13:20Z", "end": "2023-11-14T22:15:00Z"},
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }


@rule("stream.windows.discards-leave-the-state")
@virtually
async def test_records_that_are_given_up_leave_the_state_as_it_was() -> None:
    world = World()
    process = Windowed(
        world=world, limits=BY_TWO, script=failing(1, lambda event: event["state"]), policy=StreamPolicy(max_retries=0)
    )
    async with running(process):
        await put(world, (1, "a b c d e"))
        await until(lambda: process.finals)
    assert process.events == ["0 n=0 a b", "0 n=2 c d", "0 n=2 e", "0 n=3 final"]
    assert process.finals[0]["state"]["names"] == ["a", "b", "e"]


@rule("stream.windows.age")
@virtually
async def test_expired_records_are_given_up_within_a_window_and_the_window_is_closed_all_the_same() -> None:
    world = World()
    process = Windowed(world=world, script=failing(100, lambda event: event["Records"]), policy=StreamPolicy(max_age=60))
    async with running(process):
        await put(world, (1, "a"))
        await until(lambda: process.finals)
    assert process.events[-1] == "0 n=0 final"
    assert [document["requestContext"]["condition"] for document in world.documents] == ["RecordAgeExceeded"]
    assert process.executor.calls[-1].began >= 102


@rule("stream.windows.partial")
@virtually
async def test_what_a_partial_answer_accepts_is_in_its_state_and_the_rest_gets_that_state() -> None:
    world = World()

    def answer(call: Call) -> Answer:
        event = event_of(call)
        if len(event["Records"]) < 2:
            return counted(call)
        failed = event["Records"][1]["kinesis"]["sequenceNumber"]
        state = {"n": event["state"].get("n", 0) + 1, "names": [*event["state"].get("names", []), names(call)[0]]}
        return Returned(orjson.dumps({"state": state, "batchItemFailures": [{"itemIdentifier": failed}]}))

    process = Windowed(world=world, script=answer, partial_answers=True)
    async with running(process):
        await put(world, (1, "a b c"))
        await until(lambda: process.finals)
    assert process.events == ["0 n=0 a b c", "0 n=1 b c", "0 n=2 c", "0 n=3 final"]
    assert process.finals[0]["state"]["names"] == ["a", "b", "c"]


@rule("stream.windows.final-is-retried")
@virtually
async def test_while_the_final_invocation_fails_its_shard_waits() -> None:
    world = World()
    process = Windowed(world=world, script=failing(6, final))
    async with running(process):
        await put(world, (1, "a"), (101, "b"))
        await until(lambda: len(process.executor.calls) == 9)
    assert process.events == ["0 n=0 a", *["0 n=1 final"] * 7, "100 n=0 b"]
    assert len({call.invocation.request_id for call in process.executor.calls[1:8]}) == 1
    assert process.executor.calls[8].began > 115


@rule("stream.windows.final-is-retried")
@virtually
async def test_a_refused_final_invocation_spends_no_retry() -> None:
    world = World()
    process = Windowed(
        world=world,
        script=lambda call: Refused("throttled") if final(event_of(call)) and now() < 200 else counted(call),
        policy=StreamPolicy(max_retries=0),
    )
    async with running(process):
        await put(world, (1, "a"))
        await until(lambda: process.count("windows_closed_total", reason="time"), step=1)
    assert now() >= 200
    assert world.documents == []


@rule("stream.windows.final-given-up")
@virtually
async def test_a_final_invocation_that_is_given_up_is_reported_without_records_and_the_next_window_begins() -> None:
    world = World()
    process = Windowed(world=world, script=failing(2, final), policy=StreamPolicy(max_retries=1))
    async with running(process):
        await put(world, (1, "a"), (101, "b"))
        await until(lambda: len(process.executor.calls) == 4)
    assert process.events == ["0 n=0 a", "0 n=1 final", "0 n=1 final", "100 n=0 b"]
    (document,) = world.documents
    assert document["KinesisBatchInfo"] == {"shardId": "shardId-000000000000", "streamArn": STREAM_ARN}
    assert document["timeWindowInfo"]["isFinalInvokeForWindow"] is True
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["requestContext"]["approximateInvokeCount"] == 2
    assert process.count("windows_closed_total", reason="given_up") == 1
