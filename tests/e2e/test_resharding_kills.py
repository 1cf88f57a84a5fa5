"""Everything at once: a stream that is split and merged under load, a function that fails, and kill -9.

The bound of what may come again, for one kill and one shard: the batch in flight, and what was settled but not yet durable, which
is one batch under the checkpoint write and one that gathered behind it. What a failed invocation had comes again as well.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from e2e.scene import keys_of_shards
from support.aws import WallClock

from poller.config.event_source import default_uuid
from poller.core.model import BEGINNING, ShardId, ShardState, position
from poller.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from e2e.scene import Scene

SHARDS = 8
KEYS_OF_A_SHARD = 10
RECORDS = 20_000
WRITERS = 4
PUT = 200
"""Records of one PutRecords: larger ones keep the server from all else, and a reshard takes several calls."""

BATCH = 50
BATCHES_AT_RISK = 3
PATIENCE = 90.0

Fields = dict[str, Any]
States = dict[ShardId, ShardState]


@pytest.mark.slow
@pytest.mark.rule("stream.shards.parent-before-child")
@pytest.mark.rule("stream.shards.merged-child-waits-for-both")
@pytest.mark.rule("stream.delivery.at-least-once")
@pytest.mark.rule("stream.delivery.in-order")
@pytest.mark.rule("stream.checkpoint.never-passes-open")
async def test_twenty_thousand_records_through_reshards_failures_and_kills(local_scene: Scene) -> None:
    scene = local_scene
    load = Load(scene=scene, stream=await scene.stream(shards=SHARDS))
    config = scene.configure(
        scene.mapping(load.stream, batch_size=BATCH),
        functions={"orders": scene.function(WORK="0.0005", FAIL="0.01")},
        store={"url": "sqlite:///poller.db", "lease_duration": 1},
    )
    began, killed = time.monotonic(), []
    async with asyncio.TaskGroup() as together:
        for writer in range(WRITERS):
            together.create_task(load.write(writer))
        for share in (0.3, 0.6):
            reshard = together.create_task(load.reshard_after(int(RECORDS * (share - 0.2))))
            await scene.killed(config, int(RECORDS * share), PATIENCE)
            killed.append((time.time(), await _stored(scene)))
            await reshard
    put = time.monotonic() - began
    last = scene.start(config)
    await scene.ledger.until(lambda ids: len(ids) >= RECORDS and len(set(ids)) == RECORDS, last, PATIENCE)
    await last.measured(lambda now: now.value("poller_shards", state="finished") == 12, "all parents are done with")
    await last.measured(lambda now: now.value("poller_shards", state="open") == SHARDS, "all children are read")
    assert await last.stopped() == 0
    entries = scene.ledger.entries
    failed, repeated = sum(1 for entry in entries if "fails" in entry), len(entries) - RECORDS
    print(f"{put:.1f} s of puts, {time.monotonic() - began:.1f} s in all, {repeated} delivered again, {failed} failed")
    check_order(load.orders, entries)
    check_generations({shard["ShardId"]: parents_of(shard) for shard in await load.shards()}, entries)
    for at, states in killed:
        check_checkpoints(states, [entry for entry in entries if entry["began"] > at])
    assert repeated <= failed + len(killed) * SHARDS * BATCHES_AT_RISK * BATCH


@dataclass(slots=True, kw_only=True)
class Load:
    """What is put into the stream, and how that is changed meanwhile."""

    scene: Scene
    stream: str
    orders: list[tuple[str, int]] = field(init=False)
    put: int = 0

    def __post_init__(self) -> None:
        keys = [key for keys in keys_of_shards(SHARDS, KEYS_OF_A_SHARD) for key in keys]
        self.orders = [(random.choice(keys), number) for number in range(RECORDS)]

    async def write(self, writer: int) -> None:
        """One of the writers puts its keys' records, in order."""
        mine = [(key, number) for key, number in self.orders if int(key.rpartition("-")[2]) % WRITERS == writer]
        for start in range(0, len(mine), PUT):
            some = [(key, b'{"id": %d}' % number) for key, number in mine[start : start + PUT]]
            await self.scene.streams.put_many(self.stream, some)
            self.put += len(some)

    async def reshard_after(self, put: int) -> None:
        """Once so many have been put: splits two shards, and merges two pairs of others."""
        while self.put < put:  # noqa: ASYNC110  the writers tell nobody
            await asyncio.sleep(0.02)
        by_keys = [shard["ShardId"] for shard in await self._open()]
        streams, first = self.scene.streams, random.randrange(2)
        for half in (by_keys[: SHARDS // 2], by_keys[SHARDS // 2 :]):
            await streams.split(self.stream, half.pop(3 * first))
            await streams.merge(self.stream, half[0], half[1])

    async def shards(self) -> list[Fields]:
        """All that the stream lists."""
        return list((await self.scene.streams._shards(self.stream)).values())

    async def _open(self) -> list[Fields]:
        shards = await self.shards()
        closed = {parent for shard in shards for parent in parents_of(shard)}
        own = [shard for shard in shards if shard["ShardId"] not in closed]
        return sorted(own, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))


def parents_of(shard: Fields) -> list[str]:
    return [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]


async def _stored(scene: Scene) -> States:
    """What is durable."""
    async with SqliteStore(scene.folder / "poller.db", WallClock()) as store:
        return await store.shards(default_uuid("orders"))


def shard_of(entry: Fields) -> str:
    shard: str = entry["record"]["eventID"].partition(":")[0]
    return shard


def check_order(orders: Sequence[tuple[str, int]], entries: Sequence[Fields]) -> None:
    """Over all daemons each key's first deliveries are in order; a daemon goes back only to what a failed invocation had."""
    put, seen = defaultdict(list), defaultdict(list)
    for key, number in orders:
        put[key].append(number)
    for entry in entries:
        seen[entry["record"]["kinesis"]["partitionKey"]].append(entry)
    for key, numbers in put.items():
        assert list(dict.fromkeys(entry["id"] for entry in seen[key])) == numbers
        for daemon in {entry["daemon"] for entry in seen[key]}:
            done = [entry["id"] for entry in seen[key] if entry["daemon"] == daemon and "fails" not in entry]
            assert all(earlier < later for earlier, later in pairwise(done)), (key, done)


def check_generations(parents: Mapping[str, Sequence[str]], entries: Sequence[Fields]) -> None:
    """No record of a shard is delivered while one of its parents has records that are to come, first or again."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for entry in entries:
        first.setdefault(shard_of(entry), entry["began"])
        last[shard_of(entry)] = entry["at"]
    children = [(shard, parent) for shard in first for parent in parents[shard] if parent in last]
    assert len(children) >= 8, "the stream was changed after all had been put"
    for shard, parent in children:
        assert last[parent] <= first[shard], f"{shard} is begun before {parent} is done with"


def check_checkpoints(states: States, later: Sequence[Fields]) -> None:
    """After a kill nothing comes again that was durable then."""
    assert later
    assert any(state.checkpoint is not None and state.checkpoint.position > BEGINNING for state in states.values())
    for entry in later:
        state = states.get(ShardId(shard_of(entry)), ShardState())
        assert not state.finished, f"{shard_of(entry)} was finished"
        at = state.checkpoint.position if state.checkpoint is not None else BEGINNING
        assert position(entry["record"]["kinesis"]["sequenceNumber"]) > at
