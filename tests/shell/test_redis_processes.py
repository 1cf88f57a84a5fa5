"""The Redis store between real processes: they contend for fifty shards, and each shard has one holder at a time."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import orjson
from contract.store_processes import line, other_process, run_child, tell
from contract.store_world import MAPPING, STREAM, at
from redis.asyncio import Redis
from support.valkey import Valkey, running

from poller.core.model import ShardId
from poller.stores.redis import RedisStore

SHARDS = [ShardId(f"shard-{number}") for number in range(50)]
AT_ONCE = 10
ROUNDS = 100
LONG = 600.0
ABANDONED = 0.02
"""Seconds left to a lease that its holder does not give back."""


class Contender:
    """Takes shards wherever it can, adds one to what it finds there, and leaves in one of two ways."""

    def __init__(self, store: RedisStore, witness: Redis, owner: str) -> None:
        self.store = store
        self.witness = witness
        self.owner = owner
        self.count: Counter[str] = Counter()

    async def take(self, shard: ShardId) -> None:
        lease = await self.store.acquire(MAPPING, shard, self.owner, LONG)
        if lease is None:
            self.count["refused"] += 1
            return
        present = await self.witness.incr(f"present {shard}")
        self.count["taken"] += 1
        self.count["not alone"] += present != 1
        checkpoint = await self.store.load(lease)
        number = 1 if checkpoint is None else int(checkpoint.extra) + 1
        if await self.store.advance(lease, at(number, b"%d" % number)):
            self.count["added"] += 1
        await self.witness.decr(f"present {shard}")
        if random.random() < 0.5:
            await self.store.release(lease)
        else:
            await self.store.renew(lease, ABANDONED)


async def contend(port: Path) -> None:
    """A process that contends when it is told to, and says what it counted."""
    url = f"redis://127.0.0.1:{port.name}"
    async with RedisStore(url) as store, Redis.from_url(url) as witness:
        contender = Contender(store, witness, f"process-{await witness.incr('processes')}")
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(ROUNDS):
            async with asyncio.TaskGroup() as together:
                for shard in random.sample(SHARDS, AT_ONCE):
                    together.create_task(contender.take(shard))
    print(orjson.dumps(contender.count).decode(), flush=True)


async def test_two_processes_that_contend_for_fifty_shards_never_hold_one_together(tmp_path: Path) -> None:
    with running(Valkey(folder=tmp_path / "valkey")) as server:
        async with RedisStore(server.url) as store:
            await store.enroll(MAPPING, STREAM, {})
            port = Path(str(server.port))
            with other_process(contend, port) as one, other_process(contend, port) as two:
                for child in (one, two):
                    assert line(child) == "ready"
                for child in (one, two):
                    tell(child)
                counts = [Counter[str](orjson.loads(await asyncio.to_thread(line, child))) for child in (one, two)]
            total = counts[0] + counts[1]
            assert all(count["taken"] and count["refused"] for count in counts), "they did not contend, so this showed nothing"
            assert total["not alone"] == 0
            assert total["added"] == total["taken"]
            numbers = [int(state.checkpoint.extra) for state in (await store.shards(MAPPING)).values() if state.checkpoint]
            assert sum(numbers) == total["added"]


if __name__ == "__main__":
    run_child(contend)
