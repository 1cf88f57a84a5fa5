"""FIFO queues: the order of every group, whatever fails and whoever dies."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import redriving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from e2e.scene import Scene

WORK = 0.002
BATCH = 10
SLOTS = 5
LINES = 90
"""Seconds for all messages to be delivered, at the most."""

Message = tuple[str, int, int]
"""Its group, its place in the group, and how many of its first deliveries fail."""


@pytest.mark.rule("queue.fifo.order")
@pytest.mark.rule("queue.fifo.group-not-twice")
@pytest.mark.rule("queue.fifo.guard")
async def test_every_group_keeps_its_order_through_failures(scene: Scene) -> None:
    await _in_order(scene, groups=20, each=15, kills=0)


@pytest.mark.slow
@pytest.mark.rule("queue.fifo.order")
@pytest.mark.rule("queue.fifo.group-not-twice")
async def test_fifty_groups_of_forty_messages_keep_their_order_through_failures_and_three_kills(scene: Scene) -> None:
    await _in_order(scene, groups=50, each=40, kills=3)


@pytest.mark.rule("queue.fifo.order")
@pytest.mark.rule("queue.redrive.queue-policy")
async def test_a_group_that_is_stuck_stops_no_other(scene: Scene) -> None:
    """One in the function, one by a message that fails until the queue gives it up."""
    dead_letters = await scene.queue("-dead.fifo")
    queue = await scene.queue(".fifo", **redriving(dead_letters, after=3))
    bodies = [
        *(json.dumps({"id": "slow", "do": "hold"}), "behind slow"),
        *(json.dumps({"id": "poison", "do": "report"}), "behind poison"),
        *"abc",
    ]
    await scene.queues.send_many(queue, bodies, [*["s"] * 2, *["p"] * 2, *["free"] * 3])
    daemon = await scene.running(scene.queue_mapping(queue, batch_size=1, release="at_once"))

    await scene.ledger.has("slow", "behind poison", "c", daemon=daemon)

    assert "behind slow" not in scene.ledger.ids
    scene.gate.touch()
    await scene.emptied(queue)
    assert [each for each in scene.ledger.ids if each in "abc"] == ["a", "b", "c"]
    assert scene.ledger.ids[-1] == "behind slow"
    assert [each for each in scene.ledger.ids if "poison" in each] == ["poison"] * 3 + ["behind poison"]
    assert await scene.queues.take(dead_letters, 1) == [bodies[2]]
    assert await daemon.stopped() == 0


async def _in_order(scene: Scene, groups: int, each: int, kills: int) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    queue = await scene.queue(".fifo", VisibilityTimeout="1")
    messages = [(f"group-{group}", place, rng.choice((0,) * 12 + (1, 2))) for place in range(each) for group in range(groups)]
    await scene.queues.send_many(queue, [_body(message) for message in messages], [group for group, _, _ in messages])
    mapping = scene.queue_mapping(queue, release="at_once", batch_size=BATCH)
    config = scene.configure(mapping, functions={"orders": scene.function(WORK=str(WORK))})
    for kill in range(kills):
        part = len(messages) / (kills + 1)
        delivered = rng.randrange(int(part * (kill + 0.5)), int(part * (kill + 1.5)))
        await scene.killed(config, delivered, LINES)
    last = scene.start(config)
    await scene.emptied(queue, LINES)
    assert await last.stopped() == 0
    repeated = len([entry for entry in scene.ledger.entries if entry["told"] == ""]) - len(messages)
    at_risk = kills * SLOTS * BATCH * 2
    print(f"seed {seed}: {kills} kills, {len(messages)} messages, {repeated} succeeded again, at the most {at_risk}")
    _check(scene, messages)
    assert repeated <= at_risk


def _body(message: Message) -> str:
    group, place, failures = message
    return json.dumps({"id": f"{group}.{place}"} | ({"do": "report", "times": failures} if failures else {}))


def _done(scene: Scene) -> list[Any]:
    """What has succeeded, in order, each once."""
    return list(dict.fromkeys(entry["id"] for entry in scene.ledger.entries if entry["told"] == ""))


def _check(scene: Scene, messages: Sequence[Message]) -> None:
    """First successes of a group come in the order in which it was sent, and never are two invocations at one group."""
    done = _done(scene)
    assert len(done) == len(messages)
    for group in {group for group, _, _ in messages}:
        assert [name for name in done if name.startswith(f"{group}.")] == [
            f"{g}.{place}" for g, place, _ in messages if g == group
        ]
        spans = scene.ledger.spans(_of(group))
        assert all(ended <= began for (_, ended), (began, _) in pairwise(spans)), (group, spans)


def _of(group: str) -> Callable[[dict[str, Any]], bool]:
    return lambda entry: entry["record"]["attributes"]["MessageGroupId"] == group
