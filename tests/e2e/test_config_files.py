"""Configurations as people write them: the wrong ones start nothing, the ones that we show run."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from support.aws import AWS_ENVIRONMENT
from support.install_servers import node
from support.valkey import Valkey, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.scene import Scene

ROOT = Path(__file__).parents[2]
EX_CONFIG = 78
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"


def _run(config: Path) -> subprocess.CompletedProcess[str]:
    """`poller run` until it gives up."""
    command = [sys.executable, "-m", "poller", "run", "-c", str(config)]
    environment = {"PATH": os.environ["PATH"], **AWS_ENVIRONMENT}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=20, check=False)


def _refused(config: Path) -> str:
    """What `poller run` says on stderr, when it refuses the configuration and has made nothing beside it."""
    before = sorted(config.parent.iterdir())
    done = _run(config)
    assert (done.returncode, done.stdout) == (EX_CONFIG, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(config.parent.iterdir()) == before, "it has started something"
    return done.stderr


def test_every_mistake_of_a_file_is_said_at_once_with_its_place_and_nothing_is_started(scene: Scene) -> None:
    config = scene.configure(scene.mapping(STREAM, bach_size=50, maximum_retry_attempts=-2, function_name="other"))

    said = _refused(config)

    assert f"{config}:{_line_of(config, 'bach_size')}:" in said
    assert 'unknown key "bach_size", did you mean "batch_size"?' in said
    assert "maximum_retry_attempts" in said
    assert '"other"' in said
    assert said.splitlines()[-1] == "3 errors"


def _line_of(path: Path, key: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if f'"{key}"' in line)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "nothing.yaml" in _refused(tmp_path / "nothing.yaml")


def test_a_port_that_is_taken_is_said(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", scene.port)):
        said = _refused(scene.configure(scene.mapping(STREAM)))
    assert f"http.listen 127.0.0.1:{scene.port}: " in said


def test_an_inline_handler_that_is_not_there_is_said(scene: Scene) -> None:
    inline = {"executor": "inline", "handler": "nowhere.handler", "code": str(scene.folder)}
    said = _refused(scene.configure(scene.mapping(STREAM), functions={"orders": inline}, store={"url": "memory://"}))
    assert "nowhere" in said


def test_a_store_that_cannot_be_opened_is_said(scene: Scene) -> None:
    said = _refused(scene.configure(scene.mapping(STREAM), store={"url": "sqlite:///no/such/folder/poller.db"}))
    assert "no/such/folder" in said


async def test_the_configuration_of_the_readme_runs(scene: Scene) -> None:
    text, sources = await _with_own_sources(scene, _yaml_of((ROOT / "README.md").read_text()))
    stream = sources["orders"]
    queue = yaml.safe_load(text)["event_source_mappings"][0]["destination_config"]["on_failure"]["destination"]
    config = _with_own_endpoints(scene, text)
    shutil.copytree(ROOT / "config" / "functions", scene.folder / "functions")
    daemon = scene.start(config)
    for mapping in sources:
        await daemon.enabled(mapping)

    [(_, good), (_, bad)] = await scene.streams.put_many(stream, [("key", b'{"id": 17}'), ("key", b"no order")])
    await daemon.logged("batch", outcome="partial", records=2, first_sequence=good, last_sequence=bad)
    await daemon.logged("function", line="orders: 17")
    [body] = await scene.queues.take(queue, 1)
    assert bad in body
    assert await daemon.stopped() == 0
    assert (scene.folder / "poller.db").exists()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Valkey]:
    """For the sample that needs one; its URL holds a password."""
    with running(Valkey(folder=tmp_path / "valkey", password="hunter2")) as started:
        yield started


SAMPLES = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))
SLOW = {"node.yaml", "poller.yaml", "queue.yaml", "redis.yaml"}
"""The configuration of the README is much like `poller.yaml`; tests of their own have Node, and the store of `redis.yaml`."""

MAIL = json.dumps({"to": "a@example.com", "subject": "hello"})
SHIPMENT = json.dumps({"id": 17, "city": "Ulm"})
FEED = {"orders": SHIPMENT, "mails": MAIL, "news": MAIL, "receipts": MAIL, "payments": "250", "shipments": SHIPMENT}
"""A record for each mapping of the samples, which its handler takes."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SAMPLES])
async def test_the_sample_configurations_run_as_they_are(scene: Scene, name: str, request: pytest.FixtureRequest) -> None:
    text, sources = await _with_own_sources(scene, (ROOT / "config" / name).read_text())
    shutil.copytree(ROOT / "config" / "functions", scene.folder / "functions")
    url = request.getfixturevalue("store").url if "STORE_URL" in text else ""
    path = f"{node().parent}:{os.environ['PATH']}"
    daemon = scene.start(_with_own_endpoints(scene, text), AWS_ENDPOINT_URL=scene.url, STORE_URL=url, PATH=path)
    for mapping in sources:
        await daemon.enabled(mapping)

    for mapping, arn in sources.items():
        await _feed(scene, arn, FEED[mapping])
    for mapping in sources:
        await daemon.logged("batch", mapping=mapping, outcome="success", records=1)
    assert await daemon.stopped() == 0
    assert "hunter2" not in daemon.log.read_text()


@pytest.mark.slow
async def test_a_secret_is_in_no_output_of_a_run(scene: Scene, store: Valkey) -> None:
    (scene.folder / "url").write_text(f"{store.url}\n")
    (scene.folder / "token").write_text("hunter2\n")
    function = scene.function({"environment_file": {"KEY": "token"}}, TOKEN="hunter2")
    mapping = scene.mapping(await scene.stream())
    daemon = await scene.running(
        mapping, functions={"orders": function}, store={"url_file": "url"}, log={"level": "debug", "format": "json"}
    )
    await scene.put(mapping["event_source_arn"], 17)
    await daemon.logged("batch", outcome="success")

    (scene.folder / "poller.yaml").write_text(
        'store: {url: "redis://:hunter2@nowhere/x"}\nfunctions: {orders: {environment: [hunter2\n'
    )
    await daemon.logged("reload_failed")
    pages = [(await daemon.get(path))[1] for path in ("/metrics", "/livez", "/readyz", "/startupz")]
    assert await daemon.stopped() == 0
    printed = [daemon.log.read_text(), daemon.log.with_suffix(".stdout").read_text(), *pages]
    assert [text for text in printed if "hunter2" in text] == []
    assert "poller_build_info" in pages[0]


async def _with_own_sources(scene: Scene, sample: str) -> tuple[str, dict[str, str]]:
    """The sample with streams and queues that exist, and the source of each of its mappings."""
    text = sample
    for arn in sorted(set(re.findall(r"arn:aws:(?:kinesis|sqs):[^\s\"]+", sample)), key=len, reverse=True):
        suffix = f"-{re.split('[:/]', arn)[-1]}"
        made = await (scene.stream(suffix=suffix) if ":kinesis:" in arn else scene.queue(suffix))
        text = text.replace(arn, made)
    mappings = yaml.safe_load(text)["event_source_mappings"]
    return text, {mapping["name"]: mapping["event_source_arn"] for mapping in mappings}


async def _feed(scene: Scene, arn: str, body: str) -> None:
    if ":kinesis:" in arn:
        await scene.streams.put_many(arn, [("key", body.encode())])
    else:
        await scene.queues.send(arn, body, group="group" if arn.endswith(".fifo") else None)


def _with_own_endpoints(scene: Scene, text: str) -> Path:
    """The configuration, with this scene's server in the place of AWS, a port of its own, and polls that a drain can wait for."""
    config = yaml.safe_load(text)
    for mapping in config["event_source_mappings"]:
        mapping.update({"receive_wait": 1} if ":sqs:" in mapping["event_source_arn"] else {})
    config["aws"] = {"endpoint_url": scene.url} | {key: value for key, value in config.get("aws", {}).items() if value}
    config["http"] = {"listen": f"127.0.0.1:{scene.port}"}
    path = scene.folder / "poller.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _yaml_of(page: str) -> str:
    [block] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(block)
