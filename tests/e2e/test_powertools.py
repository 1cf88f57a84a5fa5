"""A handler as people have it on Lambda, with aws-lambda-powertools' batch utility, unchanged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from e2e.scene import FUNCTIONS

if TYPE_CHECKING:
    from e2e.scene import Scene
    from support.daemon import Daemon


async def test_powertools_batch_processor_runs_unchanged_and_the_record_it_reports_is_found_and_told(scene: Scene) -> None:
    stream, queue = await scene.stream(), await scene.queue()
    await scene.put(stream, 1, 2)
    [(_, broken)] = await scene.streams.put_many(stream, [("key", b"no JSON")])
    await scene.put(stream, 4, 5)
    function = {
        "executor": "process",
        "runtime": "python",
        "handler": "app.lambda_handler",
        "code": str(FUNCTIONS / "powertools"),
        "timeout": 30,
    }
    mapping = scene.mapping(
        stream,
        maximum_retry_attempts=1,
        bisect_batch_on_function_error=True,
        destination_config={"on_failure": {"destination": queue}},
    )
    daemon = await scene.running(mapping, functions={"orders": function})

    document = json.loads((await scene.queues.take(queue, 1))[0])
    await daemon.logged("batch", outcome="success", records=2)
    assert await daemon.stopped() == 0

    assert document["KinesisBatchInfo"]["startSequenceNumber"] == document["KinesisBatchInfo"]["endSequenceNumber"] == broken
    assert document["KinesisBatchInfo"]["batchSize"] == 1
    assert document["responseContext"]["functionError"] == "Unhandled", "the processor raises where all of a batch has failed"
    assert [(line["records"], line["outcome"]) for line in daemon.lines("batch")] == [
        (5, "partial"),  # 3 is reported
        (3, "partial"),  # 3 is reported, and the first: it is split off
        (1, "failed"),
        (1, "failed"),
        (2, "success"),
    ]
    batches = {line["request_id"]: line["records"] for line in daemon.lines("batch")}
    assert [(each["order"], batches[each["function_request_id"]]) for each in _printed(daemon)] == [
        *((order, 5) for order in (1, 2, 4, 5)),
        *((order, 3) for order in (4, 5)),
        *((order, 2) for order in (4, 5)),
    ]
    assert {each["key"] for each in _printed(daemon)} == {"key"}
    assert {each["function_name"] for each in _printed(daemon)} == {"orders"}


def _printed(daemon: Daemon) -> list[dict[str, Any]]:
    """What the handler's logger has printed of its orders."""
    lines = daemon.lines("function", function="orders", stream="stdout")
    return [line["json"] for line in lines if "json" in line and line["json"]["message"] == "order"]
