"""The life of a record in a lane: the order of effects, retries, and what is given up."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from support.build import records
from support.doubles import RAISES, ListLane, ScriptedExecutor, in_turn, reports
from support.stage import Scene, Stage, later, now, virtually
from support.virtual import EPOCH

from poller.core.batching import BatchLimits
from poller.core.model import Errored, Refused
from poller.core.permits import Ticket
from poller.core.policy import StreamPolicy
from poller.drain import Drain
from poller.errors import SourceGone, Unavailable
from poller.lane import run_lane

rule = pytest.mark.rule

ONCE = StreamPolicy(max_retries=0)
DOWN = Unavailable("SendMessage", "connection")


# ---------------------------------------------------------------------------------------------------------- the order of effects


@rule("stream.checkpoint.after-the-function")
@virtually
async def test_a_record_is_settled_once_the_function_has_accepted_it() -> None:
    scene = Scene()
    await scene.run(records(1, 2))
    assert scene.events == ["invoke 1 2", "settle 1 2"]
    assert scene.stage.count("events_invoked_total") == 2


@rule("stream.delivery.in-order")
@rule("stream.batch.count")
@virtually
async def test_batches_follow_each_other_each_settled_before_the_next() -> None:
    scene = Scene(seconds=5, limits=BatchLimits(count=2))
    assert await scene.run(records(1, 2, 3, 4, 5)) == 15
    assert scene.events == ["invoke 1 2", "settle 1 2", "invoke 3 4", "settle 3 4", "invoke 5", "settle 5"]


@rule("stream.delivery.failure-blocks-its-shard")
@rule("stream.retry.limit")
@rule("stream.discard.stream-goes-on")
@virtually
async def test_what_is_given_up_is_reported_then_settled_and_the_next_batch_comes_after() -> None:
    scene = Scene(in_turn(RAISES, RAISES), policy=StreamPolicy(max_retries=1), limits=BatchLimits(count=2))
    await scene.run(records(1, 2, 3))
    assert scene.events == ["invoke 1 2", "invoke 1 2", "send", "settle 1 2", "invoke 3", "settle 3"]
    (document,) = scene.documents
    assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert document["requestContext"]["requestId"] == scene.stage.executor.calls[0].invocation.request_id
    assert scene.stage.count("events_sent_to_destination_total", destination="sqs") == 2


@rule("stream.partial.lowest-wins")
@virtually
async def test_what_a_partial_answer_accepts_is_settled_before_the_rest_is_invoked() -> None:
    scene = Scene(in_turn(reports("2", "3")), partial_answers=True)
    await scene.run(records(1, 2, 3))
    assert scene.events == ["invoke 1 2 3", "settle 1", "invoke 2 3", "settle 2 3"]


@rule("stream.bisect.left-before-right")
@virtually
async def test_halves_are_worked_off_one_after_the_other_without_waiting() -> None:
    scene = Scene(in_turn(RAISES, RAISES), policy=StreamPolicy(bisect=True))
    assert await scene.run(records(1, 2, 3, 4)) == 0
    more = ["invoke 3 4", "settle 3 4"]
    assert scene.events == ["invoke 1 2 3 4", "invoke 1 2", "invoke 1", "settle 1", "invoke 2", "settle 2", *more]


@rule("stream.age.expired-prefix-only")
@virtually
async def test_expired_records_are_reported_and_settled_before_the_younger_are_invoked() -> None:
    scene = Scene(policy=StreamPolicy(max_age=60))
    await scene.run((*records(1, 2, arrived_at=EPOCH - 60), *records(3, 4, arrived_at=EPOCH)))
    assert scene.events == ["send", "settle 1 2", "invoke 3 4", "settle 3 4"]
    assert [document["requestContext"]["condition"] for document in scene.documents] == ["RecordAgeExceeded"]


@rule("stream.age.before-every-attempt")
@virtually
async def test_age_is_looked_at_with_the_permit_in_hand() -> None:
    scene = Scene(policy=StreamPolicy(max_age=60))
    async with asyncio.TaskGroup() as group, scene.stage.permits.hold(Ticket("another mapping", "handle"), Drain()):
        group.create_task(scene.run(records(1, arrived_at=EPOCH)))
        await asyncio.sleep(61)
        assert scene.events == []
    assert scene.events == ["send", "settle 1"]  # it was young when it asked


@rule("stream.discard.no-destination")
@virtually
async def test_without_a_destination_what_is_given_up_is_dropped_and_counted() -> None:
    stage = Stage(executor=ScriptedExecutor(lambda _: RAISES))
    lane = ListLane(stage.drain)
    lane.put(records(1, 2), end=True)
    await run_lane(lane, stage.work(policy=ONCE), stage.drain)
    assert lane.all("settle") == ["1", "2"]
    assert stage.count("events_dropped_total", reason="max_retries") == 2


# ----------------------------------------------------------------------------------------------------------- destination outages


@rule("stream.discard.delivery-is-retried")
@pytest.mark.parametrize("error", [DOWN, SourceGone("there is no such queue")], ids=["unavailable", "gone"])
@virtually
async def test_while_the_destination_is_down_records_are_kept_and_then_reported_once(error: Exception) -> None:
    scene = Scene(in_turn(RAISES), policy=ONCE, limits=BatchLimits(count=1))
    scene.courier.refuse(error, "SendMessage")
    later(100, lambda: scene.events == ["invoke 1"] or pytest.fail(f"too early: {scene.events}"))
    later(100, scene.courier.heal)
    assert 100 < await scene.run(records(1, 2)) < 130
    assert scene.events == ["invoke 1", "send", "settle 1", "invoke 2", "settle 2"]
    assert len(scene.documents) == 1
    tries = len(scene.courier.calls["SendMessage"])
    assert 5 < tries < 30
    assert scene.stage.count("destination_errors_total", destination="sqs") == tries - 1


@virtually
async def test_a_report_whose_answer_was_lost_is_sent_again_and_settled_only_then() -> None:
    scene = Scene(in_turn(RAISES), policy=ONCE)
    scene.courier.lose(DOWN, "SendMessage")
    later(0.01, scene.courier.heal)
    await scene.run(records(1))
    assert scene.events == ["invoke 1", "send", "send", "settle 1"]


@virtually
async def test_while_the_destination_is_down_no_permit_is_held() -> None:
    scene = Scene(in_turn(RAISES), policy=ONCE)
    scene.courier.refuse(DOWN, "SendMessage")
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.run(records(1)))
        await asyncio.sleep(50)
        async with scene.stage.permits.hold(Ticket("another mapping", "handle"), Drain()) as permitted:
            assert permitted
            assert now() == 50
        scene.courier.heal()


@virtually
async def test_a_drain_while_the_destination_is_down_settles_nothing() -> None:
    scene = Scene(in_turn(RAISES), policy=ONCE, limits=BatchLimits(count=1))
    scene.courier.refuse(DOWN, "SendMessage")
    later(100, scene.drain.start)
    assert await scene.run(records(1, 2)) == 100
    assert scene.events == ["invoke 1", "release 1"]
    assert scene.documents == []
    assert scene.stage.count("events_returned_total") == 1


@virtually
async def test_who_is_cancelled_while_the_destination_is_down_settles_nothing() -> None:
    scene = Scene(in_turn(RAISES), policy=ONCE)
    scene.courier.slow(1000, "SendMessage")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(scene.run(records(1)))
        later(100, running.cancel)
    assert running.cancelled()
    assert now() == 100
    assert scene.events == ["invoke 1"]


# -------------------------------------------------------------------------------------------------------------- retries, refusals


@rule("stream.retry.request-id")
@virtually
async def test_an_unchanged_retry_keeps_its_request_id_and_what_is_split_off_gets_its_own() -> None:
    scene = Scene(in_turn(RAISES, RAISES, reports("2")), policy=StreamPolicy(max_retries=5), partial_answers=True)
    await scene.run(records(1, 2))
    ids = [call.invocation.request_id for call in scene.stage.executor.calls]
    assert scene.events == ["invoke 1 2"] * 3 + ["settle 1", "invoke 2", "settle 2"]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert all(ids)


@rule("stream.retry.request-id")
@virtually
async def test_each_half_has_a_request_id_of_its_own() -> None:
    scene = Scene(in_turn(RAISES), policy=StreamPolicy(bisect=True))
    await scene.run(records(1, 2))
    assert len({call.invocation.request_id for call in scene.stage.executor.calls}) == 3


@rule("stream.retry.spacing")
@rule("stream.retry.no-limit")
@virtually
async def test_the_waits_between_retries_double_within_a_fifth() -> None:
    scene = Scene(in_turn(*[RAISES] * 9))
    await scene.run(records(1))
    began = [call.began for call in scene.stage.executor.calls]
    waits = [after - before for before, after in pairwise(began)]
    for wait, decided in zip(waits, (0.5, 1, 2, 4, 8, 16, 32, 60, 60), strict=True):
        assert 0.8 * decided <= wait <= 1.2 * decided
    assert [attempt.retries for attempt in scene.lane.waits] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@rule("stream.retry.failures-spend")
@pytest.mark.parametrize("kind", ["function_error", "timeout", "crash", "oom"])
@virtually
async def test_every_kind_of_failure_spends_a_retry(kind: str) -> None:
    failure = Errored(kind, b"{}")  # type: ignore[arg-type]
    scene = Scene(in_turn(failure, failure), policy=StreamPolicy(max_retries=1))
    await scene.run(records(1))
    assert scene.events == ["invoke 1", "invoke 1", "send", "settle 1"]


@rule("stream.retry.throttle-is-free")
@rule("stream.bisect.not-for-throttles")
@virtually
async def test_refusals_spend_no_retry_split_nothing_and_wait_ever_longer() -> None:
    scene = Scene(in_turn(*[Refused("throttled")] * 6), policy=StreamPolicy(max_retries=0, bisect=True))
    took = await scene.run(records(1, 2))
    assert scene.events == ["invoke 1 2"] * 7 + ["settle 1 2"]
    assert 0.8 * 31.5 <= took <= 1.2 * 31.5
    assert len({call.invocation.request_id for call in scene.stage.executor.calls}) == 1


@virtually
async def test_no_permit_is_held_between_tries() -> None:
    scene = Scene(in_turn(*[RAISES] * 8))
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.run(records(1)))
        await asyncio.sleep(100)
        async with scene.stage.permits.hold(Ticket("another mapping", "handle"), Drain()):
            assert now() == 100
