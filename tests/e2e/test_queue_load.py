"""More messages than the function can run at once: nothing is received in vain, nothing runs twice, and nobody starves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.scene import Fields, Scene
    from support.daemon import Metrics

VISIBILITY = 2
"""Seconds; the daemon hides what it receives for at least five, and extends that when half of it is over."""

BACKLOG = 2_000
BATCH = 10
CONCURRENCY = 2
MAX_RECEIVES = 3
WORK = 0.02
"""Seconds for a message: the backlog takes four times as long as all deliveries of a message would without a heartbeat."""

ROUNDS = 5


def _together(scene: Scene, concurrency: int = CONCURRENCY, **environment: str) -> Fields:
    return {"orders": scene.function({"maximum_concurrency": concurrency, "timeout": 60}, **environment)}


@pytest.mark.slow
@pytest.mark.rule("queue.poll.only-with-a-free-permit")
@pytest.mark.rule("queue.visibility.heartbeat")
async def test_of_a_backlog_before_a_busy_function_no_message_is_dead_lettered_and_none_comes_twice(scene: Scene) -> None:
    """Two queues, so that some batches have been received when another's turn it is."""
    queues = [await scene.redriven(MAX_RECEIVES, f"-{number}", VisibilityTimeout="1") for number in range(2)]
    for number, (queue, _) in enumerate(queues):
        await scene.send(queue, *range(number * BACKLOG, (number + 1) * BACKLOG))
    mappings = [scene.queue_mapping(queue, name=f"orders-{number}") for number, (queue, _) in enumerate(queues)]
    daemon = await scene.running(*mappings, functions=_together(scene, WORK=str(WORK)))

    for queue, _ in queues:
        await scene.emptied(queue, patience=100)

    assert await daemon.stopped() == 0
    assert [await scene.queues.depth(dead_letters) for _, dead_letters in queues] == [0, 0]
    assert Counter(scene.ledger.ids) == dict.fromkeys(range(2 * BACKLOG), 1)
    receives = Counter(entry["record"]["attributes"]["ApproximateReceiveCount"] for entry in scene.ledger.entries)
    print(f"receives: {receives}")
    assert set(receives) == {"1"}


@pytest.mark.slow
@pytest.mark.rule("queue.visibility.no-minimum")
@pytest.mark.rule("queue.visibility.heartbeat")
async def test_messages_that_run_or_wait_for_five_times_their_time_out_run_once(scene: Scene) -> None:
    """A function that runs one at a time: the message of one queue runs, that of the other has been received and waits."""
    queues = [await scene.redriven(1, f"-{number}", VisibilityTimeout=str(VISIBILITY)) for number in range(2)]
    for number, (queue, _) in enumerate(queues):
        await scene.send(queue, number, do="hold")
    mappings = [scene.queue_mapping(queue, name=f"orders-{number}") for number, (queue, _) in enumerate(queues)]
    daemon = await scene.running(*mappings, functions=_together(scene, concurrency=1))

    def extended(now: Metrics) -> bool:
        """The fourth comes after ten seconds."""
        return min(now.value("poller_visibility_extensions_total", mapping=each["name"], outcome="ok") for each in mappings) >= 4

    now = await daemon.measured(extended, "both are extended again and again", patience=40)
    [first] = scene.ledger.ids
    assert now.value("poller_events_polled_total") == 2
    assert now.value("poller_buffered_bytes", mapping=f"orders-{1 - first}") > 0
    scene.gate.touch()

    for queue, dead_letters in queues:
        await scene.emptied(queue)
        assert await scene.queues.depth(dead_letters) == 0
    now = await daemon.metrics()
    assert now.value("poller_visibility_extensions_total", outcome="lost") == 0
    assert now.value("poller_events_redelivered_total") == 0
    [line] = daemon.lines("batch", mapping=f"orders-{first}")
    assert line["duration_ms"] > 1000 * 0.95 * 5 * VISIBILITY
    assert await daemon.stopped() == 0
    assert scene.ledger.ids == [first, 1 - first]


@pytest.mark.slow
@pytest.mark.rule("queue.poll.idle-holds-nothing")
async def test_idle_queues_take_nothing_from_a_busy_one_and_get_their_turn(scene: Scene) -> None:
    """Three queues, one function that runs two at a time: the busy queue has both, round after round."""
    idle, other, busy = [await scene.queue(f"-{number}") for number in range(3)]
    daemon = await scene.running(
        scene.queue_mapping(idle, name="idle", receive_wait=20),
        scene.queue_mapping(other, name="other"),
        scene.queue_mapping(busy, name="busy", batch_size=1),
        functions=_together(scene),
        drain_timeout=1,
    )
    for number in range(ROUNDS):
        await scene.send(busy, f"{number} one", f"{number} two", do="hold", gate=f"gate-{number}")
        await scene.ledger.has(f"{number} one", f"{number} two", daemon=daemon)  # both run, and end together
        scene.gate.with_name(f"gate-{number}").touch()

    await scene.send(busy, *range(200), do="hold", gate="gate-of-the-backlog")
    await scene.ledger.until(lambda ids: len(set(ids) & set(range(200))) == CONCURRENCY, daemon)
    await scene.send(idle, "idle")
    await scene.send(other, "other")
    scene.gate.with_name("gate-of-the-backlog").touch()
    await scene.ledger.has("idle", "other", *range(200), daemon=daemon)

    turns = [scene.ledger.ids.index(each) - 2 * ROUNDS for each in ("idle", "other")]
    print(f"idle queues had their turn after {turns} of 200 messages of the busy one")
    assert max(turns) < 100
    assert await daemon.stopped() == 0
    assert len(scene.ledger.ids) == 2 * ROUNDS + 202
