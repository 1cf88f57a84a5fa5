"""Kill -9, at any moment: nothing is lost, keys keep their order, and what is repeated is bounded.

The bound, for one kill and one shard: the batch in flight, and what was settled but not yet durable, which is one batch under the
checkpoint write and one that gathered behind it.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from e2e.scene import keys_of_shards
from support.valkey import DURABLE, Valkey, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from e2e.scene import Scene

SHARDS = 4
KEYS_OF_A_SHARD = 5
BATCH = 20
BATCHES_AT_RISK = 3
WORK = 0.005
"""Seconds that the handler takes for a record: so long that a kill finds all shards in the middle of a batch, and all that was
settled before it durable."""

PUT = 100
"""Records of one PutRecords: so few that records still come while daemons are killed."""

LINES = 60
"""Seconds for a run's records to be delivered, at the most."""


@pytest.mark.slow
@pytest.mark.rule("stream.delivery.at-least-once")
@pytest.mark.rule("stream.delivery.in-order")
@pytest.mark.rule("stream.checkpoint.after-the-function")
@pytest.mark.rule("stream.batch.one-shard")
async def test_a_kill_in_the_middle_of_a_thousand_records_loses_none_and_keeps_every_keys_order(scene: Scene) -> None:
    await _killed(scene, records=1_000, kills=1)


@pytest.mark.slow
@pytest.mark.rule("stream.delivery.at-least-once")
async def test_three_kills_among_five_thousand_records_lose_none_and_keep_every_keys_order(either_scene: Scene) -> None:
    await _killed(either_scene, records=5_000, kills=3)


@pytest.mark.slow
@pytest.mark.rule("stream.delivery.at-least-once")
async def test_three_kills_on_a_redis_store_lose_none_and_keep_every_keys_order(scene: Scene, tmp_path: Path) -> None:
    with running(Valkey(folder=tmp_path / "valkey", settings=DURABLE)) as server:
        await _killed(scene, records=5_000, kills=3, store=server.url)


async def _killed(scene: Scene, records: int, kills: int, store: str = "sqlite:///poller.db") -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    stream = await scene.stream(shards=SHARDS)
    config = scene.configure(
        scene.mapping(stream, batch_size=BATCH),
        functions={"orders": scene.function(WORK=str(WORK))},
        store={"url": store, "lease_duration": 1},
    )
    keys = [key for keys in keys_of_shards(SHARDS, KEYS_OF_A_SHARD) for key in keys]
    orders = [(rng.choice(keys), number) for number in range(records)]
    async with asyncio.TaskGroup() as together:
        together.create_task(_put(scene, stream, orders))
        for kill in range(kills):
            part = records / (kills + 1)
            await scene.killed(config, rng.randrange(int(part * (kill + 0.5)), int(part * (kill + 1.5))), LINES)
    last = scene.start(config)
    await scene.ledger.until(lambda ids: len(set(ids)) == records, last, patience=LINES)
    assert await last.stopped() == 0
    repeated = len(scene.ledger.entries) - records
    print(f"seed {seed}: {kills} kills, {records} records, {repeated} delivered again, at the most {kills * _at_risk()}")
    _check_order(orders, scene.ledger.entries)
    assert repeated <= kills * _at_risk()


def _at_risk() -> int:
    return SHARDS * BATCHES_AT_RISK * BATCH


async def _put(scene: Scene, stream: str, orders: Sequence[tuple[str, int]]) -> None:
    for start in range(0, len(orders), PUT):
        some = orders[start : start + PUT]
        await scene.streams.put_many(stream, [(key, b'{"id": %d}' % number) for key, number in some])


def _check_order(orders: Sequence[tuple[str, int]], entries: Sequence[dict[str, Any]]) -> None:
    """In every key: each daemon delivers in order and nothing twice, and over all daemons first deliveries are in order."""
    put: dict[str, list[int]] = defaultdict(list)
    for key, number in orders:
        put[key].append(number)
    for key, numbers in put.items():
        mine = [entry for entry in entries if entry["record"]["kinesis"]["partitionKey"] == key]
        assert list(dict.fromkeys(entry["id"] for entry in mine)) == numbers
        for daemon in {entry["daemon"] for entry in mine}:
            own = [entry["id"] for entry in mine if entry["daemon"] == daemon]
            assert all(earlier < later for earlier, later in pairwise(own)), (key, own)
    for call in {entry["call"] for entry in entries}:
        assert len({entry["record"]["eventID"].partition(":")[0] for entry in entries if entry["call"] == call}) == 1
