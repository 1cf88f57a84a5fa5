"""Real servers for tests, each a process group of its own: started when a test first asks, killed at the end of the session.

A server also dies when the test process does, however that ends: a shell holds it, and ends it at the end of its input.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import install_servers
from support.aws import AWS_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0

LEASH = '"$@" </dev/null & read -r _; kill -KILL 0'
"""A shell script: starts its arguments, waits for the end of its own input, kills its process group."""

PRELOAD = Path(__file__).with_name("listen_on_loopback.cjs")

QUICK = "2ms"
"""kinesis-local lets streams and shards change as slowly as AWS does, unless told not to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: where it answers, and where its output goes."""

    name: str
    url: str
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    name: str
    port: int
    command: list[str]
    environment: dict[str, str]


# ------------------------------------------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def aws_environment() -> Iterator[dict[str, str]]:
    """Dummy credentials and a region in this process's environment, and nothing of the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in AWS_ENVIRONMENT.items():
            patch.setenv(name, value)
        yield AWS_ENVIRONMENT


@pytest.fixture(scope="session")
def ministack(aws_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Kinesis, SQS, SNS, S3, DynamoDB, ... in one server."""
    with run_ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def kinesis_local(aws_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Kinesis alone, with resharding as it should be."""
    with run_kinesis_local(tmp_path_factory.mktemp("kinesis-local")) as server:
        yield server


# -------------------------------------------------------------------------------------------------------------------- servers


@contextmanager
def run_ministack(folder: Path) -> Iterator[Server]:
    """Runs ministack; its files and its log stay in `folder`."""
    port = free_port()
    environment = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    command = [str(Path(sys.executable).with_name("ministack"))]
    with _running(_Program(name="ministack", port=port, command=command, environment=environment), folder) as server:
        yield server


@contextmanager
def run_kinesis_local(folder: Path) -> Iterator[Server]:
    """Runs kinesis-local; its files and its log stay in `folder`."""
    if not install_servers.installed():
        pytest.fail("kinesis-local is not installed: run `python tests/support/install_servers.py`")
    port, tls_port = free_port(), free_port()
    slow = ("CREATE_STREAM", "DELETE_STREAM", "MERGE_SHARDS", "SPLIT_SHARD", "UPDATE_SHARD_COUNT", "UPDATE_STREAM_MODE")
    environment = {
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": str(tls_port),
        "KINESIS_MOCK_CERT_PATH": str(install_servers.KINESIS_LOCAL / "server.json"),
        "SHARD_LIMIT": "10000",
        "LOG_LEVEL": "WARN",
        **{f"{operation}_DURATION": QUICK for operation in slow},
    }
    main = install_servers.KINESIS_LOCAL / "main.js"
    command = [str(install_servers.node()), "--require", str(PRELOAD), str(main)]
    with _running(_Program(name="kinesis-local", port=port, command=command, environment=environment), folder) as server:
        yield server


def free_port() -> int:
    """A port of the loopback interface that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(program: _Program, folder: Path) -> Iterator[Server]:
    log = folder / f"{program.name}.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), **program.environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", LEASH, "leash", *program.command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(program, log)
        yield Server(name=program.name, url=f"http://127.0.0.1:{program.port}", log=log)
    finally:
        _kill(process)


def _wait_until_it_listens(program: _Program, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", program.port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"{program.name} does not listen after {START_TIMEOUT} s; it says:\n{log.read_text(errors='replace')[-4000:]}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT)
    if process.stdin is not None:
        process.stdin.close()
