"""How a daemon that reads queues ends: what runs is finished, and what it has not begun is there for others at once."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import until
from support.daemon import gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.proxy import Proxy
    from e2e.scene import Scene
    from support.daemon import Metrics

DRAIN_TIMEOUT = 1
LATEST_END = DRAIN_TIMEOUT + 2
"""Seconds after the signal within which the daemon has to be gone, whatever its polls and functions do."""

LONG_POLL = 20


@pytest.mark.rule("queue.drain.running-ones-finish")
@pytest.mark.rule("queue.drain.waiting-ones-go-back")
async def test_what_runs_is_finished_and_what_waits_is_there_for_others_at_once(scene: Scene) -> None:
    """A function that runs one at a time: the message of one queue runs, that of the other has been received and waits."""
    queues = [await scene.queue(f"-{number}", VisibilityTimeout="300") for number in range(2)]
    for number, queue in enumerate(queues):
        await scene.send(queue, number, do="hold")
    daemon = await scene.running(
        *[scene.queue_mapping(queue, name=f"orders-{number}") for number, queue in enumerate(queues)],
        functions={"orders": scene.function({"maximum_concurrency": 1})},
    )
    await daemon.measured(_polled(2), "both have been received")
    await daemon.until(lambda: len(scene.ledger.ids) == 1, "one of them runs")
    [first] = scene.ledger.ids

    daemon.signal(signal.SIGTERM)
    await daemon.logged("draining")
    [other] = await until(bool, lambda: scene.queues.receive(queues[1 - first]))
    assert await scene.queues.receive(queues[first]) == [], "it still runs, and is hidden"
    assert daemon.process.poll() is None
    scene.gate.touch()

    assert await daemon.ended() == 0
    assert _receives(other) == 2
    assert scene.ledger.ids == [first]
    assert await scene.queues.depth(queues[first]) == 0, "it is deleted"
    assert not daemon.lines("drain_timeout")


@pytest.mark.rule("queue.drain.open-polls")
@pytest.mark.rule("queue.drain.nothing-new")
async def test_what_an_open_poll_still_brings_is_there_for_others_at_once(troubled_scene: Scene, between: Proxy) -> None:
    """A poll is never cut off while there is time: servers lose messages that way."""
    scene = troubled_scene
    queue = await scene.queue(VisibilityTimeout="300")
    function = scene.function({"maximum_concurrency": 1})
    mapping = scene.queue_mapping(queue, receive_wait=LONG_POLL)
    daemon = await scene.running(mapping, functions={"orders": function}, drain_timeout=60)
    await daemon.until(lambda: ("ReceiveMessage", None) in between.seen, "its poll is open")

    daemon.signal(signal.SIGTERM)
    await daemon.logged("draining")
    await scene.send(queue, "late")
    began = time.monotonic()

    assert await daemon.ended() == 0
    assert time.monotonic() - began < LONG_POLL / 2, "it waited for the poll, and for nothing else"
    [message] = await scene.queues.receive(queue)
    assert _receives(message) == 2
    assert [operation for operation, _ in between.seen].count("ReceiveMessage") == 1
    assert scene.ledger.ids == []


@pytest.mark.slow
async def test_open_polls_do_not_hold_up_the_end_for_longer_than_the_drain_may_take(scene: Scene) -> None:
    """With long polls as they are if nobody says otherwise."""
    queue = await scene.queue()
    mapping = scene.queue_mapping(queue)
    del mapping["receive_wait"]
    daemon = await scene.running(mapping, drain_timeout=DRAIN_TIMEOUT)
    await scene.send(queue, "one")
    await scene.ledger.has("one", daemon=daemon)

    daemon.signal(signal.SIGTERM)

    assert await daemon.ended(patience=LATEST_END) == 0
    assert await scene.queues.depth(queue) == 0


@pytest.mark.slow
@pytest.mark.rule("queue.drain.out-of-patience")
async def test_messages_whose_invocation_outlasts_the_drain_are_there_for_others_at_once(scene: Scene) -> None:
    queue = await scene.queue(VisibilityTimeout="300")
    await scene.send(queue, *range(3), do="hang")
    daemon = await scene.running(scene.queue_mapping(queue), drain_timeout=DRAIN_TIMEOUT)
    await scene.ledger.has(*range(3), daemon=daemon)

    daemon.signal(signal.SIGTERM)

    assert await daemon.ended(patience=LATEST_END) == 0
    assert daemon.lines("drain_timeout", mapping="orders")
    messages = await scene.queues.receive(queue)
    assert [_receives(message) for message in messages] == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.rule("queue.redrive.kept-until-delivered")
@pytest.mark.rule("queue.poll.errors-spend-nothing")
async def test_a_drain_does_not_wait_for_a_queue_or_a_destination_that_is_down(troubled_scene: Scene, between: Proxy) -> None:
    """What nobody took is there for others at once."""
    scene = troubled_scene
    down, queue = await scene.queue("-down"), await scene.queue(VisibilityTimeout="300")
    destination = {"on_failure": {"destination": f"{queue}-missing"}}
    await scene.send(queue, "poison", do="raise")
    daemon = await scene.running(
        scene.queue_mapping(queue, maximum_receive_count=1, destination_config=destination),
        scene.queue_mapping(down, name="down"),
        drain_timeout=60,
    )
    await daemon.measured(lambda now: now.value("poller_destination_errors_total", mapping="orders") >= 2, "it is tried again")
    between.trouble = lambda operation: "fail" if operation == "ReceiveMessage" else None
    await daemon.measured(lambda now: now.value("poller_polls_total", mapping="down", outcome="error") >= 6, "it is tried again")
    began = time.monotonic()

    assert await daemon.stopped() == 0

    assert time.monotonic() - began < LATEST_END
    [message] = await scene.queues.receive(queue)
    assert _receives(message) == 2
    assert not daemon.lines("discarded")
    assert scene.ledger.ids == ["poison"]


async def test_a_second_signal_ends_a_daemon_with_open_polls_and_its_workers_at_once(scene: Scene) -> None:
    queue = await scene.queue()
    await scene.send(queue, "hanging", do="hang")
    daemon = await scene.running(scene.queue_mapping(queue, receive_wait=LONG_POLL), drain_timeout=60)
    await scene.ledger.has("hanging", daemon=daemon)

    daemon.signal(signal.SIGTERM)
    await daemon.logged("draining")
    began = time.monotonic()
    while daemon.process.poll() is None:
        assert time.monotonic() - began < LATEST_END
        daemon.signal(signal.SIGTERM)
        await asyncio.sleep(0.05)

    assert daemon.process.returncode == 128 + signal.SIGTERM
    await gone(scene.ledger.workers)
    assert scene.ledger.ids == ["hanging"]


def _polled(count: int) -> Callable[[Metrics], bool]:
    return lambda now: now.value("poller_events_polled_total") == count


def _receives(message: dict[str, Any]) -> int:
    return int(message["Attributes"]["ApproximateReceiveCount"])
