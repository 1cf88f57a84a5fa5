"""The daemon on a Redis store: a kill -9, and an outage that outlasts the leases. Nothing is lost, and keys keep their order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from e2e.scene import keys_of_shards
from support.daemon import gone
from support.valkey import DURABLE, Valkey, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.scene import Scene
    from support.daemon import Daemon, Metrics

SHARDS = 2
KEYS_OF_A_SHARD = 3
BATCH = 10
RECORDS = 900
WORK = 0.01
LEASE = 2
OUTAGE = 5.0
BATCHES_AT_RISK = 3
"""Of a shard, at any moment: the batch in flight, the one whose checkpoint is written, and the one that gathers behind it."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with running(Valkey(folder=tmp_path / "valkey", settings=DURABLE, password="hunter2")) as started:
        yield started


@pytest.mark.slow
async def test_a_kill_and_an_outage_of_the_redis_store_lose_nothing(scene: Scene, server: Valkey) -> None:
    stream = await scene.stream(shards=SHARDS)
    config = scene.configure(
        scene.mapping(stream, batch_size=BATCH),
        functions={"orders": scene.function(WORK=str(WORK))},
        store={"url": server.url, "lease_duration": LEASE},
    )
    keys = [key for keys in keys_of_shards(SHARDS, KEYS_OF_A_SHARD) for key in keys]
    orders = [(keys[number % len(keys)], number) for number in range(RECORDS)]
    await scene.streams.put_many(stream, [(key, b'{"id": %d}' % number) for key, number in orders])

    killed = scene.start(config)
    await scene.ledger.until(lambda ids: len(set(ids)) >= RECORDS // 6, killed)
    killed.kill()
    await gone(scene.ledger.workers)

    daemon = scene.start(config)
    await scene.ledger.until(lambda ids: len(set(ids)) >= RECORDS // 3, daemon)
    in_vain = await _outage(scene, server, daemon)
    await scene.ledger.until(lambda ids: len(set(ids)) == RECORDS, daemon, patience=30)
    assert (await daemon.get("/readyz"))[0] == 200
    assert await daemon.stopped() == 0

    _check_order(scene, orders)
    repeated, at_risk = len(scene.ledger.entries) - RECORDS, in_vain + 2 * SHARDS * BATCHES_AT_RISK * BATCH
    print(f"{repeated} of {RECORDS} delivered again, at the most {at_risk}")
    assert repeated <= at_risk
    assert not [line for line in (killed.tail() + daemon.tail()).splitlines() if "hunter2" in line]


async def _outage(scene: Scene, server: Valkey, daemon: Daemon) -> int:
    """The server is dead for five seconds. How much was delivered since, which no checkpoint can know: until the leases end."""
    async with asyncio.TaskGroup() as together:
        together.create_task(asyncio.sleep(OUTAGE))  # nobody tells when: the outage itself is what takes time
        server.kill()
        before = len(scene.ledger.entries)
        await daemon.measured(_all_lost, "every shard has lost its lease")
        delivered = len(scene.ledger.entries)
        status, text = await daemon.get("/readyz")
        assert status == 503
        assert "[-]store not answering: " in text
        assert (await daemon.get("/livez"))[0] == 200
    assert len(scene.ledger.entries) == delivered < RECORDS
    server.start()
    return delivered - before


def _all_lost(metrics: Metrics) -> bool:
    return metrics.value("poller_lease_transitions_total", transition="lost") >= SHARDS


def _check_order(scene: Scene, orders: list[tuple[str, int]]) -> None:
    """Nothing is missing, and the first deliveries of each key are in order."""
    put: dict[str, list[int]] = defaultdict(list)
    for key, number in orders:
        put[key].append(number)
    for key, numbers in put.items():
        mine = [entry["id"] for entry in scene.ledger.entries if entry["record"]["kinesis"]["partitionKey"] == key]
        assert list(dict.fromkeys(mine)) == numbers
