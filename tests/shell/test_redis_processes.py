"""The Redis store between real processes: they contend for fifty shards, and each shard has one holder at a time."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from contract.store_processes import line, other_process, run_child, tell
from contract.store_world import MAPPING, STREAM, at
from redis.asyncio import Redis
from support.valkey import Valkey, running

from poller.core.model import ShardId
from poller.errors import LeaseLost
from poller.stores.redis import RedisStore

if TYPE_CHECKING:
    from poller.core.model import Lease

SHARDS = [ShardId(f"shard-{number}") for number in range(50)]
ROUNDS = 300
SHORT = 0.2
"""Seconds of a lease: some of them are left to end by themselves."""


async def contend(port: Path) -> None:
    """Takes shards wherever it can, and adds one to what it finds there; says how often, and how often it was not alone."""
    url = f"redis://127.0.0.1:{port.name}"
    added = alone = 0
    async with RedisStore(url) as store, Redis.from_url(url) as witness:
        owner = f"process-{await witness.incr('processes')}"
        print("ready", flush=True)
        sys.stdin.readline()

        async def take(shard: ShardId) -> None:
            nonlocal added, alone
            lease = await store.acquire(MAPPING, shard, owner, SHORT)
            if lease is None:
                return
            present = f"present {shard} {owner}"
            alone += await enter(witness, shard, lease)
            checkpoint = await store.load(lease)
            number = 0 if checkpoint is None else int(checkpoint.extra)
            added += await store.advance(lease, at(number + 1, b"%d" % (number + 1)))
            await witness.delete(present)
            await (store.release(lease) if random.random() < 0.8 else store.renew(lease, SHORT))

        for _ in range(ROUNDS):
            async with asyncio.TaskGroup() as together:
                for shard in random.sample(SHARDS, 5):
                    together.create_task(_unless_lost(take(shard)))
    print(added, alone, flush=True)
