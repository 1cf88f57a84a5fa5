"""`poller check` against servers: it finds what is wrong, and leaves everything as it was."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support.aws import AWS_ENVIRONMENT, client
from support.valkey import Valkey, running

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.scene import Scene

DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How a check ended, and what it found, as `LEVEL SUBJECT: TEXT`."""

    code: int
    found: list[str]
    remedies: list[str]

    def failed(self) -> list[str]:
        return [line for line in self.found if line.startswith("failed")]

    def warned(self) -> list[str]:
        return [line for line in self.found if line.startswith("warning")]


async def check(config: Path, *options: str, **environment: str) -> Checked:
    """`poller check` as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", "check", str(config), "--format", "json", *options),
        env={"PATH": os.environ["PATH"], **AWS_ENVIRONMENT, **environment},
        cwd=config.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert err == b"", err.decode()
    answer = json.loads(out)
    assert process.returncode is not None
    return Checked(
        code=process.returncode,
        found=[f"{each['level']} {each['subject']}: {each['text']}" for each in answer["findings"]],
        remedies=[each["remedy"] for each in answer["findings"] if each["level"] != "ok"],
    )


async def test_a_configuration_that_works_is_fine_from_end_to_end(scene: Scene) -> None:
    stream, failed, queue, dead = [
        await scene.stream(),
        await scene.queue("-failed"),
        await scene.queue("-mails"),
        await scene.queue("-dead"),
    ]
    await set_attributes(scene, queue, VisibilityTimeout="180", RedrivePolicy=redrive(dead, 4))
    await set_attributes(scene, dead, MessageRetentionPeriod=str(14 * DAY))
    mappings = (
        scene.mapping(stream, destination_config={"on_failure": {"destination": failed}}),
        {"name": "mails", "event_source_arn": queue, "function_name": "orders"},
    )
    before = set(scene.folder.iterdir())
    checked = await check(config := scene.configure(*mappings))
    assert (checked.code, checked.failed(), checked.warned()) == (0, [], [])
    name = scene.name
    assert f"ok mapping orders: stream {name}: ACTIVE, 1 open shard, keeps records for 24 h" in checked.found
    assert f"ok mapping orders: destination {name}-failed exists; sending is not tried" in checked.found
    assert f"ok mapping mails: redrive policy: after 4 deliveries to {name}-dead" in checked.found
    assert f"ok mapping mails: dead-letter queue {name}-dead exists" in checked.found
    made = set(scene.folder.iterdir()) - before
    assert made == {config, scene.ledger.path}, "the handler's module makes its ledger, nobody makes anything else"


@pytest.mark.slow
async def test_nothing_is_consumed(scene: Scene) -> None:
    queue, dead = await scene.queue(), await scene.queue("-dead")
    await set_attributes(scene, queue, RedrivePolicy=redrive(dead, 2))
    await scene.queues.send_many(queue, ["one", "two"])
    mapping = {"name": "mails", "event_source_arn": queue, "function_name": "orders"}
    for _ in range(3):
        assert (await check(scene.configure(mapping))).code == 0
    messages = await scene.queues.receive(queue)
    assert sorted(message["Body"] for message in messages) == ["one", "two"]
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in messages} == {"1"}
    assert await scene.queues.depth(dead) == 0
    assert scene.ledger.entries == []


async def test_what_does_not_exist_is_named_with_its_remedy(scene: Scene) -> None:
    queue = await scene.queue()
    dead = await scene.queue("-dead")
    await set_attributes(scene, queue, RedrivePolicy=redrive(dead, 3))
    await scene.queues.delete(dead)
    gone = {"on_failure": {"destination": "arn:aws:sqs:us-east-1:000000000000:no-such-queue"}}
    checked = await check(
        scene.configure(
            scene.mapping("arn:aws:kinesis:us-east-1:000000000000:stream/no-such-stream", destination_config=gone),
            {"name": "mails", "event_source_arn": queue, "function_name": "orders"},
        )
    )
    assert checked.code == 1
    assert checked.failed() == [
        f"failed mapping orders: stream no-such-stream does not exist ({scene.url})",
        f"failed mapping orders: destination no-such-queue does not exist ({scene.url})",
        f"failed mapping mails: dead-letter queue {scene.name}-dead does not exist: what fails for good stays in the queue",
    ]
    assert all(checked.remedies)


@pytest.mark.slow
async def test_time_outs_and_retention_that_do_not_fit_are_warnings(scene: Scene) -> None:
    queue, dead = await scene.queue(), await scene.queue("-dead")
    await set_attributes(scene, queue, VisibilityTimeout="20", RedrivePolicy=redrive(dead, 1))
    mapping = {
        "name": "mails",
        "event_source_arn": queue,
        "function_name": "orders",
        "batch_size": 100,
        "maximum_batching_window_in_seconds": 5,
    }
    stream = scene.mapping(await scene.stream(), maximum_record_age_in_seconds=7 * DAY)
    checked = await check(scene.configure(mapping, stream, store={"url": "memory://"}))
    assert (checked.code, checked.failed()) == (0, [])
    assert [line.split(":", 1)[1].split(":")[0].strip() for line in checked.warned()] == [
        "memory",
        "visibility time-out 20 s is shorter than the function's time-out 30 s",
        "maxReceiveCount is 1",
        f"dead-letter queue {scene.name}-dead keeps messages for 4 d, the queue itself for 4 d",
        "maximum_record_age_in_seconds 604800 is longer than the stream keeps records (86400 s)",
    ]
    assert "raise it to 30 s at least; AWS advises 185 s" in checked.remedies


@pytest.mark.slow
async def test_credentials_that_are_not_there_and_a_server_that_is_not_are_told_apart(scene: Scene) -> None:
    config = scene.configure(scene.mapping(await scene.stream()))
    without = await check(config, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert without.code == 1
    assert "NoCredentialsError" in without.failed()[0]
    assert without.remedies[0].startswith("give poller AWS credentials")
    nobody = scene.configure(scene.mapping(await scene.stream(suffix="-two")), aws={"endpoint_url": "http://127.0.0.1:1"})
    refused = await check(nobody)
    assert refused.code == 1
    assert "no connection to 127.0.0.1:1: ConnectionRefusedError" in refused.failed()[0]
    assert refused.remedies == ["check the network and the endpoint: http://127.0.0.1:1"]


@pytest.mark.slow
async def test_a_server_that_never_answers_ends_with_the_time_out(scene: Scene) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        checked = await check(
            scene.configure(scene.mapping("arn:aws:kinesis:us-east-1:000000000000:stream/s"), aws={"endpoint_url": url}),
            "--timeout",
            "2",
        )
    assert checked.code == 1
    [line] = checked.failed()
    assert "no answer within 2 s" in line or "Timeout" in line


@pytest.mark.slow
async def test_a_redis_store_is_asked_and_its_persistence_looked_at(scene: Scene, tmp_path: Path) -> None:
    mapping = scene.mapping(await scene.stream())
    with running(Valkey(folder=tmp_path / "forgetful")) as server:
        checked = await check(scene.configure(mapping, store={"url": server.url}))
        assert (checked.code, checked.found[0]) == (0, f"ok store: {server.url} answers")
        assert checked.found[1].startswith("warning store: the server has no append-only file")
        with server.admin() as admin:
            assert admin.dbsize() == 0
    gone = await check(scene.configure(mapping, store={"url": server.url}))
    assert gone.code == 1
    assert gone.failed()[0].startswith(f"failed store: {server.url}: ")


@pytest.mark.slow
async def test_a_redis_server_that_keeps_its_data_is_fine_and_its_password_is_not_shown(scene: Scene, tmp_path: Path) -> None:
    settings = {"appendonly": "yes", "maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with running(Valkey(folder=tmp_path / "durable", settings=settings, password="canary")) as server:
        checked = await check(scene.configure(scene.mapping(await scene.stream()), store={"url": server.url}))
    assert checked.code == 0
    assert "ok store: the server keeps an append-only file" in checked.found
    [line] = checked.warned()
    assert line == "warning store: maxmemory-policy allkeys-lru: a server that runs full may forget a mapping"
    assert "canary" not in " ".join([*checked.found, *checked.remedies])


async def set_attributes(scene: Scene, queue: str, **attributes: str) -> None:
    async with client("sqs", scene.url) as sqs:
        url = (await sqs.get_queue_url(QueueName=queue.rpartition(":")[2]))["QueueUrl"]
        await sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def redrive(dead: str, receives: int) -> str:
    return json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": receives})
