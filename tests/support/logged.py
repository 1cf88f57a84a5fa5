"""Runs a few lines of a program in a process of its own, and gives back what it logged."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

PRELUDE = """
import asyncio, logging, sys, warnings
from poller.observe.logs import configure, logger
"""


def logged(program: str, **environment: str) -> tuple[bytes, str]:
    """Stderr and stdout of a process whose stderr is a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        capture_output=True,
        check=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    return done.stderr, done.stdout.decode()


def lines(program: str) -> list[dict[str, Any]]:
    """The JSON lines that it writes."""
    return [orjson.loads(line) for line in logged(program)[0].splitlines()]


def at_a_terminal(program: str, **environment: str) -> str:
    """What a process writes whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program], stderr=theirs, env={**os.environ, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    text = b"".join(_until_closed(ours))
    os.close(ours)
    assert process.wait(timeout=60) == 0, text
    return text.decode().replace("\r\n", "\n")


def _until_closed(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux says EIO when the last process has closed the other side
            return
        if not chunk:
            return
        yield chunk
