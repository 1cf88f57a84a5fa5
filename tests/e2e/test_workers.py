"""Provisioned workers in a daemon: there before the mapping is, also after a reload, and never in the way."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from support.daemon import gone

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon

pytestmark = pytest.mark.slow


def in_order(daemon: Daemon) -> list[str]:
    """What came first: workers that were ready, and mappings that were enabled."""
    daemon.lines("state")
    return [line["event"] for line in daemon._lines if line["event"] == "worker_ready" or line.get("state") == "Enabled"]


async def test_provisioned_workers_are_ready_before_the_mapping_is_enabled_also_when_the_function_changes(scene: Scene) -> None:
    stream = await scene.stream()
    always = {"provisioned_concurrency": 2}
    daemon = await scene.running(scene.mapping(stream), functions={"orders": scene.function(always)})
    await daemon.enabled()
    scene.configure(scene.mapping(stream), functions={"orders": scene.function(always | {"timeout": 7})})
    daemon.signal(signal.SIGHUP)
    await daemon.logged("state", mapping="orders", state="Enabled", count=2)
    assert in_order(daemon) == ["worker_ready", "worker_ready", "state"] * 2
    assert (await daemon.metrics()).value("poller_workers", function="orders", state="idle") == 2
    await scene.put(stream, "one")
    await scene.ledger.has("one", daemon=daemon)
    daemon.kill()
    await gone(scene.ledger.workers)


async def test_provisioned_workers_that_cannot_be_initialised_hold_up_neither_the_mapping_nor_a_drain(scene: Scene) -> None:
    stream, code = await scene.stream(), scene.folder / "code"
    code.mkdir()
    (code / "app.py").write_text("import a_package_that_nobody_has\n")
    function = scene.function({"provisioned_concurrency": 1, "code": str(code)})
    daemon = await scene.running(scene.mapping(stream), functions={"orders": function})
    await daemon.enabled()
    (line,) = daemon.lines("provisioned_failed")
    assert line["reason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert "No module named 'a_package_that_nobody_has'" in line["error"]
    (line, *_) = await daemon.logged("worker_backoff")
    assert (line["failures"], line["wait_s"]) == (3, 0.5)
    assert (await daemon.metrics()).value("poller_worker_starts_total", function="orders", outcome="failed") >= 3
    assert await daemon.stopped() == 0
