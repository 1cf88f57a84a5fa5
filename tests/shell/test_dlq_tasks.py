"""Message move tasks of SQS itself, purges, and which queue is meant."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.dead_letters import PAID, Morgue, Tally, orders
from support.stage import now, virtually

from poller.clock import SystemClock
from poller.config import Config, Connection, load
from poller.dlq import work
from poller.dlq.audit import Deed, audited
from poller.dlq.desk import CannotDo
from poller.dlq.place import NotFound, of_arn, of_mapping
from poller.dlq.wish import Route, Wish
from poller.errors import Unavailable
from poller.services import MoveTask

if TYPE_CHECKING:
    from pathlib import Path

    from poller.services import DeadLetterApi

ALL = Wish()


async def redriven(morgue: Morgue, wish: Wish = ALL, route: Route | None = None) -> Tally:
    tally = Tally()
    await work.redrive(morgue.desk, wish, route or morgue.route, tally)
    return tally


# ----------------------------------------------------------------------------------------------------------------------- tasks


@virtually
async def test_where_sqs_moves_messages_itself_it_is_asked_to_and_watched() -> None:
    morgue = Morgue(tasks=True)
    morgue.send(*orders(1000))
    began = now()
    tally = await redriven(morgue, Wish(rate=50))
    assert 19 <= now() - began <= 23
    assert (tally.done, tally.clean) == (1000, True)
    assert sorted(morgue.bodies(morgue.source)) == sorted(orders(1000))
    assert {"ReceiveMessage", "SendMessageBatch"}.isdisjoint(morgue.trouble.calls)


@pytest.mark.parametrize(
    "wish", [PAID, Wish(limit=1000), Wish(rate=501), Wish(rate=2.5)], ids=["pattern", "limit", "too-fast", "not-whole"]
)
@virtually
async def test_what_sqs_cannot_do_is_done_here(wish: Wish) -> None:
    morgue = Morgue(tasks=True)
    morgue.send(*orders(20))
    assert (await redriven(morgue, wish)).done in {10, 20}
    assert "StartMessageMoveTask" not in morgue.trouble.calls


@virtually
async def test_a_queue_that_several_give_their_failures_to_is_not_moved_as_a_whole() -> None:
    morgue = Morgue(tasks=True)
    other = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": morgue.dead, "maxReceiveCount": 1})}
    morgue.queues.create_queue("other", other)
    morgue.fail("mine")
    assert (await redriven(morgue)).done == 1
    assert "StartMessageMoveTask" not in morgue.trouble.calls


@virtually
async def test_ctrl_c_cancels_the_task() -> None:
    morgue = Morgue(tasks=True)
    morgue.send(*orders(1000))
    tally = Tally()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(work.redrive(morgue.desk, Wish(rate=10), morgue.route, tally))
        await asyncio.sleep(10)
        running.cancel()
    assert [task.status for task in morgue.queues.move_tasks(morgue.dead)] == ["CANCELLED"]
    assert 80 <= tally.done <= len(morgue.bodies(morgue.source)) <= 100


@virtually
async def test_a_task_that_runs_already_is_watched() -> None:
    morgue = Morgue(tasks=True)
    morgue.send(*orders(100))
    morgue.queues.start_move(morgue.dead, morgue.source, 10)
    assert (await redriven(morgue)).done == 100
    assert "StartMessageMoveTask" not in morgue.trouble.calls
    assert any("already" in line for line in morgue.said)


@virtually
async def test_a_task_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    morgue = Morgue(tasks=True)
    morgue.send(*orders(10))
    failed = MoveTask(handle="", status="FAILED", moved=3, in_all=10, reason="CouldNotDetermineMessageSource")
    asked = iter([(), (failed,)])
    monkeypatch.setattr(morgue.queues, "move_tasks", lambda _: next(asked))
    with pytest.raises(CannotDo, match="FAILED: CouldNotDetermineMessageSource; 3 are moved"):
        await redriven(morgue)


@virtually
async def test_who_may_not_start_tasks_moves_the_messages_here() -> None:
    morgue = Morgue(tasks=True)
    morgue.send(*orders(10))
    morgue.trouble.refuse(Unavailable("StartMessageMoveTask", "auth", "AccessDenied"), "StartMessageMoveTask")
    assert (await redriven(morgue)).done == 10
    assert any("AccessDenied" in line for line in morgue.said)


# ---------------------------------------------------------------------------------------------------------------------- purges


@virtually
async def test_a_purge_by_a_pattern_deletes_what_it_wants_and_nothing_else() -> None:
    morgue = Morgue()
    morgue.send(*orders(30))
    assert (await work.survey_purge(morgue.desk, PAID)).meant == 15
    assert len(morgue.bodies(morgue.dead)) == 30
    tally = Tally()
    await work.purge(morgue.desk, PAID, tally)
    assert (tally.done, tally.clean) == (15, True)
    assert sorted(morgue.bodies(morgue.dead)) == sorted(orders(30)[1::2])
    assert morgue.states() == {"visible"}


@virtually
async def test_a_purge_of_everything_receives_nothing() -> None:
    morgue = Morgue()
    morgue.send(*orders(30))
    assert (await work.survey_purge(morgue.desk, ALL)).meant == 30
    tally = Tally()
    await work.purge(morgue.desk, ALL, tally)
    assert (tally.done, morgue.bodies(morgue.dead)) == (30, [])
    assert "ReceiveMessage" not in morgue.trouble.calls


# ---------------------------------------------------------------------------------------------------------------------- places


def config(folder: Path, **mapping: object) -> Config:
    """One mapping, `orders`."""
    path = folder / "poller.yaml"
    given = {"name": "orders", "function_name": "f"} | mapping
    functions = {"f": {"executor": "process", "runtime": "python", "handler": "app.handler", "code": str(folder)}}
    path.write_text(json.dumps({"aws": {"region": "us-east-1"}, "functions": functions, "event_source_mappings": [given]}))
    return load(path, SystemClock())


def on_failure(arn: str) -> dict[str, object]:
    return {"destination_config": {"on_failure": {"destination": arn}}}


FAILED = "arn:aws:sqs:us-east-1:000000000000:failed"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
GIVEN = Connection(region=None, endpoint_url=None, profile=None)


def test_the_dead_letter_queue_of_a_mapping_is_its_queue_s_own_or_its_destination(tmp_path: Path) -> None:
    @virtually
    async def check() -> None:
        morgue = Morgue()
        bare = morgue.queues.create_queue("bare")

        async def api(_: Connection) -> DeadLetterApi:
            return morgue.api

        async def place(**mapping: object) -> tuple[str, str]:
            made = config(tmp_path, **mapping)
            found = await of_mapping(made.event_source_mappings[0], made, api)
            return found.queue_arn, found.source

        given_up = {"maximum_receive_count": 3, **on_failure(FAILED)}
        assert await place(event_source_arn=morgue.source) == (morgue.dead, morgue.source)
        assert await place(event_source_arn=morgue.source, **given_up) == (morgue.dead, morgue.source)
        assert await place(event_source_arn=bare, **given_up) == (FAILED, bare)
        assert await place(event_source_arn=STREAM, starting_position="LATEST", **on_failure(FAILED)) == (FAILED, "")
        with pytest.raises(CannotDo, match="has no dead-letter queue: its queue has no redrive policy"):
            await place(event_source_arn=bare)
        with pytest.raises(CannotDo, match=r"has no destination_config\.on_failure"):
            await place(event_source_arn=STREAM, starting_position="LATEST")

    check()


def test_a_queue_that_is_named_by_its_arn_belongs_to_the_one_mapping_that_sends_there(tmp_path: Path) -> None:
    made = config(tmp_path, event_source_arn=STREAM, starting_position="LATEST", **on_failure(FAILED))
    found = of_arn(FAILED, made, GIVEN)
    assert found.mapping is made.event_source_mappings[0]
    assert of_arn(FAILED + "2", made, GIVEN).mapping is None
    alone = of_arn(FAILED, None, Connection(region=None, endpoint_url="http://here", profile="p"))
    assert alone.connection == Connection(region="us-east-1", endpoint_url="http://here", profile="p")
    for text in (STREAM, "arn:aws:sqs:::failed", "arn:nonsense"):
        with pytest.raises(NotFound, match="is not the ARN of a queue"):
            of_arn(text, None, GIVEN)


# ----------------------------------------------------------------------------------------------------------------------- audit


@virtually
async def test_the_log_says_who_did_what_also_where_it_did_not_end_well() -> None:
    morgue, tally = Morgue(), Tally(done=3)
    deed = Deed(action="redrive", queue=morgue.dead, to="source", wish=PAID)
    with capture_logs() as log:
        with audited(deed, tally, morgue.clock):
            await asyncio.sleep(2)
        with pytest.raises(CannotDo), audited(deed, tally, morgue.clock):
            raise CannotDo("no")
    events = [(line["event"], line["queue"], line.get("pattern"), line.get("whole"), line.get("done")) for line in log]
    began = ("dlq_started", morgue.dead, PAID.pattern, None, None)
    assert events == [
        began,
        ("dlq_ended", morgue.dead, None, True, 3),
        began,
        ("dlq_ended", morgue.dead, None, False, 3),
    ]
    assert log[1]["seconds"] == 2
    assert log[0]["by"]
