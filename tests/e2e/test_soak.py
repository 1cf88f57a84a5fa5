"""Half a minute of steady load: what the daemon holds does not grow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest
from e2e.scene import keys_of_shards

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon

SHARDS = 2
WARM_UP = 10.0
LOAD = 30.0
RECORDS = 100
"""In one turn: they are put, and must have been delivered before the next turn."""

GROWTH = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a daemon holds at one moment."""

    resident: int
    descriptors: int
    threads: int
    buffered: float


@pytest.mark.slow
async def test_memory_descriptors_and_threads_stay_flat_under_steady_load(scene: Scene) -> None:
    stream = await scene.stream(shards=SHARDS)
    daemon = await scene.running(scene.mapping(stream, batch_size=10))
    await _load(scene, daemon, stream, WARM_UP)

    samples = await _load(scene, daemon, stream, LOAD)

    earlier, later = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    print(f"{len(scene.ledger.ids)} records, {len(samples)} samples; at first {earlier[0]}, in the end {later[-1]}")
    assert len(earlier) >= 10
    assert median(each.resident for each in later) <= median(each.resident for each in earlier) * (1 + GROWTH)
    assert max(each.descriptors for each in later) <= max(each.descriptors for each in earlier)
    assert max(each.threads for each in later) <= max(each.threads for each in earlier)
    assert max(each.buffered for each in later) <= RECORDS * 1000
    assert sorted(scene.ledger.ids) == list(range(len(scene.ledger.ids))), "each record once"
    assert len(scene.ledger.workers) <= SHARDS
    assert await daemon.stopped() == 0


async def _load(scene: Scene, daemon: Daemon, stream: str, seconds: float) -> list[Sample]:
    """Turn after turn for so long; a sample after each."""
    keys = [key for keys in keys_of_shards(SHARDS, 5) for key in keys]
    samples = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        first = len(scene.ledger.ids)
        orders = range(first, first + RECORDS)
        await scene.streams.put_many(stream, [(keys[number % len(keys)], b'{"id": %d}' % number) for number in orders])
        await scene.ledger.has(*orders, daemon=daemon)
        samples.append(await _sample(daemon))
    return samples


async def _sample(daemon: Daemon) -> Sample:
    process = Path(f"/proc/{daemon.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Sample(
        resident=int(status["VmRSS"].split()[0]),
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(status["Threads"]),
        buffered=(await daemon.metrics()).value("poller_buffered_bytes"),
    )
