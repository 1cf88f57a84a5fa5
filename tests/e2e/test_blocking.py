"""The main promise, over real sockets: a record that fails holds up its own shard, for as long as it may, and no other."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from e2e.scene import keys_of_shards

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon

RETRIES = 4
WAITS = (0.5, 1.0, 2.0, 4.0)
SPREAD = 0.2
SLACK = 1.0
"""Seconds that a busy machine may add to a wait."""


@pytest.mark.slow
@pytest.mark.rule("stream.delivery.failure-blocks-no-other-shard")
@pytest.mark.rule("stream.delivery.failure-blocks-its-shard")
@pytest.mark.rule("stream.retry.spacing")
@pytest.mark.rule("stream.retry.limit")
@pytest.mark.rule("stream.discard.stream-goes-on")
@pytest.mark.rule("stream.iterator-age.oldest-unsettled")
@pytest.mark.rule("stream.iterator-age.caught-up-is-zero")
async def test_a_failing_record_blocks_its_shard_until_it_is_given_up_and_delays_no_other(either_scene: Scene) -> None:
    scene = either_scene
    stream, queue = await scene.stream(shards=4), await scene.queue()
    blocked, *others = [keys[0] for keys in keys_of_shards(4)]
    destination = {"on_failure": {"destination": queue}}
    mapping = scene.mapping(stream, batch_size=1, maximum_retry_attempts=RETRIES, destination_config=destination)
    daemon = await scene.running(mapping)

    [(shard, _)] = await scene.put(stream, "before", key=blocked)
    [(_, poison)] = await scene.put(stream, "poison", key=blocked, do="raise")
    await scene.put(stream, "behind", key=blocked)
    await scene.ledger.has("poison", daemon=daemon)
    await _others_go_on(scene, daemon, stream, others)
    await _age_rises(daemon, shard)

    body = json.loads((await scene.queues.take(queue, 1))[0])
    assert body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert body["requestContext"]["approximateInvokeCount"] == RETRIES + 1
    assert body["KinesisBatchInfo"]["startSequenceNumber"] == body["KinesisBatchInfo"]["endSequenceNumber"] == poison
    await scene.ledger.has("behind", daemon=daemon)
    await daemon.measured(
        lambda now: now.value("poller_iterator_age_seconds") == 0 and now.value("poller_shards", state="open") == 4,
        "nothing is blocked and all shards have caught up",
    )
    assert await daemon.stopped() == 0
    _tried_as_said(scene, blocked)


async def _others_go_on(scene: Scene, daemon: Daemon, stream: str, others: list[str]) -> None:
    """Twice: a record put into each of the other shards is handled while the first shard still waits."""
    for turn in range(2):
        names = [f"{key} {turn}" for key in others]
        for name, key in zip(names, others, strict=True):
            await scene.put(stream, name, key=key)
        await scene.ledger.has(*names, daemon=daemon)
        now = await daemon.metrics()
        assert now.value("poller_events_sent_to_destination_total", mapping="orders") == 0, "too late to tell"
        assert now.value("poller_shards", mapping="orders", state="blocked") == 1
        assert now.value("poller_shards", mapping="orders", state="open") == 3
    assert "behind" not in scene.ledger.ids


async def _age_rises(daemon: Daemon, shard: str) -> None:
    first = (await daemon.metrics()).value("poller_iterator_age_seconds", shard=shard)
    assert first > 0
    later = await daemon.measured(
        lambda now: now.value("poller_iterator_age_seconds", shard=shard) > first + 0.5, "the age of the blocked shard rises"
    )
    assert later.value("poller_shards", state="blocked") == 1
    ages = [later.value("poller_iterator_age_seconds", shard=f"shardId-{number:012d}") for number in range(4)]
    assert [age for age in ages if age] == [max(ages)], "only the blocked shard lags"


def _tried_as_said(scene: Scene, blocked: str) -> None:
    entries = [entry for entry in scene.ledger.entries if entry["record"]["kinesis"]["partitionKey"] == blocked]
    assert [entry["id"] for entry in entries] == ["before", *["poison"] * (RETRIES + 1), "behind"]
    tries = [entry["at"] for entry in entries[1:-1]]
    for wait, (earlier, later) in zip(WAITS, pairwise(tries), strict=True):
        assert (1 - SPREAD) * wait <= later - earlier <= (1 + SPREAD) * wait + SLACK
