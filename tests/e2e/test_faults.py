"""A bad wire between the daemon and its services: it slows down, says what is wrong, and loses nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain, cycle, repeat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.proxy import Proxy, Trouble
    from e2e.scene import Scene
    from support.daemon import Metrics

RECORDS = 200
READ_CALLS = ("GetRecords", "GetShardIterator")

BAD_WIRE: tuple[Trouble | None, ...] = ("throttle", None, "fail", "cut", None, "reset", "lose", "late")
"""Never three failures in a row: waits double."""

KINDS: dict[Trouble, str] = {
    "throttle": "throttled",
    "fail": "server",
    "reset": "connection",
    "cut": "connection",
    "lose": "connection",
}


@pytest.mark.slow
@pytest.mark.rule("stream.poll.read-errors-spend-nothing")
async def test_reads_that_fail_in_every_way_lose_nothing_and_repeat_nothing(troubled_scene: Scene, between: Proxy) -> None:
    scene, troubles = troubled_scene, cycle(BAD_WIRE)
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream, maximum_retry_attempts=0))
    between.trouble = lambda operation: next(troubles) if operation in READ_CALLS else None
    for number in range(RECORDS):
        await scene.put(stream, number)

    await scene.ledger.has(*range(RECORDS), daemon=daemon, patience=30)
    await daemon.measured(lambda now: all(_counted(now, kind) for kind in KINDS.values()), "all has happened")
    between.trouble = lambda _: None

    assert scene.ledger.ids == list(range(RECORDS)), "each once, in order"
    now = await daemon.measured(lambda now: now.value("poller_iterator_age_seconds") == 0, "it has caught up")
    expected = Counter(KINDS[trouble] for _, trouble in between.seen if trouble in KINDS)
    assert {kind: _counted(now, kind) for kind in expected} == expected
    assert now.value("poller_lease_transitions_total", transition="acquired") == 1, "the shard was held all the time"
    assert await daemon.stopped() == 0


@pytest.mark.slow
@pytest.mark.rule("stream.iterator-age.rises-while-reads-fail")
async def test_the_iterator_age_rises_while_nothing_can_be_read_and_falls_when_it_can(
    troubled_scene: Scene, between: Proxy
) -> None:
    scene = troubled_scene
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))
    await daemon.measured(lambda now: now.value("poller_last_poll_timestamp_seconds") > 0, "the shard is read")
    assert (await daemon.metrics()).value("poller_iterator_age_seconds") == 0

    between.trouble = lambda operation: "fail" if operation == "GetRecords" else None
    now = await daemon.measured(lambda now: now.value("poller_iterator_age_seconds") > 2.5, "the age rises")
    assert now.value("poller_source_api_errors_total", operation="GetRecords", error="server") >= 2
    assert (await daemon.get("/readyz"))[0] == 200, "an outage of AWS is no reason to restart"
    between.trouble = lambda _: None

    await scene.put(stream, "after")
    await scene.ledger.has("after", daemon=daemon)
    await daemon.measured(lambda now: now.value("poller_iterator_age_seconds") == 0, "it has caught up")
    assert await daemon.stopped() == 0


async def test_each_first_call_of_every_kind_may_fail_and_the_mapping_comes_up_and_tells_its_destination_once(
    troubled_scene: Scene, between: Proxy
) -> None:
    scene = troubled_scene
    stream, queue = await scene.stream(), await scene.queue()
    await scene.put(stream, "poison", do="raise")
    await scene.put(stream, "behind")
    first: dict[str, Iterator[Trouble | None]] = defaultdict(lambda: chain(("throttle",), repeat(None)))
    between.trouble = lambda operation: next(first[operation])
    mapping = scene.mapping(
        stream, batch_size=1, maximum_retry_attempts=0, destination_config={"on_failure": {"destination": queue}}
    )
    daemon = await scene.running(mapping)

    await scene.ledger.has("behind", daemon=daemon)
    assert scene.ledger.ids == ["poison", "behind"]
    assert len(await scene.queues.take(queue, 1)) == 1
    assert await scene.queues.depth(queue) == 0
    now = await daemon.metrics()
    reads = {"DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"}
    for operation in reads:
        assert now.value("poller_source_api_errors_total", operation=operation, error="throttled") == 1, operation
    assert now.value("poller_destination_errors_total", mapping="orders") == 2
    assert set(first) == reads | {"GetQueueUrl", "SendMessage"}
    assert await daemon.stopped() == 0


def _counted(now: Metrics, kind: str) -> float:
    return now.value("poller_source_api_errors_total", mapping="orders", error=kind)
