"""Configurations as people write them: the wrong ones start nothing, the ones that we show run."""

from __future__ import annotations

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

if TYPE_CHECKING:
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
    text = _yaml_of((ROOT / "README.md").read_text())
    stream, queue = await scene.stream(), await scene.queue()
    text = text.replace("arn:aws:kinesis:eu-west-1:123456789012:stream/orders", stream)
    text = text.replace("arn:aws:sqs:eu-west-1:123456789012:orders-failed", queue)
    assert "123456789012" not in text
    config = _with_own_endpoints(scene, text)
    shutil.copytree(ROOT / "config" / "functions", scene.folder / "functions")
    daemon = scene.start(config)
    await daemon.enabled()

    [(_, good), (_, bad)] = await scene.streams.put_many(stream, [("key", b'{"id": 17}'), ("key", b"no order")])
    await daemon.logged("batch", outcome="partial", records=2, first_sequence=good, last_sequence=bad)
    await daemon.logged("function", line="orders: 17")
    [body] = await scene.queues.take(queue, 1)
    assert bad in body
    assert await daemon.stopped() == 0
    assert (scene.folder / "poller.db").exists()


@pytest.mark.parametrize("name", [pytest.param("poller.yaml", marks=pytest.mark.slow), "inline.yaml"])
async def test_the_sample_configurations_run_as_they_are(scene: Scene, name: str) -> None:
    sample = (ROOT / "config" / name).read_text()
    stream = await scene.stream()
    text = re.sub(r"arn:aws:kinesis:[a-z0-9-]+:\d+:stream/orders", stream, sample)
    assert text != sample
    shutil.copytree(ROOT / "config" / "functions", scene.folder / "functions")
    daemon = scene.start(_with_own_endpoints(scene, text), AWS_ENDPOINT_URL=scene.url)
    await daemon.enabled()

    await scene.streams.put_many(stream, [("key", b'{"id": 17}')])
    await daemon.logged("batch", outcome="success", records=1)
    assert await daemon.stopped() == 0


def _with_own_endpoints(scene: Scene, text: str) -> Path:
    """The configuration, with this scene's server in the place of AWS and a port of its own."""
    config = yaml.safe_load(text)
    config["aws"] = {"endpoint_url": scene.url} | {key: value for key, value in config.get("aws", {}).items() if value}
    config["http"] = {"listen": f"127.0.0.1:{scene.port}"}
    path = scene.folder / "poller.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _yaml_of(page: str) -> str:
    [block] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(block)
