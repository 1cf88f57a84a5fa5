"""A handler that dies in whatever way the event asks for: as that of `faults`, and in other ways. It can die on import, too."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functions.faults import FAULTS, fault, handler
else:
    from faults import FAULTS, fault, handler

__all__ = ["handler"]

ONCE = os.environ.get("DIES_ONCE")
"""A file that says how to die, the first time that it is found."""

if ONCE and Path(ONCE).exists():
    how = Path(ONCE).read_text()
    Path(ONCE).unlink()
    if how == "import_error":
        import nothing_of_this_name  # type: ignore[import-not-found]  # noqa: F401 - that is the point
    raise ValueError("no")


@fault
def allocates(event: dict[str, Any]) -> Any:
    """More than it may have, as fast as it can, until somebody notices."""
    hoard = []
    while True:
        hoard.append(b"x" * (32 * 1024 * 1024))
        time.sleep(0.02 if len(hoard) < 8 else 60)


@fault
def closes_its_socket(event: dict[str, Any]) -> Any:
    """Of the light client its channel, of others the connection with the Runtime API; and waits for what comes of it."""
    os.closerange(3, 1000)
    return FAULTS["hangs"](event) if is_light() else None


@fault
def talks_junk(event: dict[str, Any]) -> Any:
    junk = b"GET / NONSENSE\r\n\r\n, or what is it that you expect?"
    if is_light():
        os.write(int(sys.argv[1]), junk)
        return FAULTS["hangs"](event)
    host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(junk)
        connection.recv(1000)
    return None


@fault
def answers_junk(event: dict[str, Any]) -> Any:
    return b"\xff{, no JSON"


@fault
def sleeps(event: dict[str, Any]) -> Any:
    time.sleep(60)


@fault
def prints_secrets(event: dict[str, Any]) -> Any:
    print("connecting to redis://admin:hunter2@cache:6379/0")
    print('{"level": "INFO", "password": "hunter2", "url": "https://me:hunter2@example.com"}')
    print("Authorization: redis://:hunter2@cache", file=sys.stderr)


def is_light() -> bool:
    return "AWS_LAMBDA_RUNTIME_API" not in os.environ
