"""The sample of a function in a container: what can be known of it without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from poller.clock import SystemClock
from poller.config import Config, HttpFunctionConfig, load

FOLDER = Path(__file__).parents[2] / "deploy" / "functions"
HADOLINT = Path(sys.executable).with_name("hadolint")


def configured() -> Config:
    return load(FOLDER / "poller.yaml", SystemClock(), environ={})


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return document


def test_poller_asks_the_container_beside_it_in_time() -> None:
    function = configured().functions["orders"]
    assert isinstance(function, HttpFunctionConfig)
    services = read("compose.yaml")["services"]
    assert (function.spoken, function.concurrency) == ("rie", 1)
    assert urlsplit(function.url).hostname in services
    assert int(services["orders"]["environment"]["AWS_LAMBDA_FUNCTION_TIMEOUT"]) < function.timeout
    assert f"poller.yaml:{'/etc/poller/poller.yaml'}:ro" in services["poller"]["volumes"][0]


def test_both_containers_of_the_pod_are_confined_and_the_function_outlives_poller() -> None:
    pod = read("sidecar.yaml")["spec"]
    (function,), (poller,) = pod["initContainers"], pod["containers"]
    assert function["restartPolicy"] == "Always"
    for container in (function, poller):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["terminationGracePeriodSeconds"] >= configured().drain_timeout + 30


def test_the_handler_reports_what_it_cannot_take() -> None:
    space: dict[str, Any] = {}
    exec(compile((FOLDER / "app.py").read_text(), "app.py", "exec"), space)
    records = [{"messageId": "a", "body": '{"id": 1}'}, {"messageId": "b", "body": "no"}, {"messageId": "c", "body": "[]"}]
    assert space["handler"]({"Records": records}, SimpleNamespace(aws_request_id="r")) == {
        "batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]
    }


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint has no wheel for this platform")
def test_the_dockerfile_is_clean() -> None:
    found = subprocess.run([HADOLINT, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
