"""FIFO queues: the order of every group, whatever fails and whoever dies."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import redriving

from poller.apis.memory_queues import Extras

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from e2e.queue_server import QueueServer
    from e2e.scene import Scene

WORK = 0.002
BATCH = 10
SLOTS = 8
"""As many as the function of a scene may run."""

LINES = 90
"""Seconds for all messages to be delivered, at the most."""

SEED = 20_261

Message = tuple[str, int, int]
"""Its group, its place in the group, and how many of its first deliveries fail."""


@pytest.mark.slow
@pytest.mark.rule("queue.fifo.order")
@pytest.mark.rule("queue.fifo.group-not-twice")
@pytest.mark.rule("queue.fifo.guard")
async def test_every_group_keeps_its_order_through_failures(scene: Scene) -> None:
    await _in_order(scene, groups=20, each=15, kills=0)


@pytest.mark.thorough
@pytest.mark.rule("queue.fifo.order")
@pytest.mark.rule("queue.fifo.group-not-twice")
async def test_fifty_groups_of_forty_messages_keep_their_order_through_failures_and_three_kills(scene: Scene) -> None:
    await _in_order(scene, groups=50, each=40, kills=3)


@pytest.mark.slow
@pytest.mark.rule("queue.fifo.order")
@pytest.mark.rule("queue.fifo.group-not-twice")
@pytest.mark.rule("queue.fifo.several-groups")
@pytest.mark.rule("queue.fifo.guard")
async def test_two_hundred_groups_of_fifty_messages_keep_their_order_through_failures_and_a_kill(
    queue_server: QueueServer, fast_scene: Scene
) -> None:
    """On queues in memory, behind a socket: others are too slow for so many groups. Answers name only where a group stopped."""
    queue = queue_server.queues.create_queue(fast_scene.name + ".fifo", {"VisibilityTimeout": "1"})
    messages = _messages(random.Random(SEED), groups=200, each=50)
    for message in messages:
        _put(queue_server, queue, message)
    config = _config(fast_scene, queue)
    await fast_scene.killed(config, len(messages) // 3, LINES)
    last = fast_scene.start(config)
    await last.until(lambda: not queue_server.queues.depth(queue), "all is done", LINES)
    _check(fast_scene, messages)
    assert _repeated(fast_scene, messages) <= SLOTS * BATCH * 2


@pytest.mark.slow
@pytest.mark.rule("queue.fifo.without-guard")
async def test_without_the_guard_what_follows_a_failure_unreported_is_gone(queue_server: QueueServer, fast_scene: Scene) -> None:
    """As in Lambda, and as the guide says: the handler, which stops at the failure, should have named the rest of the group."""
    queue = queue_server.queues.create_queue(fast_scene.name + ".fifo", {"VisibilityTimeout": "1"})
    messages = [(f"group-{group}", place, 1 if place == 0 else 0) for group in range(20) for place in range(5)]
    for message in messages:
        _put(queue_server, queue, message)
    daemon = fast_scene.start(_config(fast_scene, queue, fifo_group_guard=False))
    await daemon.until(lambda: not queue_server.queues.depth(queue), "all is done", LINES)
    done = _done(fast_scene)
    assert {f"{group}.0" for group, _, _ in messages} <= set(done)
    lost = [f"{group}.{place}" for group, place, _ in messages if f"{group}.{place}" not in done]
    print(f"{len(lost)} of {len(messages)} never ran")
    assert "group-0.1" in lost


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
    messages = _messages(rng, groups, each)
    await scene.queues.send_many(queue, [_body(message) for message in messages], [group for group, _, _ in messages])
    config = _config(scene, queue)
    for kill in range(kills):
        part = len(messages) / (kills + 1)
        delivered = rng.randrange(int(part * (kill + 0.5)), int(part * (kill + 1.5)))
        await scene.killed(config, delivered, LINES)
    last = scene.start(config)
    await scene.emptied(queue, LINES)
    assert await last.stopped() == 0
    repeated = _repeated(scene, messages)
    at_risk = kills * SLOTS * BATCH * 2
    print(f"seed {seed}: {kills} kills, {len(messages)} messages, {repeated} succeeded again, at the most {at_risk}")
    _check(scene, messages)
    assert repeated <= at_risk


def _config(scene: Scene, queue: str, **change: object) -> Path:
    mapping = scene.queue_mapping(queue, release="at_once", batch_size=BATCH, **change)
    return scene.configure(mapping, functions={"orders": scene.function(WORK=str(WORK))})


def _messages(rng: random.Random, groups: int, each: int) -> list[Message]:
    """In the order in which they are sent: all groups side by side."""
    return [(f"group-{group}", place, rng.choice((0,) * 12 + (1, 2))) for place in range(each) for group in range(groups)]


def _put(server: QueueServer, queue: str, message: Message) -> None:
    body = _body(message)
    server.queues.send(queue, body, extras=Extras(group=message[0], deduplication=body))


def _repeated(scene: Scene, messages: Sequence[Message]) -> int:
    """Messages that have succeeded more than once."""
    return len([entry for entry in scene.ledger.entries if entry["told"] == ""]) - len(messages)


def _body(message: Message) -> str:
    group, place, failures = message
    return json.dumps({"id": f"{group}.{place}"} | ({"do": "report", "times": failures} if failures else {}))


def _done(scene: Scene) -> list[Any]:
    """What has succeeded, in order, each once."""
    return list(dict.fromkeys(entry["id"] for entry in scene.ledger.entries if entry["told"] == ""))


def _check(scene: Scene, messages: Sequence[Message]) -> None:
    """First successes of a group come in the order in which it was sent, and never are two invocations at one group."""
    sent, done = defaultdict(list), defaultdict(list)
    for group, place, _ in messages:
        sent[group].append(f"{group}.{place}")
    for name in _done(scene):
        done[name.rpartition(".")[0]].append(name)
    assert done == sent
    for group, spans in _spans(scene).items():
        assert all(ended <= began for (_, ended), (began, _) in pairwise(sorted(spans))), (group, spans)


def _spans(scene: Scene) -> dict[str, list[tuple[float, float]]]:
    """Of each group the invocations with messages of it: when they began, and when they wrote the last of them."""
    calls: dict[tuple[str, str], tuple[float, float]] = {}
    for entry in scene.ledger.entries:
        calls[entry["record"]["attributes"]["MessageGroupId"], entry["call"]] = entry["began"], entry["at"]
    spans = defaultdict(list)
    for (group, _), span in calls.items():
        spans[group].append(span)
    return spans
