"""The state of a tumbling window and sizes: one that is too large ends its window, and every event keeps to its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from support.doubles import RAISES, Call
from support.processes import World, names, running
from support.stage import until, virtually
from support.windows import Windowed, counted, event_of, put

from poller.core.batching import BatchLimits
from poller.core.model import Answer, Returned
from poller.core.policy import StreamPolicy
from poller.core.windows import STATE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

rule = pytest.mark.rule

BY_TWO = BatchLimits(count=2)


def hoarding(size: int, trigger: str) -> Callable[[Call], Answer]:
    """The counting function, whose state is so large, in bytes, once it has seen this record."""

    def answer(call: Call) -> Answer:
        event = event_of(call)
        if trigger not in names(call):
            return counted(call)
        state = {"n": event["state"].get("n", 0) + len(event["Records"]), "x": ""}
        state["x"] = "x" * (size - len(orjson.dumps(state)))
        return Returned(orjson.dumps({"state": state}))

    return answer


@rule("stream.windows.oversized")
@virtually
async def test_a_state_that_is_too_large_ends_its_window_early_and_the_window_goes_on_without_it() -> None:
    world = World()
    process = Windowed(world=world, limits=BY_TWO, script=hoarding(STATE_LIMIT + 1, "d"))
    async with running(process):
        await put(world, (1, "a b c d e"), (50, "f"))
        await until(lambda: len(process.finals) == 2)
    assert process.events == ["0 n=0 a b", "0 n=2 c d", "0 n=4 final early", "0 n=0 e", "0 n=1 f", "0 n=2 final"]
    assert len(orjson.dumps(process.finals[0]["state"])) == STATE_LIMIT + 1
    assert process.finals[0]["Records"] == []
    assert process.count("windows_closed_total", reason="state_size") == 1


@rule("stream.windows.oversized")
@virtually
async def test_a_state_of_exactly_a_megabyte_goes_on() -> None:
    world = World()
    process = Windowed(world=world, script=hoarding(STATE_LIMIT, "a"))
    async with running(process):
        await put(world, (1, "a"), (5, "b"))
        await until(lambda: process.finals)
    assert process.events == ["0 n=0 a", "0 n=1 b", "0 n=2 final"]


@rule("stream.windows.oversized")
@virtually
async def test_after_an_early_end_in_the_midst_of_a_split_batch_the_other_half_begins_anew() -> None:
    world = World()
    hoard = hoarding(STATE_LIMIT + 1, "b")
    process = Windowed(
        world=world, script=lambda call: RAISES if len(names(call)) == 4 else hoard(call), policy=StreamPolicy(bisect=True)
    )
    async with running(process):
        await put(world, (1, "a b c d"))
        await until(lambda: len(process.finals) == 2)
    assert process.events == ["0 n=0 a b c d", "0 n=0 a b", "0 n=2 final early", "0 n=0 c d", "0 n=2 final"]


def growing(call: Call, by: int) -> dict[str, object]:
    """The state of the counting function, larger by so much with each invocation."""
    state = event_of(call)["state"]
    return {"n": state.get("n", 0) + len(call.records), "x": state.get("x", "") + "x" * by}


@rule("stream.windows.sizes")
@virtually
async def test_batches_leave_room_for_the_state_that_they_get_and_no_more() -> None:
    world, limit = World(), 6_000
    process = Windowed(
        world=world,
        script=lambda call: Returned(orjson.dumps({"state": growing(call, 400)})),
        limits=BatchLimits(count=100, event_bytes=limit),
    )
    async with running(process):
        await put(world, (1, " ".join(f"record-{number:02}" for number in range(24))))
        await until(lambda: process.finals)
    sizes = [len(call.invocation.event) for call in process.executor.calls[:-1]]
    one = len(orjson.dumps(process.calls[0]["Records"][0]))
    assert max(sizes) <= limit
    assert all(size + 1 + one > limit for size in sizes[:-1])
    assert len(sizes) >= 3
    assert process.finals[0]["state"]["n"] == 24


@rule("stream.windows.sizes")
@virtually
async def test_what_is_left_of_a_batch_is_split_where_the_state_has_left_it_too_little_room() -> None:
    world, limit = World(), 4_000

    def answer(call: Call) -> Answer:
        first, *rest = [record["kinesis"]["sequenceNumber"] for record in call.records] or [None]
        state = growing(call, 1_000 if len(rest) == 5 else 0) | {"n": event_of(call)["state"].get("n", 0) + (first is not None)}
        return Returned(orjson.dumps({"state": state, "batchItemFailures": [{"itemIdentifier": each} for each in rest[:1]]}))

    process = Windowed(
        world=world,
        script=answer,
        limits=BatchLimits(count=100, event_bytes=limit),
        partial_answers=True,
        policy=StreamPolicy(max_retries=0),
    )
    async with running(process):
        await put(world, (1, " ".join(f"record-{number:02}" for number in range(6))))
        await until(lambda: process.finals)
    assert max(len(call.invocation.event) for call in process.executor.calls) <= limit
    assert [len(event["Records"]) for event in process.calls] == [
        6,
        4,
        3,
        2,
        1,
        1,
        0,
    ]  # of the five that are left after the first answer, four fit
    assert process.finals[0]["state"]["n"] == 6
    assert world.documents == []
