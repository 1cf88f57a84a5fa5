"""How a daemon ends: by SIGTERM or SIGINT, wherever it is just then, with nothing lost and nothing left behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support.daemon import exists, gone

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon

DRAIN_TIMEOUT = 2
LATEST_END = DRAIN_TIMEOUT + 2
"""Seconds after the signal within which the daemon has to be gone, whatever its functions do."""

BETWEEN_SIGNALS = 0.25
"""A second signal counts as one only where more than 0.2 s lie between."""


async def _ended_within(daemon: Daemon, seconds: float) -> bool:
    try:
        await asyncio.to_thread(daemon.process.wait, seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


async def _ends(daemon: Daemon) -> int:
    """SIGTERM, and the exit code. Fails where it takes longer than it may."""
    daemon.signal(signal.SIGTERM)
    return await daemon.ended(LATEST_END)


@pytest.mark.slow
async def test_an_idle_daemon_drains_at_once_and_gives_its_leases_back(scene: Scene) -> None:
    stream = await scene.stream(shards=2)
    store = {"url": "sqlite:///poller.db", "lease_duration": 300}
    daemon = await scene.running(scene.mapping(stream), store=store, drain_timeout=DRAIN_TIMEOUT)
    await scene.put(stream, "one")
    await scene.ledger.has("one", daemon=daemon)
    await daemon.logged("batch", outcome="success")

    assert await _ends(daemon) == 0

    assert not daemon.lines("drain_timeout")
    assert len(daemon.lines("lease", transition="released")) == 2
    await gone(scene.ledger.workers)
    heir = await scene.running(scene.mapping(stream), store=store)
    await heir.logged("lease", transition="acquired", count=2)
    await scene.put(stream, "two")
    await scene.ledger.has("two", daemon=heir)
    assert scene.ledger.ids == ["one", "two"]


@pytest.mark.rule("stream.start.resume-from-checkpoint")
async def test_an_invocation_that_runs_may_finish_and_is_not_repeated_after_the_restart(scene: Scene) -> None:
    stream = await scene.stream()
    await scene.put(stream, "held", do="hold")
    await scene.put(stream, "behind")
    daemon = await scene.running(scene.mapping(stream, batch_size=1))
    await scene.ledger.has("held", daemon=daemon)

    daemon.signal(signal.SIGINT)
    await daemon.logged("draining")
    status, page = await daemon.get("/readyz")
    assert (status, page.splitlines()[-1]) == (503, "not ready")
    assert "[-]draining" in page
    assert (await daemon.get("/livez"))[0] == 200
    scene.gate.touch()

    assert await daemon.ended() == 0
    assert scene.ledger.ids == ["held"]
    assert [line["outcome"] for line in daemon.lines("batch")] == ["success"]
    heir = await scene.running(scene.mapping(stream, batch_size=1))
    await scene.ledger.has("behind", daemon=heir)
    assert scene.ledger.ids == ["held", "behind"]


@pytest.mark.slow
async def test_an_invocation_that_outlasts_the_drain_is_cut_off_and_its_records_come_again(scene: Scene) -> None:
    stream = await scene.stream()
    await scene.put(stream, "hanging", do="hold")
    daemon = await scene.running(scene.mapping(stream), drain_timeout=1)
    await scene.ledger.has("hanging", daemon=daemon)

    assert await _ends(daemon) == 0

    assert daemon.lines("drain_timeout", mapping="orders")
    assert not any(exists(worker) for worker in scene.ledger.workers)
    scene.gate.touch()
    heir = scene.start(scene.configure(scene.mapping(stream)))
    await heir.logged("batch", outcome="success")
    assert scene.ledger.ids == ["hanging", "hanging"]


@pytest.mark.slow
async def test_a_drain_does_not_wait_for_the_end_of_a_back_off(scene: Scene) -> None:
    stream = await scene.stream()
    await scene.put(stream, "poison", do="raise")
    daemon = await scene.running(scene.mapping(stream), drain_timeout=60)
    await daemon.logged("batch", outcome="failed", attempt=3)  # the next try is 1.6 s away at least
    began = time.monotonic()

    assert await _ends(daemon) == 0

    assert time.monotonic() - began < 1.5
    assert len(daemon.lines("batch")) == 3


@pytest.mark.slow
@pytest.mark.rule("stream.discard.delivery-is-retried")
async def test_a_drain_does_not_wait_for_a_destination_that_is_down_and_the_records_are_kept(scene: Scene) -> None:
    stream = await scene.stream()
    queue = f"arn:aws:sqs:us-east-1:000000000000:{scene.name}"
    await scene.put(stream, "poison", do="raise")
    mapping = scene.mapping(stream, maximum_retry_attempts=0, destination_config={"on_failure": {"destination": queue}})
    daemon = await scene.running(mapping, drain_timeout=60)
    await daemon.measured(
        lambda now: now.value("poller_destination_errors_total", mapping="orders", destination="sqs") >= 2,
        "the destination is tried again and again",
    )
    [line] = daemon.lines("undeliverable")
    assert "check that it exists" in line["error"]

    assert await _ends(daemon) == 0
    assert not daemon.lines("discarded")
    await scene.queue()
    heir = await scene.running(mapping)
    await heir.logged("discarded", records=1)
    assert len(await scene.queues.take(queue, 1)) == 1
    assert scene.ledger.ids == ["poison", "poison"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_daemon_and_its_workers_at_once(scene: Scene, number: signal.Signals) -> None:
    stream = await scene.stream()
    await scene.put(stream, "hanging", do="hang")
    daemon = await scene.running(scene.mapping(stream), drain_timeout=60)
    await scene.ledger.has("hanging", daemon=daemon)

    daemon.signal(number)
    await daemon.logged("draining")
    daemon.signal(number)  # right behind the first: `timeout` and shells signal a process and its group
    while not await _ended_within(daemon, BETWEEN_SIGNALS):
        assert not daemon.lines("stopped_at_once"), "it said so, and did not do it"
        daemon.signal(number)

    assert daemon.process.returncode == 128 + number
    assert len(daemon.lines("stopped_at_once", signal=number.name)) == 1
    await gone(scene.ledger.workers)
    assert scene.ledger.ids == ["hanging"]
