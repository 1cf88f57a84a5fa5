"""`poller checkpoint` and `poller status` beside a daemon at work: what is refused, what --force does, what is shown."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import AWS_ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.scene import Scene

RECORDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def poller(config: Path, *arguments: str) -> Ended:
    """A command as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", *arguments, "-c", str(config)),
        env={"PATH": os.environ["PATH"], **AWS_ENVIRONMENT},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())


@pytest.mark.slow
async def test_a_position_moves_under_a_running_daemon_only_by_force_and_then_counts(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream, batch_size=5))
    config = scene.folder / "poller.yaml"
    placed = await scene.put(stream, *range(RECORDS))
    shard, tenth = placed[9]
    await scene.ledger.has(*range(RECORDS), daemon=daemon)
    at_work = await poller(config, "checkpoint", "set", "orders", shard, "TRIM_HORIZON")
    assert (at_work.code, at_work.out) == (1, "")
    assert "is at work, held by" in at_work.err

    before = len(scene.ledger.entries)
    forced = await poller(config, "checkpoint", "set", "orders", shard, tenth, "--force", "-o", "json")
    assert forced.code == 0, forced.err
    [change] = forced.json["changes"]
    assert (change["shard"], change["after"]) == (shard, tenth)
    assert change["fenced"]
    assert json.loads(forced.err)["event"] == "checkpoint_changed"
    await scene.ledger.until(lambda ids: len(ids) >= before + 10, daemon)
    assert scene.ledger.ids[before:] == list(range(10, RECORDS)), "all after the tenth comes once more, nothing before it"
    assert [line["transition"] for line in daemon.lines("lease")] == ["acquired", "lost", "acquired"]

    assert await daemon.stopped() == 0
    skipped = await poller(config, "checkpoint", "set", "orders", shard, placed[-1][1], "--expect", placed[-1][1])
    assert skipped.code == 0, skipped.err


@pytest.mark.slow
async def test_status_shows_shards_and_errors_of_a_running_daemon_and_the_store_alone_without_one(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream, batch_size=1, parallelization_factor=2))
    config = scene.folder / "poller.yaml"
    [(shard, first)] = await scene.put(stream, "fine")
    await scene.ledger.has("fine", daemon=daemon)
    await scene.put(stream, "poison", key="other", do="raise")
    await daemon.until(lambda: any(line.get("outcome") == "failed" for line in daemon.lines("batch")), "a batch fails")

    shown = await poller(config, "status", "-o", "json")
    assert shown.code == 0, shown.err
    [mapping] = shown.json["mappings"]
    assert (mapping["state"], mapping["enrolled"]) == ("Enabled", True)
    assert (mapping["last_error"]["what"], mapping["last_error"]["kind"]) == ("function", "function_error")
    [only] = mapping["shards"]
    assert (only["shard"], only["position"]) == (shard, first)
    assert only["owner"] == shown.json["daemon"]["owner"]
    ages = {lane["state"]: lane["oldest_age"] for lane in only["lanes"]}
    assert ages["idle"] is None
    assert ages["retrying"] > 0
    assert only["iterator_age"] == pytest.approx(ages["retrying"], abs=0.5)
    table = await poller(config, "status", "orders")
    assert "  lane " in table.out
    assert "last error" in table.out
    assert "no such order: poison" in table.out

    daemon.kill()
    alone = await poller(config, "status", "-o", "json")
    assert alone.code == 0, alone.err
    assert alone.json["daemon"]["problem"]
    assert [each["position"] for each in alone.json["mappings"][0]["shards"]] == [first]
    assert "none answers at 127.0.0.1:" in (await poller(config, "status")).out
