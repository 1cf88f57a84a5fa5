"""Changes of a DynamoDB table, from the server through the daemon to the function, and to the documents of what fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from e2e.test_commands_check import check
from support.aws import tables

if TYPE_CHECKING:
    from e2e.scene import Fields, Scene
    from support.servers import Server

SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

HANDLER = """
import json, os

def handler(event, context):
    failing = [r for r in event["Records"] if "poison" in r["dynamodb"].get("NewImage", {})]
    with open(os.environ["LEDGER"], "a") as ledger:
        for record in event["Records"]:
            entry = {"id": record["dynamodb"]["Keys"]["id"]["S"], "record": record, "worker": os.getpid()}
            ledger.write(json.dumps(entry) + "\\n")
    if failing:
        raise RuntimeError("poison")
"""


def function(scene: Scene) -> Fields:
    code = scene.folder / "code"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(HANDLER)
    return scene.function({"code": str(code)})


def kinds(scene: Scene) -> list[tuple[str, str]]:
    return [(entry["id"], entry["record"]["eventName"]) for entry in scene.ledger.entries]


def item(name: str, **more: Any) -> Fields:
    return {"id": {"S": name}} | more


@pytest.mark.rule("dynamodb.event.shape")
@pytest.mark.rule("dynamodb.document")
async def test_changes_reach_the_function_and_what_fails_a_document(scene: Scene, ministack: Server) -> None:
    async with tables(ministack.url) as made:
        stream, failed = await made.create(scene.name), await scene.queue("-failed")
        mapping = scene.mapping(
            stream,
            maximum_retry_attempts=0,
            function_response_types=[],
            filter_criteria={"filters": [{"pattern": '{"dynamodb": {"Keys": {"id": {"S": [{"anything-but": "unwanted"}]}}}}'}]},
            destination_config={"on_failure": {"destination": failed}},
        )
        await made.put(stream, item("a", n={"N": "1"}, b={"B": b"\x00\xff"}))
        daemon = await scene.running(mapping, functions={"orders": function(scene)})
        await scene.ledger.has("a", daemon=daemon)
        await made.put(stream, item("unwanted"))
        await made.put(stream, item("a", n={"N": "2"}))
        await made.remove(stream, item("a"))
        await scene.ledger.until(lambda ids: ids == ["a"] * 3, daemon)
        await made.put(stream, item("p", poison={"BOOL": True}))
        (body,) = await scene.queues.take(failed, 1)
        assert await daemon.stopped() == 0
    first, second, third, _ = [entry["record"] for entry in scene.ledger.entries]
    assert [each["eventName"] for each in (first, second, third)] == ["INSERT", "MODIFY", "REMOVE"]
    assert (first["eventSource"], first["eventSourceARN"]) == ("aws:dynamodb", stream)
    assert first["dynamodb"]["NewImage"] == item("a", n={"N": "1"}, b={"B": "AP8="})
    assert second["dynamodb"]["OldImage"]["n"] == {"N": "1"}
    assert "NewImage" not in third["dynamodb"]
    info = json.loads(body)["DDBStreamBatchInfo"]
    assert (info["batchSize"], info["streamArn"]) == (1, stream)
    assert SECONDS.fullmatch(info["approximateArrivalOfFirstRecord"])
    assert SECONDS.fullmatch(info["approximateArrivalOfLastRecord"])


@pytest.mark.slow
@pytest.mark.rule("stream.start.resume-from-checkpoint")
@pytest.mark.rule("dynamodb.start.latest-is-lossless")
async def test_a_mapping_goes_on_where_it_was_also_before_its_first_record(scene: Scene, ministack: Server) -> None:
    async with tables(ministack.url) as made:
        stream = await made.create(scene.name)
        await made.put(stream, item("old"))
        mapping = scene.mapping(stream, starting_position="LATEST", function_response_types=[])
        functions = {"orders": function(scene)}
        (await scene.running(mapping, functions=functions)).kill()
        await made.put(stream, item("while it was dead"))
        heir = await scene.running(mapping, functions=functions)
        await scene.ledger.has("while it was dead", daemon=heir)
        assert await heir.stopped() == 0
        await made.put(stream, item("while it was down"))
        last = await scene.running(mapping, functions=functions)
        await scene.ledger.has("while it was down", daemon=last)
    mine = [each for each in kinds(scene) if each[0] != "old"]  # the boundary is kept to some seconds
    assert mine == [("while it was dead", "INSERT"), ("while it was down", "INSERT")]
    assert await last.stopped() == 0


async def test_check_tells_of_the_stream(scene: Scene, ministack: Server) -> None:
    async with tables(ministack.url) as made:
        stream = await made.create(scene.name, view="KEYS_ONLY")
        config = scene.configure(scene.mapping(stream, function_response_types=[]), functions={"orders": function(scene)})
        found = (await check(config)).found
        await made.stop_stream(stream)
        stopped = (await check(config)).found
    shown = f"stream of table {scene.name}: ENABLED, keeps records for 24 h; of items it shows the key alone (KEYS_ONLY)"
    assert f"ok mapping orders: {shown}" in found
    assert f"ok mapping orders: stream of table {scene.name}: positions can be had; reading is not tried" in found
    assert any(each.startswith(f"failed mapping orders: stream of table {scene.name}: DISABLED") for each in stopped)
