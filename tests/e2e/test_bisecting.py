"""One bad record among a thousand in a batch, and a daemon that is killed while it looks for it."""

from __future__ import annotations

import json
import random
from math import ceil, log2
from typing import TYPE_CHECKING

import pytest
from support.daemon import gone

if TYPE_CHECKING:
    from e2e.scene import Scene

SIZE, RETRIES = 1000, 2
SEARCH = 2 * ceil(log2(SIZE)) + RETRIES
AT_RISK = 3
"""Invocations that a kill may repeat: the one under way, and those whose checkpoint was being written or waited for that."""


@pytest.mark.slow
@pytest.mark.rule("stream.bisect.bound")
@pytest.mark.rule("stream.bisect.survives-restarts")
async def test_one_bad_record_among_a_thousand_is_found_and_told_though_the_daemon_is_killed_half_way(scene: Scene) -> None:
    stream, queue = await scene.stream(), await scene.queue()
    bad = random.SystemRandom().randrange(SIZE)
    print(f"record {bad} is bad")
    data = [{"id": number} | ({"do": "raise"} if number == bad else {}) for number in range(SIZE)]
    put = await scene.streams.put_many(stream, [("key", json.dumps(each).encode()) for each in data])
    mapping = scene.mapping(
        stream,
        batch_size=SIZE,
        maximum_retry_attempts=RETRIES,
        bisect_batch_on_function_error=True,
        retry_backoff={"initial": 0.1},
        destination_config={"on_failure": {"destination": queue}},
    )
    daemon = await scene.running(mapping, store={"url": "sqlite:///poller.db", "lease_duration": 1})
    await daemon.logged("batch", count=6)
    daemon.kill()
    await gone(scene.ledger.workers)
    heir = await scene.running(mapping, store={"url": "sqlite:///poller.db", "lease_duration": 1})
    document = json.loads((await scene.queues.take(queue, 1))[0])
    await scene.put(stream, "after")
    await scene.ledger.has("after", daemon=heir)
    assert await heir.stopped() == 0

    info = document["KinesisBatchInfo"]
    assert info["startSequenceNumber"] == info["endSequenceNumber"] == put[bad][1]
    assert document["requestContext"]["approximateInvokeCount"] == RETRIES + 1
    assert await scene.queues.depth(queue) == 0
    assert set(scene.ledger.ids) == {*range(SIZE), "after"}
    whole = max(len(batch) for batch in scene.ledger.batches)
    assert whole > SIZE // 4, "the batch was gathered in many reads: nothing was to be found"
    calls = len(scene.ledger.batches) - 1  # but for the one that came after
    assert calls <= 1 + SEARCH + AT_RISK
