"""A function as mappings see it: permits that leak in no way, and what an executor is handed."""

from __future__ import annotations

import asyncio
import uuid
from random import Random
from typing import TYPE_CHECKING

import orjson
import pytest
from support.build import attempt, record
from support.doubles import RAISES, ScriptedExecutor
from support.observing import scrape
from support.stage import FUNCTION_ARN, Stage, later, now, virtually
from support.virtual import EPOCH

from poller.core.envelope import FRAME_BYTES, MAX_EVENT_BYTES
from poller.core.model import Attempt, TooLarge
from poller.core.permits import Ticket
from poller.drain import Drain
from poller.function import Permits, new_request_id

if TYPE_CHECKING:
    from support.doubles import Call

    from poller.core.model import Answer

rule = pytest.mark.rule


class Contest:
    """One permit that several want.

    Attributes:
        log: who was answered, whether with a permit, and when.
    """

    def __init__(self) -> None:
        self.permits = Permits({"f": 1}, total=1)
        self.drain = Drain()
        self.log: list[tuple[str, bool, float]] = []

    async def hold(self, name: str, seconds: float = 10) -> None:
        """Asks for the permit and keeps it for so long."""
        async with self.permits.hold(Ticket(name, "f"), self.drain) as permitted:
            self.log.append((name, permitted, now()))
            if permitted:
                await asyncio.sleep(seconds)

    async def over(self) -> bool:
        """Whether the permit can be had without waiting, and nothing is left of those who wanted it."""
        no_time = Drain()
        no_time.start()
        async with self.permits.hold(Ticket("last", "f"), no_time) as permitted:
            assert permitted
        return self.permits._ledger.in_use("f") == 0 and self.permits._granted == {} and self.drain._waiters == {}


# --------------------------------------------------------------------------------------------------------------------- permits


@virtually
async def test_a_permit_that_is_free_is_had_at_once_and_the_next_waits_for_it() -> None:
    contest = Contest()
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(contest.hold(name))
    assert contest.log == [("a", True, 0), ("b", True, 10), ("c", True, 20)]
    assert await contest.over()


@virtually
async def test_a_permit_is_free_again_after_an_exception() -> None:
    contest = Contest()
    with pytest.raises(ValueError, match="broken"):
        async with contest.permits.hold(Ticket("a", "f"), contest.drain):
            raise ValueError("broken")
    assert await contest.over()


@virtually
async def test_who_is_cancelled_while_it_waits_gives_its_place_up() -> None:
    contest = Contest()
    async with asyncio.TaskGroup() as group:
        group.create_task(contest.hold("a"))
        given_up = group.create_task(contest.hold("b"))
        group.create_task(contest.hold("c"))
        later(5, given_up.cancel)
    assert contest.log == [("a", True, 0), ("c", True, 10)]
    assert await contest.over()


@virtually
async def test_who_is_cancelled_in_the_moment_of_the_grant_passes_the_permit_on() -> None:
    contest = Contest()
    async with asyncio.TaskGroup() as group:
        async with contest.permits.hold(Ticket("a", "f"), contest.drain):
            granted = group.create_task(contest.hold("b"))
            await asyncio.sleep(5)
            group.create_task(contest.hold("c"))
            await asyncio.sleep(5)
        granted.cancel()  # the permit is b's by now, but b has not run since
    assert granted.cancelled()
    assert contest.log == [("c", True, 10)]
    assert await contest.over()


@virtually
async def test_who_is_cancelled_while_it_holds_gives_its_permit_back() -> None:
    contest = Contest()
    async with asyncio.TaskGroup() as group:
        holder = group.create_task(contest.hold("a", 100))
        group.create_task(contest.hold("b"))
        later(5, holder.cancel)
    assert contest.log == [("a", True, 0), ("b", True, 5)]
    assert await contest.over()


@virtually
async def test_a_drain_sends_those_away_who_wait_and_lets_those_finish_who_hold() -> None:
    contest = Contest()
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(contest.hold(name))
        later(5, contest.drain.start)
    assert contest.log == [("a", True, 0), ("b", False, 5), ("c", False, 5)]
    assert now() == 10
    assert await contest.over()


@virtually
async def test_a_drain_in_the_moment_of_the_grant_leaks_nothing() -> None:
    contest = Contest()
    async with asyncio.TaskGroup() as group, contest.permits.hold(Ticket("a", "f"), contest.drain):
        group.create_task(contest.hold("b"))
        await asyncio.sleep(5)
        contest.drain.start()
    assert contest.log == [("b", False, 5)]
    assert await contest.over()


@virtually
async def test_during_a_drain_nobody_waits() -> None:
    contest = Contest()
    contest.drain.start()
    async with contest.permits.hold(Ticket("a", "f"), contest.drain) as permitted:
        assert permitted  # it was free
        await contest.hold("b")
    assert contest.log == [("b", False, 0)]
    assert await contest.over()


# ------------------------------------------------------------------------------------------------------------------ invocations


@virtually
async def test_an_executor_gets_the_event_the_id_the_name_and_the_deadline() -> None:
    stage = Stage(executor=ScriptedExecutor(seconds=2))
    await asyncio.sleep(7)
    await stage.function.invoke(attempt(1, 2, request_id="r1"), FUNCTION_ARN)
    (call,) = stage.executor.calls
    assert call.invocation.event == b'{"Records":[{"n":1},{"n":2}]}'
    assert (call.invocation.request_id, call.invocation.arn) == ("r1", FUNCTION_ARN)
    assert call.invocation.deadline == EPOCH + 7 + 30


@virtually
async def test_the_answer_comes_back_as_it_is() -> None:
    stage = Stage(executor=ScriptedExecutor(lambda _: RAISES))
    assert await stage.function.invoke(attempt(1), FUNCTION_ARN) is RAISES


@rule("stream.batch.bytes")
@rule("stream.batch.size-is-the-event")
@virtually
async def test_an_event_of_exactly_six_mebibytes_is_invoked_and_one_byte_more_is_too_large() -> None:
    stage = Stage()
    fits = record(1, payload=b"1" * (MAX_EVENT_BYTES - FRAME_BYTES))
    await stage.function.invoke(Attempt(records=(fits,)), FUNCTION_ARN)
    (call,) = stage.executor.calls
    assert len(call.invocation.event) == 6_291_456
    more = record(2, payload=fits.payload + b"1")
    assert await stage.function.invoke(Attempt(records=(more,)), FUNCTION_ARN) == TooLarge(6_291_457)
    assert len(stage.executor.calls) == 1


@virtually
async def test_what_runs_is_counted_while_it_runs_however_it_ends() -> None:
    def script(call: Call) -> Answer:
        raise RuntimeError("the executor is broken")

    stage = Stage(executor=ScriptedExecutor(script, seconds=5))

    def running() -> float | None:
        return scrape(stage.metrics).value("poller_in_flight_invocations", function="handle")

    async with asyncio.TaskGroup() as group:
        cut_off = group.create_task(stage.function.invoke(attempt(1), FUNCTION_ARN))
        await asyncio.sleep(1)
        assert running() == 1
        cut_off.cancel()
    assert running() == 0
    with pytest.raises(RuntimeError, match="broken"):
        await stage.function.invoke(attempt(1), FUNCTION_ARN)
    assert running() == 0


def test_request_ids_are_random_uuids_of_the_given_chance() -> None:
    one, other = Random(1), Random(1)
    made = [new_request_id(one) for _ in range(100)]
    assert made == [new_request_id(other) for _ in range(100)]
    assert len(set(made)) == 100
    assert {uuid.UUID(each).version for each in made} == {4}
    assert orjson.loads(orjson.dumps(made)) == made
