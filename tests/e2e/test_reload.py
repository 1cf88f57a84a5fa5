"""The configuration is read again while the daemon runs: only what changed notices, and a wrong file changes nothing."""

from __future__ import annotations

import json
import signal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from e2e.scene import Fields, Scene
    from support.daemon import Daemon


def queue_mapping(queue: str, name: str, **change: object) -> Fields:
    return {"name": name, "event_source_arn": queue, "function_name": "orders", "receive_wait": 1} | change


async def reloaded(daemon: Daemon, *, ask: bool = True) -> Fields:
    """Has the file read again, and waits until it runs."""
    count = len(daemon.lines("reloaded")) + 1
    if ask:
        daemon.signal(signal.SIGHUP)
    return (await daemon.logged("reloaded", count=count))[-1]


async def refused(daemon: Daemon) -> Fields:
    """Has the file read again, and waits until it is refused."""
    count = len(daemon.lines("reload_failed")) + 1
    daemon.signal(signal.SIGHUP)
    return (await daemon.logged("reload_failed", count=count))[-1]


async def test_only_the_mapping_that_changed_starts_anew(scene: Scene) -> None:
    stream, queue = await scene.stream(), await scene.queue()
    daemon = await scene.running(scene.mapping(stream), queue_mapping(queue, "mails"))
    await daemon.logged("lease", mapping="orders", transition="acquired")
    scene.configure(scene.mapping(stream), queue_mapping(queue, "mails", batch_size=3))

    line = await reloaded(daemon)

    assert (line["stopped"], line["mappings"]) == (1, 2)
    await daemon.logged("state", mapping="mails", state="Enabled", count=2)
    assert [line["state"] for line in daemon.lines("state", mapping="mails")] == [
        *("Creating", "Enabled", "Updating", "Disabled"),
        *("Creating", "Enabled"),
    ]
    assert not daemon.lines("lease", mapping="orders", transition="released")
    await scene.put(stream, "still read")
    await scene.ledger.has("still read", daemon=daemon)
    assert await daemon.stopped() == 0


@pytest.mark.rule("stream.start.pause-keeps-the-place")
async def test_mappings_come_and_go(scene: Scene) -> None:
    first, second = await scene.stream(), await scene.stream(suffix="-second")
    daemon = await scene.running(scene.mapping(first))
    await scene.put(first, "one")
    await scene.ledger.has("one", daemon=daemon)

    scene.configure(scene.mapping(first, enabled=False), scene.mapping(second, name="second"))
    await reloaded(daemon)

    await scene.put(second, "two")
    await scene.ledger.has("two", daemon=daemon)
    assert len(daemon.lines("lease", mapping="orders", transition="released")) == 1
    now = await daemon.metrics()
    assert not now.has("poller_mapping_state", mapping="orders")
    assert now.value("poller_mapping_state", mapping="second", state="Enabled") == 1

    await scene.put(first, "three")
    scene.configure(scene.mapping(first), scene.mapping(second, name="second"))
    await reloaded(daemon)
    await scene.ledger.has("three", daemon=daemon)
    assert scene.ledger.ids.count("one") == 1, "it goes on behind its checkpoint"
    assert await daemon.stopped() == 0


async def test_a_function_that_changed_has_new_workers_and_its_mappings_start_anew(scene: Scene) -> None:
    first, second = await scene.stream(), await scene.stream(suffix="-second")
    mappings = scene.mapping(first), scene.mapping(second, name="second", function_name="other")
    functions = {"orders": scene.function(), "other": scene.function()}
    daemon = await scene.running(*mappings, functions=functions)
    await scene.put(first, "one")
    await scene.put(second, "two")
    await scene.ledger.has("one", "two", daemon=daemon)
    workers = {entry["id"]: entry["worker"] for entry in scene.ledger.entries}

    functions["orders"] = scene.function({"timeout": 7})
    scene.configure(*mappings, functions=functions)
    line = await reloaded(daemon)

    assert line["stopped"] == 1
    await scene.put(first, "three")
    await scene.put(second, "four")
    await scene.ledger.has("three", "four", daemon=daemon)
    workers |= {entry["id"]: entry["worker"] for entry in scene.ledger.entries}
    assert workers["three"] != workers["one"]
    assert workers["four"] == workers["two"]
    assert await daemon.stopped() == 0


async def test_a_wrong_file_changes_nothing_and_says_what_is_wrong(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))
    good = (scene.folder / "poller.yaml").read_text()
    assert (await daemon.metrics()).value("poller_config_last_reload_successful") == 1

    (scene.folder / "poller.yaml").write_text(good.replace('"batch_size"', '"x"').replace('"function_name"', '"funktion_name"'))
    line = await refused(daemon)

    assert 'unknown key "funktion_name", did you mean "function_name"?' in line["error"]
    assert "poller.yaml:" in line["error"]
    now = await daemon.metrics()
    assert now.value("poller_config_last_reload_successful") == 0
    assert now.value("poller_config_last_reload_success_timestamp_seconds") > 0
    status, text = await daemon.get("/readyz")
    assert (status, "[+]reload failed: the log says why, what ran goes on since " in text) == (200, True), text
    (scene.folder / "poller.yaml").unlink()
    assert "no such file" in (await refused(daemon))["error"]
    await scene.put(stream, "still read")
    await scene.ledger.has("still read", daemon=daemon)

    (scene.folder / "poller.yaml").write_text(good)
    assert (await reloaded(daemon))["stopped"] == 0
    assert "[+]reload ok since " in (await daemon.get("/readyz"))[1]
    assert (await daemon.metrics()).value("poller_config_last_reload_successful") == 1
    assert await daemon.stopped() == 0


async def test_a_handler_that_cannot_be_imported_changes_nothing(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))
    inline = {"executor": "inline", "handler": "no_such_module.handler", "code": str(scene.folder)}
    scene.configure(scene.mapping(stream), functions={"orders": inline})

    line = await refused(daemon)

    assert "no_such_module" in line["error"]
    await scene.put(stream, "still read")
    await scene.ledger.has("still read", daemon=daemon)
    assert await daemon.stopped() == 0


async def test_what_counts_at_the_start_only_needs_a_restart_and_says_so(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))
    scene.configure(scene.mapping(stream, batch_size=7), store={"url": "memory://"}, http={"listen": "127.0.0.1:1"})

    line = await reloaded(daemon)

    assert line["stopped"] == 1, "the rest of the file counts"
    assert {line["section"] for line in daemon.lines("needs_restart")} == {"store", "http"}
    assert (await daemon.get("/livez"))[0] == 200
    assert await daemon.stopped() == 0


@pytest.mark.slow
async def test_a_file_that_changes_is_read_without_being_asked_also_behind_a_link(scene: Scene) -> None:
    """As Kubernetes mounts a ConfigMap: a folder whose files are links into a folder that is swapped."""
    stream, second = await scene.stream(), await scene.stream(suffix="-second")
    mount, old, new = (scene.folder / name for name in ("mount", "..one", "..two"))
    for folder in (mount, old, new):
        folder.mkdir()
    (old / "poller.yaml").write_text(scene.configure(scene.mapping(stream)).read_text())
    both = scene.configure(scene.mapping(stream), scene.mapping(second, name="second"))
    (new / "poller.yaml").write_text(both.read_text())
    (mount / "..data").symlink_to(old)
    (mount / "poller.yaml").symlink_to(mount / "..data" / "poller.yaml")
    daemon = scene.start(mount)
    await daemon.enabled("orders")

    (mount / "..next").symlink_to(new)
    (mount / "..next").rename(mount / "..data")

    await reloaded(daemon, ask=False)
    await daemon.enabled("second")
    assert await daemon.stopped() == 0


async def test_a_storm_of_signals_is_a_few_reloads(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream))
    for _ in range(50):
        daemon.signal(signal.SIGHUP)
    await reloaded(daemon)
    assert len(daemon.lines("reloaded")) <= 10
    assert await daemon.stopped() == 0


async def test_a_mapping_that_gets_another_name_and_keeps_its_uuid_waits_for_its_former_self(scene: Scene) -> None:
    stream, uuid = await scene.stream(), "6b2f0a9e-3c51-4d0c-9c3e-2f1f4f6d1a77"
    daemon = await scene.running(scene.mapping(stream, uuid=uuid))
    await scene.put(stream, "held", do="hold")
    await scene.ledger.has("held", daemon=daemon)
    scene.configure(scene.mapping(stream, uuid=uuid, name="renamed"))
    daemon.signal(signal.SIGHUP)
    await daemon.logged("state", mapping="orders", state="Deleting")
    await scene.put(stream, "behind")

    scene.gate.touch()
    await daemon.logged("reloaded")
    await scene.ledger.has("behind", daemon=daemon)

    assert await daemon.stopped() == 0
    assert scene.ledger.ids == ["held", "behind"], "nothing is delivered twice"


@pytest.mark.slow
async def test_a_drain_comes_through_while_a_reload_waits_for_a_mapping(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream), drain_timeout=3)
    await scene.put(stream, "held", do="hold")
    await scene.ledger.has("held", daemon=daemon)
    scene.configure(scene.mapping(stream, batch_size=7), drain_timeout=3)
    daemon.signal(signal.SIGHUP)
    await daemon.logged("state", mapping="orders", state="Updating")

    assert await daemon.stopped() == 0


MAPPINGS = 10
RELOADS = 50


@pytest.mark.slow
async def test_reloads_under_load_lose_nothing_and_the_others_never_pause(scene: Scene) -> None:
    """Ten mappings on both sources, fifty reloads that change one each. What a change costs the other nine is printed."""
    streams = [await scene.stream(suffix=f"-{number}") for number in range(MAPPINGS // 2)]
    queues = [await scene.queue(suffix=f"-{number}") for number in range(MAPPINGS // 2)]

    def mappings(changed: int = -1, size: int = 10) -> list[Fields]:
        stream_mappings = [scene.mapping(arn, name=f"s{number}", batch_size=10) for number, arn in enumerate(streams)]
        all_of_them = [*stream_mappings, *(queue_mapping(arn, f"q{number}") for number, arn in enumerate(queues))]
        if changed >= 0:
            all_of_them[changed]["batch_size"] = size
        return all_of_them

    daemon = await scene.running(*mappings())
    sent: list[str] = []
    for number in range(RELOADS):
        scene.configure(*mappings(number % MAPPINGS, size=1 + number % 9))
        wave = await _feed(scene, streams, queues, number)
        sent += wave
        line = await reloaded(daemon)
        assert line["stopped"] <= 2, "the one that changes, and the one that changes back"
    await scene.ledger.has(*sent, daemon=daemon, patience=60)
    gap = _longest_gap(scene.ledger.entries)
    print(f"{RELOADS} reloads, {len(sent)} events, longest gap of a mapping that did not change: {gap:.2f} s")
    assert await daemon.stopped() == 0
    assert set(scene.ledger.ids) == set(sent)


async def _feed(scene: Scene, streams: list[str], queues: list[str], wave: int) -> list[str]:
    ids: list[str] = []
    for number, stream in enumerate(streams):
        ids.append(f"s{number}-{wave}")
        await scene.put(stream, ids[-1])
    for number, queue in enumerate(queues):
        ids.append(f"q{number}-{wave}")
        await scene.queues.send(queue, json.dumps({"id": ids[-1]}))
    return ids


def _longest_gap(entries: list[dict[str, Any]]) -> float:
    """Seconds between two deliveries of one mapping, while the mapping itself is not the one that changes."""
    at: dict[str, list[float]] = {}
    for entry in entries:
        at.setdefault(entry["id"].partition("-")[0], []).append(entry["at"])
    return max(later - earlier for times in at.values() for earlier, later in pairwise(sorted(times)))
