"""What a running daemon tells those who ask: probes and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2e.scene import Scene


async def test_the_pages_of_a_daemon_at_work(scene: Scene) -> None:
    stream = await scene.stream(shards=2)
    await scene.put(stream, "ok")
    daemon = await scene.running(scene.mapping(stream))
    await daemon.logged("check_passed", check="config")
    await daemon.logged("batch", outcome="success")

    assert await daemon.get("/livez") == (200, "ok\n")
    for page in ("/readyz", "/startupz"):
        status, text = await daemon.get(page)
        assert (status, sorted(text.splitlines()[:-1])) == (200, ["[+]config ok", "[+]store ok"])
    assert (await daemon.get("/nothing"))[0] == 404
    now = await daemon.metrics()
    assert now.value("poller_ready") == 1
    assert now.value("poller_store_up") == 1
    assert now.value("poller_mapping_state", mapping="orders", state="Enabled") == 1
    assert now.value("poller_leases_owned", mapping="orders") == 2
    assert now.value("poller_pollers", mapping="orders") == 2
    assert now.value("poller_invocations_total", mapping="orders", outcome="success") == 1
    assert now.value("poller_events_polled_total", mapping="orders") == 1
    assert now.value("poller_invocation_duration_seconds_count", mapping="orders") == 1
    assert now.value("poller_init_duration_seconds_count", function="orders") == 1
    assert now.value("poller_checkpoints_total", mapping="orders", outcome="ok") == 1
    assert now.value("process_open_fds") > 0
    for never in ("poller_events_dropped_total", "poller_source_api_errors_total", "poller_worker_restarts_total"):
        assert now.value(never) == 0
        assert now.has(never) or never == "poller_source_api_errors_total"
    assert await daemon.stopped() == 0


async def test_the_log_of_a_batch_joins_what_the_function_printed_and_saw(scene: Scene) -> None:
    stream = await scene.stream()
    daemon = await scene.running(scene.mapping(stream, maximum_retry_attempts=0))
    [(shard, sequence)] = await scene.put(stream, "poison", do="raise")

    [line] = await daemon.logged("batch")
    [entry] = scene.ledger.entries
    expected = {
        "level": "warning",
        "mapping": "orders",
        "shard": shard,
        "records": 1,
        "attempt": 1,
        "outcome": "failed",
        "kind": "function_error",
        "error": "ValueError: no such order: poison",
        "request_id": entry["request_id"],
        "first_sequence": sequence,
        "last_sequence": sequence,
    }
    assert expected.items() <= line.items()
    printed = await daemon.logged("function", request_id=entry["request_id"])
    assert "ValueError: no such order: poison" in "\n".join(each["line"] for each in printed)
    [dropped] = await daemon.logged("dropped")
    assert (dropped["reason"], dropped["shard"], dropped["records"]) == ("RetryAttemptsExhausted", shard, 1)
    assert "cG9pc29u" not in daemon.tail(), "no payload"
    assert await daemon.stopped() == 0
