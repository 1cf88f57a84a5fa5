"""The heartbeat of many messages, and those that are let go while it beats."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shell.test_visibility import DOWN, Desk
from support.queueing import message, messages
from support.stage import later, now, virtually
from support.virtual import run_virtually

if TYPE_CHECKING:
    from poller.visibility import Visibility


def crowd(size: int) -> tuple[int, ...]:
    return tuple(range(1, size + 1))


@virtually
async def test_many_are_extended_ten_in_a_call_and_eight_calls_side_by_side() -> None:
    desk = Desk()
    desk.queue.late = 1
    async with desk.open() as visibility:
        visibility.hold(messages(*crowd(205)), now())
        await asyncio.sleep(20)
        assert [len(call.ids) for call in desk.queue.calls] == [10] * 20 + [5]
        assert desk.queue.most == 8
        assert [call.at for call in desk.queue.calls] == [15] * 8 + [16] * 8 + [17] * 5
        await asyncio.sleep(200)
        assert len(visibility) == 205
        assert all(visibility.ours(one) for one in visibility.held)
    assert desk.counted("lost") == 0


@virtually
async def test_while_the_service_is_down_it_is_asked_a_few_calls_at_a_time() -> None:
    desk = Desk()
    desk.queue.error = DOWN
    async with desk.open() as visibility:
        visibility.hold(messages(*crowd(2000)), now())
        await asyncio.sleep(100)
        assert len(visibility) == 0
    assert len(desk.queue.calls) <= 8 * 30
    assert desk.counted("lost") == 2000


@virtually
async def test_what_is_dropped_while_others_of_the_crowd_are_extended_is_left_alone() -> None:
    desk = Desk()
    desk.queue.late = 1
    async with desk.open() as visibility:
        visibility.hold(messages(*crowd(100)), now())
        later(15.5, lambda: visibility.drop(messages(*range(81, 100))))
        await asyncio.sleep(17.5)
    extended = [id_ for call in desk.queue.calls for id_ in call.ids]
    assert extended == [f"m{number}" for number in (*crowd(80), 100)]


# --------------------------------------------------------------------------------------------------------------------- letting go


async def let_go(visibility: Visibility, *numbers: int) -> tuple[list[str], float]:
    return [one.id for one in await visibility.let_go(messages(*numbers))], now()


@virtually
async def test_what_is_let_go_is_no_longer_held_and_only_what_was_held_is_returned() -> None:
    desk = Desk()
    async with desk.open() as visibility:
        visibility.hold(messages(1, 2, 3), now())
        assert await let_go(visibility, 3, 9, 1) == (["m3", "m1"], 0)
        assert await let_go(visibility, 1) == ([], 0)
        assert visibility.held == [message(2)]


@virtually
async def test_what_is_ours_no_longer_is_lost_and_not_returned_lest_its_new_holder_be_disturbed() -> None:
    desk = Desk()
    desk.visibility.hold(messages(1), now())
    await asyncio.sleep(10)
    desk.visibility.hold(messages(2), now())
    await asyncio.sleep(20)
    assert await let_go(desk.visibility, 1, 2) == (["m2"], 30)
    assert desk.visibility.held == []
    assert desk.counted("lost") == 1


@virtually
async def test_who_lets_go_waits_for_an_extension_under_way_that_could_hide_it_again() -> None:
    desk = Desk()
    desk.queue.delay = 2
    async with desk.open() as visibility:
        visibility.hold(messages(1, 2), now())
        await asyncio.sleep(16)
        assert await let_go(visibility, 1) == (["m1"], 17)
        await asyncio.sleep(100)
    assert len(desk.queue.of("hide", "m1")) == 1


@virtually
async def test_who_lets_go_does_not_wait_for_extensions_of_others() -> None:
    desk = Desk()
    desk.queue.delay = 2
    async with desk.open() as visibility:
        visibility.hold(messages(*crowd(90)), now())
        await asyncio.sleep(16)
        assert await let_go(visibility, 90) == (["m90"], 16)  # its call is the ninth, and has not been made
        await asyncio.sleep(10)
    assert desk.queue.of("hide", "m90") == []


@virtually
async def test_who_lets_go_waits_also_for_an_extension_that_fails() -> None:
    desk = Desk()
    desk.queue.delay = 2
    desk.queue.error = DOWN
    async with desk.open() as visibility:
        visibility.hold(messages(1), now())
        await asyncio.sleep(16)
        assert await let_go(visibility, 1) == (["m1"], 17)


@virtually
async def test_bytes_in_hand_are_those_of_payloads() -> None:
    desk = Desk()
    desk.visibility.hold((message(1, payload=b"12345"), message(2, payload=b"123")), now())
    assert desk.visibility.bytes == 8
    desk.visibility.drop((message(1),))
    assert desk.visibility.bytes == 3


# --------------------------------------------------------------------------------------------------------------------- a property

arrivals = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 20), st.integers(1, 25), st.integers(1, 150)), min_size=1, max_size=12
)
"""When messages arrive, how long ago they were asked for, how many, and for how long they are in hand."""


@settings(max_examples=60, deadline=None)
@given(arrivals, st.sampled_from([0.0, 0.3, 2.0]))
def test_while_the_service_works_nothing_that_is_in_hand_is_ever_visible_to_others(
    some: list[tuple[int, int, int, int]], late: float
) -> None:
    async def play() -> None:
        desk = Desk()
        desk.queue.late = late
        held: defaultdict[float, list[int]] = defaultdict(list)
        async with desk.open() as visibility:
            for number, (at, ago, count, seconds) in enumerate(some):
                numbers = [number * 100 + n for n in range(count)]

                def arrive(numbers: list[int] = numbers, ago: int = ago) -> None:
                    visibility.hold(messages(*numbers), now() - ago)

                later(at, arrive)
                later(at + seconds, lambda numbers=numbers: visibility.drop(messages(*numbers)))  # type: ignore[misc]
                held[at + seconds] += numbers
            while now() < 300:
                await asyncio.sleep(0.5)
                assert all(visibility.ours(one) for one in visibility.held)
            assert len(visibility) == 0
        assert desk.counted("lost") == 0

    run_virtually(play())


@pytest.mark.parametrize("seconds", [5, 30, 900])
@virtually
async def test_a_message_costs_one_call_in_half_of_its_time_and_no_more(seconds: int) -> None:
    desk = Desk(seconds)
    async with desk.open() as visibility:
        visibility.hold(messages(*crowd(10)), now())
        await asyncio.sleep(20 * seconds + 1)
    assert len(desk.queue.calls) == 40
