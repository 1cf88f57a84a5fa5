"""The heartbeat: messages in hand stay hidden while it can be, and count as ours no longer than they are."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.queueing import MAILS, ObedientQueue, message, messages
from support.stage import Stage, later, now, stand_still, virtually

from poller.errors import SourceGone, Unavailable
from poller.visibility import LONGEST, Visibility

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

rule = pytest.mark.rule

DOWN = Unavailable("ChangeMessageVisibilityBatch", "connection")


class Desk:
    """A heartbeat of 30 seconds, and a queue that does what it is told."""

    def __init__(self, seconds: int = 30) -> None:
        self.stage = Stage(facts=MAILS)
        self.queue = ObedientQueue()
        self.visibility = Visibility(self.queue, seconds, self.stage.observe, self.stage.clock, self.stage.rng)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Visibility]:
        """The heartbeat, at work for as long as the context lasts."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.visibility.run())
            yield self.visibility
            running.cancel()

    @property
    def beats(self) -> list[tuple[float, int | None]]:
        """When something was extended, and for how long."""
        return [(call.at, call.seconds) for call in self.queue.of("hide")]

    def counted(self, outcome: str) -> float | None:
        return self.stage.count("visibility_extensions_total", outcome=outcome)


# ------------------------------------------------------------------------------------------------------------------ when it beats


@rule("queue.visibility.heartbeat")
@virtually
async def test_a_message_in_hand_is_extended_each_time_when_half_of_its_time_is_over() -> None:
    desk = Desk()
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(50)
        assert desk.beats == [(15, 30), (30, 30), (45, 30)]
        assert visibility.ours(message(1))
    assert desk.counted("ok") == 3


@rule("queue.visibility.heartbeat")
@virtually
async def test_time_counts_from_when_the_messages_were_asked_for() -> None:
    desk = Desk()
    async with desk.open() as visibility:
        await asyncio.sleep(10)
        visibility.hold(messages(1), asked_at=2)
        await asyncio.sleep(40)
        assert [at for at, _ in desk.beats] == [17, 32, 47]


@virtually
async def test_an_extension_counts_from_when_it_was_asked_for() -> None:
    desk = Desk()
    desk.queue.late = 5
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(61)
        assert [at for at, _ in desk.beats] == [15, 30, 45, 60]


@pytest.mark.parametrize("arrives", [3, 14, 15, 17, 29])
@virtually
async def test_what_a_long_poll_brought_late_does_not_wait_for_what_was_asked_for_later(arrives: float) -> None:
    """One slot asked at once and waited; others asked later, and stand in the line before it."""
    desk = Desk()
    async with desk.open() as visibility:
        for second in range(3):
            later(arrives - 0.5 + second / 10, lambda: visibility.hold(messages(int(now() * 10)), now()))
        later(arrives, lambda: visibility.hold(messages(1, 2), asked_at=0))
        await asyncio.sleep(100)
        assert max(15, arrives) <= desk.queue.of("hide", "m1")[0].at <= max(15, arrives) + 30 / 8
        assert visibility.ours(message(1))
    assert desk.counted("lost") == 0


@virtually
async def test_with_nothing_in_hand_nothing_happens_and_what_comes_then_is_extended() -> None:
    desk = Desk()
    async with desk.open() as visibility:
        visibility.hold((), now())
        for at in (100.0, 1000.0):
            await asyncio.sleep(at - now())
            visibility.hold(messages(int(at)), now())
            await asyncio.sleep(16)
            visibility.drop(messages(int(at)))
        await asyncio.sleep(1000)
    assert [at for at, _ in desk.beats] == [115, 1015]


@virtually
async def test_what_is_dropped_is_not_extended() -> None:
    desk = Desk()
    async with desk.open() as visibility:
        visibility.hold(messages(1, 2, 3), now())
        await asyncio.sleep(10)
        visibility.drop(messages(1, 3))
        await asyncio.sleep(10)
        visibility.drop(messages(2))
        await asyncio.sleep(100)
        assert [call.ids for call in desk.queue.calls] == [["m2"]]
        assert (len(visibility), visibility.held) == (0, [])
        assert not visibility.ours(message(1))


# -------------------------------------------------------------------------------------------------------------------- whose it is


@virtually
async def test_a_message_is_ours_until_its_time_is_over_whether_or_not_the_heartbeat_notices() -> None:
    desk = Desk()
    desk.visibility.hold(messages(1), now())
    assert not desk.visibility.ours(message(2))
    await asyncio.sleep(29.9)
    assert desk.visibility.ours(message(1))
    await asyncio.sleep(0.1)
    assert not desk.visibility.ours(message(1))


@virtually
async def test_what_was_in_hand_while_the_process_stood_still_for_too_long_is_lost_and_not_extended() -> None:
    desk = Desk()
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(10)
        stand_still(25)
        assert not visibility.ours(message(1))
        await asyncio.sleep(1)
        assert visibility.held == []
    assert desk.beats == []
    assert desk.counted("lost") == 1


@rule("queue.visibility.heartbeat")
@pytest.mark.parametrize("error", [DOWN, SourceGone("no such queue")], ids=["unavailable", "gone"])
@virtually
async def test_a_service_that_fails_is_tried_again_quickly_until_the_time_is_over_and_then_the_message_is_lost(
    error: Exception,
) -> None:
    desk = Desk()
    desk.queue.error = error
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(100)
        assert visibility.held == []
    tries = [at for at, _ in desk.beats]
    assert tries[0] == 15
    assert 5 <= len(tries) <= 30
    assert tries[-1] < 30
    assert max(after - before for before, after in pairwise(tries)) <= 30 / 8
    assert (desk.counted("lost"), desk.counted("error")) == (1, len(tries))


@virtually
async def test_a_service_that_recovers_in_time_has_cost_nothing() -> None:
    desk = Desk()
    desk.queue.error = DOWN
    later(25, lambda: setattr(desk.queue, "error", None))
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(60)
        assert visibility.ours(message(1))
    assert desk.counted("lost") == 0


@virtually
async def test_no_call_is_waited_for_longer_than_the_message_is_ours() -> None:
    desk = Desk()
    desk.queue.late = 1000  # carried out at once, and never answered
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(29.9)
        assert desk.queue.busy == 1
        await asyncio.sleep(0.2)
        assert desk.queue.busy == 0
        assert not visibility.ours(message(1))
        await asyncio.sleep(100)
        assert visibility.held == []
    assert desk.counted("lost") == 1
    assert max(at for at, _ in desk.beats) < 30


@virtually
async def test_stale_receipts_are_dropped_at_once_and_the_others_are_extended() -> None:
    desk = Desk()
    desk.queue.failing = {"m2": True}
    async with desk.open() as visibility:
        visibility.hold(messages(1, 2, 3), now())
        await asyncio.sleep(15.1)
        assert visibility.held == [message(1), message(3)]
        await asyncio.sleep(50)
    assert [call.ids for call in desk.queue.calls] == [["m1", "m2", "m3"], *[["m1", "m3"]] * 4][: len(desk.queue.calls)]
    assert desk.counted("lost") == 1


@virtually
async def test_an_entry_that_fails_is_tried_again_alone_and_soon() -> None:
    desk = Desk()
    desk.queue.failing = {"m2": False}
    later(20, desk.queue.failing.clear)
    async with desk.open() as visibility:
        visibility.hold(messages(1, 2, 3), now())
        await asyncio.sleep(29)
        assert visibility.ours(message(2))
        before = [call for call in desk.queue.calls if call.at < 29]
        assert before[0].ids == ["m1", "m2", "m3"]
        assert {tuple(call.ids) for call in before[1:]} == {("m2",)}
        assert 3 <= len(before) <= 20
        await asyncio.sleep(30)
        assert len(visibility) == 3
    assert desk.counted("lost") == 0


@virtually
async def test_a_message_whose_entry_never_works_is_lost_when_its_time_is_over_and_takes_no_other_with_it() -> None:
    desk = Desk()
    desk.queue.failing = {"m1": False}
    async with desk.open() as visibility:
        visibility.hold(tuple(message(n) for n in range(1, 301)), now())
        await asyncio.sleep(100)
        assert len(visibility) == 299
    assert desk.counted("lost") == 1


@virtually
async def test_a_message_that_is_deleted_during_its_extension_is_not_called_lost() -> None:
    desk = Desk()
    desk.queue.delay = 1
    desk.queue.failing = {"m1": True}
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        later(15.5, lambda: visibility.drop(messages(1)))
        await asyncio.sleep(60)
    assert len(desk.queue.calls) == 1
    assert desk.counted("lost") == 0


# ----------------------------------------------------------------------------------------------------------------------- 12 hours


@rule("queue.visibility.twelve-hours")
@virtually
async def test_a_message_is_hidden_for_twelve_hours_in_all_and_then_is_not_ours() -> None:
    desk = Desk(seconds=3600)
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(LONGEST - 10)
        assert visibility.ours(message(1))
        await asyncio.sleep(10)
        assert not visibility.ours(message(1))
        count = len(desk.beats)
        await asyncio.sleep(10_000)
        assert len(desk.beats) == count
    assert max(call.at + (call.seconds or 0) for call in desk.queue.calls) <= LONGEST - 5
    assert count <= 30


@pytest.mark.parametrize("long", [1, 12])
@virtually
async def test_the_end_of_twelve_hours_of_one_message_ends_no_other(long: int) -> None:
    """It may stand before or behind the others of its call."""
    desk = Desk(seconds=60)
    numbers = [number for number in range(1, 13) if number != long]
    async with desk.open() as visibility:
        if long == 1:
            visibility.hold(messages(long), now())
        await asyncio.sleep(LONGEST - 90)
        visibility.hold(messages(*numbers), now())
        if long == 12:
            visibility.hold(messages(long), asked_at=now())
            visibility._held["r12"].since = 0
        await asyncio.sleep(400)
        assert [one.id for one in visibility.held if visibility.ours(one)] == [f"m{number}" for number in numbers]
    assert desk.counted("lost") == 0
    assert all(call.at + (call.seconds or 0) <= LONGEST - 5 for call in desk.queue.of("hide", f"m{long}"))
    assert all(call.seconds == 60 for call in desk.queue.calls if call.ids != [f"m{long}"])


@virtually
async def test_a_time_of_twelve_hours_from_the_start_is_never_extended() -> None:
    desk = Desk(seconds=int(LONGEST))
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(LONGEST + 10)
    assert desk.beats == []
