"""What a lane does where the failure destination does not take what is given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.build import records
from support.doubles import RAISES, in_turn
from support.stage import Scene, later, now, virtually

from poller.core.batching import BatchLimits
from poller.core.policy import StreamPolicy
from poller.core.queue_policy import QueuePolicy
from poller.core.report import Shortened
from poller.errors import SourceGone, Unavailable
from poller.lane import DROP_PATIENCE, run_lane

if TYPE_CHECKING:
    from poller.core.report import Report
    from poller.drain import Drain

rule = pytest.mark.rule

ONCE = StreamPolicy(max_retries=0)
DOWN = Unavailable("SendMessage", "connection", "no route")


class Dropping(Scene):
    """A scene whose mapping loses what its destination does not take."""

    def __init__(self) -> None:
        super().__init__(in_turn(RAISES), policy=ONCE, limits=BatchLimits(count=1))
        self.work = replace(self.work, on_destination_error="drop")


@rule("stream.discard.delivery-may-drop")
@pytest.mark.parametrize("error", [DOWN, SourceGone("there is no such queue")], ids=["unavailable", "gone"])
@virtually
async def test_where_failures_drop_three_tries_are_made_and_the_next_batch_comes(error: Exception) -> None:
    scene = Dropping()
    scene.courier.refuse(error, "SendMessage")
    assert await scene.run(records(1, 2)) < 3
    assert scene.events == ["invoke 1", "settle 1", "invoke 2", "settle 2"]
    assert len(scene.courier.calls["SendMessage"]) == 3
    assert scene.documents == []
    assert scene.stage.count("events_dropped_total", reason="max_retries") == 1
    assert scene.stage.count("destination_errors_total", destination="sqs") == 3
    assert scene.stage.count("events_sent_to_destination_total", destination="sqs") == 0


@virtually
async def test_where_failures_drop_one_that_passes_drops_nothing() -> None:
    scene = Dropping()
    scene.courier.refuse(DOWN, "SendMessage")
    later(0.01, scene.courier.heal)
    await scene.run(records(1, 2))
    assert scene.events == ["invoke 1", "send", "settle 1", "invoke 2", "settle 2"]
    assert scene.stage.count("events_dropped_total", reason="max_retries") == 0


@virtually
async def test_a_drain_before_the_last_try_drops_nothing() -> None:
    scene = Dropping()
    scene.courier.refuse(DOWN, "SendMessage")
    scene.courier.slow(10, "SendMessage")
    later(15, scene.drain.start)
    await scene.run(records(1))
    assert scene.events == ["invoke 1", "release 1"]
    assert scene.stage.count("events_dropped_total", reason="max_retries") == 0


@virtually
async def test_what_is_dropped_is_an_error_in_the_log_with_its_reason() -> None:
    with capture_logs() as log:
        scene = Dropping()
        scene.courier.refuse(DOWN, "SendMessage")
        await scene.run(records(1))
    (line,) = [each for each in log if each["event"] == "dropped"]
    assert (line["log_level"], line["error"]) == ("error", "SendMessage: no route")
    assert (line["reason"], line["records"]) == ("RetryAttemptsExhausted", 1)


@rule("stream.discard.delivery-is-retried")
@virtually
async def test_a_destination_that_asks_for_time_gets_it() -> None:
    scene = Scene(in_turn(RAISES), policy=ONCE)
    scene.courier.refuse(Unavailable("POST", "throttled", retry_after=40), "SendMessage")
    later(1, scene.courier.heal)
    assert await scene.run(records(1)) == 40
    assert now() == 40
    assert scene.events == ["invoke 1", "send", "settle 1"]


@virtually
async def test_where_failures_drop_nobody_is_waited_for_as_long_as_he_asks() -> None:
    scene = Dropping()
    scene.courier.refuse(Unavailable("POST", "throttled", retry_after=300), "SendMessage")
    assert await scene.run(records(1)) == 2 * DROP_PATIENCE
    assert scene.events == ["invoke 1", "settle 1"]


class FailsOnce:
    """A `Destination` that is out of order when the drain comes, and well right after."""

    kind = "sqs"

    def __init__(self, drain: Drain) -> None:
        self.asked: list[str] = []
        self._drain = drain

    async def send(self, report: Report) -> None:
        self.asked.append(report.records[0].id)
        if len(self.asked) == 1:
            self._drain.start()
            raise DOWN


@rule("queue.fifo.order")
@virtually
async def test_behind_what_a_drain_hands_back_nothing_else_is_told_for_it_would_be_out_of_order() -> None:
    scene = Scene(in_turn(RAISES), policy=QueuePolicy(max_receives=0))
    destination = FailsOnce(scene.drain)
    first, *_ = some = records(1, 2, 3)
    scene.lane.put(some, end=True)
    await run_lane(scene.lane, replace(scene.work, destination=destination), scene.drain)
    assert scene.events == ["release 1", "release 2", "release 3"]  # each was handed out too often before
    assert destination.asked == [first.id]


class TakesNoPayload:
    """A `Destination` that has reports without their payload only."""

    kind = "sqs"

    async def send(self, report: Report) -> Shortened | None:
        return Shortened(size=7_000_000)


@virtually
async def test_a_payload_that_was_left_out_is_counted_and_logged() -> None:
    with capture_logs() as log:
        scene = Scene(in_turn(RAISES), policy=ONCE)
        scene.lane.put(records(1), end=True)
        await run_lane(scene.lane, replace(scene.work, destination=TakesNoPayload()), scene.drain)
    assert scene.events == ["invoke 1", "settle 1"]
    assert scene.stage.count("destination_payloads_omitted_total", destination="sqs") == 1
    assert scene.stage.count("events_sent_to_destination_total", destination="sqs") == 1
    (line,) = [each for each in log if each["event"] == "discarded"]
    assert line["payload_omitted"] == 7_000_000
