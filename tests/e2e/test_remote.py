"""Functions that run elsewhere: the daemon feeds them, and the commands know them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import zipfile
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from support.aws import AWS_ENVIRONMENT, client
from support.rie import PATH, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from e2e.scene import Fields, Scene

pytestmark = pytest.mark.slow

HANDLER = """
import json

def handler(event, context):
    ids = [json.loads(each["body"])["id"] for each in event["Records"]]
    print("took", *ids)
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in event["Records"] if "bad" in each["body"]]}
"""


@asynccontextmanager
async def emulator(refusals: int) -> AsyncIterator[tuple[str, list[Any]]]:
    """Behind the emulator's path: a function that is busy at first. Yields its URL and the ids that it took."""
    taken: list[Any] = []
    left = refusals

    async def invoke(request: web.Request) -> web.Response:
        nonlocal left
        records = json.loads(await request.read())["Records"]
        left -= 1
        if left >= 0:
            return web.Response(status=400)
        taken.extend(json.loads(record["body"])["id"] for record in records)
        return web.Response(text="null")

    async with served(invoke) as url:
        yield url + PATH, taken


@asynccontextmanager
async def of_lambda(url: str, name: str) -> AsyncIterator[Fields]:
    """A function of Lambda, as it is configured here."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", HANDLER)
    async with client("lambda", url) as aws:
        await aws.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/lambda",
            Handler="app.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=20,
        )
        yield {"executor": "lambda", "function_name": name, "timeout": 30}


async def command(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """A command as a process of its own: its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", *arguments),
        env={"PATH": os.environ["PATH"], **AWS_ENVIRONMENT},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_queue_feeds_an_emulator_and_refusals_spend_nothing(scene: Scene) -> None:
    queue, dead_letters = await scene.redriven(1)
    await scene.send(queue, *range(5))
    async with emulator(refusals=2) as (url, taken):
        functions = {"orders": {"executor": "http", "url": url, "timeout": 10}}
        daemon = await scene.running(scene.queue_mapping(queue), functions=functions)
        await scene.emptied(queue)
        now = await daemon.metrics()
        assert await daemon.stopped() == 0
    assert sorted(taken) == list(range(5))
    assert await scene.queues.depth(dead_letters) == 0
    assert now.value("poller_invocations_total", mapping="orders", outcome="throttled") == 2
    assert now.value("poller_concurrency_limit", function="orders") == 1


async def test_a_queue_feeds_a_function_of_lambda_whose_log_comes_back(scene: Scene) -> None:
    queue, dead_letters = await scene.redriven(1)
    async with of_lambda(scene.url, scene.name) as function:
        daemon = await scene.running(scene.queue_mapping(queue, release="at_once"), functions={"orders": function})
        await scene.send(queue, 1, "bad")
        await scene.emptied(queue)
        await daemon.until(lambda: printed(daemon.lines("function")) == {"1", "bad"}, "its log is there")
        assert await daemon.stopped() == 0
    assert await scene.queues.take(dead_letters, 1) == ['{"id": "bad"}']


def printed(lines: list[Any]) -> set[str]:
    return {taken for line in lines for taken in line["line"].removeprefix("took ").split()}


async def test_check_and_invoke_know_them(scene: Scene) -> None:
    async with emulator(refusals=0) as (url, taken), of_lambda(scene.url, scene.name) as function:
        functions = {
            "here": {"executor": "http", "url": url},
            "gone": {"executor": "http", "url": "http://127.0.0.1:1/"},
            "there": function,
            "short": function | {"timeout": 3},
            "nobody": function | {"function_name": f"{scene.name}-none"},
        }
        config = scene.configure(functions=functions)
        code, out, _ = await command("check", str(config), "--format", "json", folder=scene.folder)
        found = {f"{each['level']} {each['subject']}: {each['text']}" for each in json.loads(out)["findings"]}
        where, name = url.split("/")[2], scene.name
        assert code == 1
        assert found >= {
            f"ok function here: {where} takes connections (rie); it is not invoked",
            f"ok function there: Lambda function {name} may be invoked ({scene.url}); it is not",
            "ok function there: its Timeout is 20 s",
            "warning function short: timeout 3 is shorter than its own Timeout, 20 s: what still runs would be invoked again",
            f"failed function nobody: Lambda function {name}-none does not exist ({scene.url})",
            "failed function gone: no connection to 127.0.0.1:1: Connect call failed ('127.0.0.1', 1)",
        }
        assert taken == []

        event = '{"Records": [{"messageId": "m", "body": "{\\"id\\": 7}"}]}'
        code, out, err = await command("invoke", "here", "-c", str(config), "--payload", event, folder=scene.folder)
        assert (code, out, taken) == (0, "null\n", [7])
        code, out, err = await command("invoke", "there", "-c", str(config), "--payload", event, folder=scene.folder)
        assert (code, json.loads(out)) == (0, {"batchItemFailures": []})
        assert "\ntook 7\n" in err
