"""`poller import --from-aws` on a server that has event source mappings of Lambda's."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import yaml
from support.aws import AWS_ENVIRONMENT, client

if TYPE_CHECKING:
    from e2e.scene import Scene

ROLE = "arn:aws:iam::000000000000:role/lambda"


async def poller(*arguments: str, scene: Scene) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", *arguments),
        env={"PATH": os.environ["PATH"], **AWS_ENVIRONMENT},
        cwd=scene.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def create_function(lambdas: Any, name: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", "def handler(event, context):\n    return None\n")
    await lambdas.create_function(
        FunctionName=name,
        Role=ROLE,
        Runtime="python3.12",
        Handler="app.handler",
        Timeout=20,
        MemorySize=256,
        Environment={"Variables": {"PASSWORD": "canary", "TABLE": "orders"}},
        Code={"ZipFile": archive.getvalue()},
    )


async def test_the_mappings_of_an_account_come_over_and_can_be_validated(scene: Scene) -> None:
    stream, queue, failed = await scene.stream(), await scene.queue("-mails"), await scene.queue("-failed")
    async with client("lambda", scene.url) as lambdas:
        await create_function(lambdas, scene.name)
        made = [
            await lambdas.create_event_source_mapping(
                FunctionName=scene.name,
                EventSourceArn=stream,
                StartingPosition="TRIM_HORIZON",
                BatchSize=50,
                MaximumRetryAttempts=3,
                Enabled=False,
                DestinationConfig={"OnFailure": {"Destination": failed}},
            ),
            await lambdas.create_event_source_mapping(
                FunctionName=scene.name,
                EventSourceArn=queue,
                Enabled=False,
                FunctionResponseTypes=["ReportBatchItemFailures"],
                FilterCriteria={"Filters": [{"Pattern": '{"body": {"id": [1]}}'}]},
            ),
        ]
        try:
            code, out, err = await poller("import", "--from-aws", "--endpoint-url", scene.url, "-o", "made.yaml", scene=scene)
            assert (code, out) == (0, ""), err
        finally:
            for mapping in made:
                await lambdas.delete_event_source_mapping(UUID=mapping["UUID"])
            await lambdas.delete_function(FunctionName=scene.name)
    text = (scene.folder / "made.yaml").read_text()
    print(text)
    assert "canary" not in text
    assert "PASSWORD, TABLE" in text
    assert (scene.folder / "made.yaml").stat().st_mode & 0o077 == 0
    config = yaml.safe_load(text)
    function = config["functions"][scene.name]
    assert (function["handler"], function["timeout"], function["memory_size"]) == ("app.handler", 20, 256)
    mappings = {each["event_source_arn"]: each for each in config["event_source_mappings"]}
    assert mappings[stream] == {
        "name": f"{scene.name}-{scene.name}",
        "event_source_arn": stream,
        "function_name": scene.name,
        "enabled": False,
        "batch_size": 50,
        "starting_position": "TRIM_HORIZON",
        "maximum_retry_attempts": 3,
        "destination_config": {"on_failure": {"destination": failed}},
    }
    assert mappings[queue]["function_response_types"] == ["ReportBatchItemFailures"]
    assert mappings[queue]["filter_criteria"] == {"filters": [{"pattern": '{"body": {"id": [1]}}'}]}
    assert (await poller("validate", "made.yaml", scene=scene))[0] == 0


async def test_an_account_that_cannot_be_asked_is_told(scene: Scene) -> None:
    code, out, err = await poller("import", "--from-aws", "--endpoint-url", "http://127.0.0.1:1", scene=scene)
    assert (code, out) == (1, "")
    assert err.startswith("poller import: error: ListEventSourceMappings: this account: EndpointConnectionError")
