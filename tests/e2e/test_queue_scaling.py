"""From a quiet queue with one open poll to all that the function may run, and back: the daemon as its operator has it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from e2e.scene import FUNCTIONS

if TYPE_CHECKING:
    from e2e.queue_server import QueueServer
    from e2e.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.rule("queue.poll.doubles"), pytest.mark.rule("queue.scaling.up-to-the-function")]

CONCURRENCY = 200
GOAL = 5.0
"""Seconds from the burst until so many run."""

ROUNDS = 2
"""A function that waits a second has its fill for so many."""


@pytest.mark.parametrize("batch", [1, 10])
async def test_two_hundred_run_within_seconds_of_a_burst(queue_server: QueueServer, fast_scene: Scene, batch: int) -> None:
    """Of an async inline function that waits for a second, while the queue was quiet before."""
    scene, server = fast_scene, queue_server
    queue = server.queues.create_queue(scene.name)
    function = {"executor": "inline", "handler": "app.handler", "timeout": 30, "maximum_concurrency": CONCURRENCY}
    mapping = scene.queue_mapping(queue, batch_size=batch, receive_wait=20)
    config = scene.configure(mapping, functions={"orders": function})
    daemon = scene.start(config, PYTHONPATH=str(FUNCTIONS / "waiting"), LEDGER=str(scene.folder / "waiting"))
    await daemon.enabled()
    quiet = await daemon.measured(lambda now: now.value("poller_pollers") == 1, "one slot polls")
    assert quiet.value("poller_in_flight_invocations") == 0

    began = time.time()
    for number in range(ROUNDS * CONCURRENCY * batch):
        server.queues.send(queue, str(number))
    await daemon.until(lambda: any(each["running"] == CONCURRENCY for each in invocations(scene)), "all run at once", 30.0)
    took = next(each["at"] for each in invocations(scene) if each["running"] == CONCURRENCY) - began
    await daemon.until(lambda: server.queues.depth(queue) == 0, "all is done", 30.0)

    done = time.time() - began
    print(f"batches of {batch}: {CONCURRENCY} invocations at a time {took:.2f} s after the burst, all done after {done:.1f} s")
    assert took <= GOAL
    assert max(each["running"] for each in invocations(scene)) == CONCURRENCY
    ids = [name for each in invocations(scene) for name in each["ids"]]
    assert len(ids) == len(set(ids)) == ROUNDS * CONCURRENCY * batch


def invocations(scene: Scene) -> list[dict[str, Any]]:
    """What the handler wrote, in order."""
    path = scene.folder / "waiting"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
