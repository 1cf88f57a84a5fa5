"""Limits of a function change while it runs: its workers and mappings go on, and a stopped function loses nothing."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.scene import Scene

rule = pytest.mark.rule


@pytest.mark.slow
@rule("function.concurrency.reserved-zero-stops")
async def test_a_function_is_stopped_and_goes_on_without_new_workers_or_a_retry(scene: Scene) -> None:
    stream = await scene.stream()
    functions = {"orders": scene.function()}
    daemon = await scene.running(scene.mapping(stream), functions=functions)
    await scene.put(stream, "one")
    await scene.ledger.has("one", daemon=daemon)
    (worker,) = {entry["worker"] for entry in scene.ledger.entries}

    scene.configure(scene.mapping(stream), functions={"orders": scene.function({"reserved_concurrency": 0})})
    daemon.signal(signal.SIGHUP)
    assert (await daemon.logged("reloaded"))[-1]["stopped"] == 0
    assert len(await daemon.logged("function_stopped", function="orders")) == 1
    await scene.put(stream, "two")
    throttled = {"function": "orders", "reason": "reserved_zero"}
    now = await daemon.measured(lambda page: page.value("poller_throttles_total", **throttled) == 1, "a throttle")
    assert now.value("poller_concurrency_limit", function="orders") == 0
    assert "two" not in scene.ledger.ids

    scene.configure(scene.mapping(stream), functions=functions)
    daemon.signal(signal.SIGHUP)
    await scene.ledger.has("two", daemon=daemon)
    assert {entry["worker"] for entry in scene.ledger.entries} == {worker}
    batches = [(line["outcome"], line["attempt"]) for line in daemon.lines("batch")]
    assert batches == [("success", 1), ("success", 1)]
    assert daemon.lines("batch")[-1]["memory_size_mb"] == 128
    assert await daemon.stopped() == 0
