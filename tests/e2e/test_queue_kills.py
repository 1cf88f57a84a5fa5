"""Kill -9, at any moment: every message succeeds at least once or is in the dead-letter queue, and what is repeated is bounded.

The bound, for one kill: of each poll slot the batch in flight, the one that is being deleted, and one that gathered behind it.
Which store the daemon runs on changes nothing: queues need none.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.valkey import Valkey, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.scene import Scene

SLOTS = 5
BATCH = 10
BATCHES_AT_RISK = 3
WORK = 0.005
"""Seconds for a message: so long that a kill finds all slots in the middle of a batch, and all before that deleted."""

POISON = 50
"""Of so many messages one fails always."""

MAX_RECEIVES = 8
"""More than kills, so that a kill alone gives no message up."""

PUT = 100
LINES = 90
"""Seconds for a run's messages to be done with, at the most."""


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store of each kind."""
    if request.param == "redis":
        with running(Valkey(folder=tmp_path / "valkey")) as server:
            yield server.url
        return
    yield {"memory": "memory://", "sqlite": "sqlite:///poller.db"}[request.param]


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_six_hundred_messages_loses_none(scene: Scene) -> None:
    await _killed(scene, messages=600, kills=1, store="sqlite:///poller.db")


@pytest.mark.slow
async def test_three_kills_among_five_thousand_messages_lose_none(scene: Scene, store: str) -> None:
    await _killed(scene, messages=5_000, kills=3, store=store)


async def _killed(scene: Scene, messages: int, kills: int, store: str) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    queue, dead_letters = await scene.redriven(MAX_RECEIVES, VisibilityTimeout="1")
    config = scene.configure(
        scene.queue_mapping(queue, release="at_once", batch_size=BATCH),
        functions={"orders": scene.function(WORK=str(WORK))},
        store={"url": store},
    )
    async with asyncio.TaskGroup() as together:
        together.create_task(_send(scene, queue, messages))
        for kill in range(kills):
            part = messages / (kills + 1)
            delivered = rng.randrange(int(part * (kill + 0.5)), int(part * (kill + 1.5)))
            await scene.killed(config, delivered, LINES)
    last = scene.start(config)
    await scene.emptied(queue, patience=LINES)
    assert await last.stopped() == 0
    good = {number for number in range(messages) if number % POISON}
    deliveries = Counter(entry["id"] for entry in scene.ledger.entries if entry["id"] in good)
    repeated, at_risk = deliveries.total() - len(good), kills * SLOTS * BATCHES_AT_RISK * BATCH
    print(f"seed {seed}: {kills} kills, {messages} messages, {repeated} delivered again, at the most {at_risk}")
    assert set(deliveries) == good
    dead = await scene.queues.take(dead_letters, messages - len(good))
    assert sorted(json.loads(body)["id"] for body in dead) == sorted(set(range(messages)) - good)
    assert await scene.queues.depth(dead_letters) == 0
    assert repeated <= at_risk


async def _send(scene: Scene, queue: str, messages: int) -> None:
    for start in range(0, messages, PUT):
        bodies = [{"id": number} | ({} if number % POISON else {"do": "report"}) for number in range(start, start + PUT)]
        await scene.queues.send_many(queue, [json.dumps(body) for body in bodies])
