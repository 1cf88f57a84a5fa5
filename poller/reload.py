"""Where new configurations come from: the file, looked at again on SIGHUP and when its content has changed."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Protocol

from poller.config.load import files_of
from poller.observe.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from poller.config import Config
    from poller.errors import ConfigError
    from poller.observe.metrics import Metrics
    from poller.ports import Clock

LOOK = 5.0
"""Seconds between looks at the files. Polling sees what inotify does not: the swapped link of a mounted ConfigMap."""

log = logger()


class Reloads(Protocol):
    """New configurations, one at a time."""

    async def next(self) -> Config:
        """Waits for one. Raises `ConfigError` where it is wrong."""

    def succeeded(self, config: Config) -> None:
        """It runs."""

    def failed(self, error: ConfigError) -> None:
        """It does not; what ran goes on."""


class FileReloads:
    """A `Reloads` over a file or folder. Any number of requests while one is under way are one.

    `read` reads it anew; it takes a while, so it runs in a thread.
    """

    def __init__(self, path: Path, read: Callable[[], Config], metrics: Metrics, clock: Clock) -> None:
        self._path = path
        self._read = read
        self._metrics = metrics
        self._clock = clock
        self._asked = asyncio.Event()
        self._seen = fingerprint(path)
        metrics.reloaded(clock.time())

    def ask(self) -> None:
        """Read it again, whether or not it has changed."""
        self._asked.set()

    async def next(self) -> Config:
        """See `Reloads.next`."""
        await self._request()
        self._asked.clear()
        self._seen = await asyncio.to_thread(fingerprint, self._path)
        return await asyncio.to_thread(self._read)

    def succeeded(self, config: Config) -> None:
        """See `Reloads.succeeded`."""
        del config
        self._metrics.reloaded(self._clock.time())

    def failed(self, error: ConfigError) -> None:
        """See `Reloads.failed`."""
        self._metrics.reloaded(None)
        log.error("reload_failed", error=str(error), remedy="mend the file; what ran goes on")

    async def _request(self) -> None:
        """Until somebody asks, or the content changes."""
        while not self._asked.is_set():
            try:
                async with asyncio.timeout(LOOK):
                    await self._asked.wait()
            except TimeoutError:
                if await asyncio.to_thread(fingerprint, self._path) != self._seen:
                    return


def fingerprint(path: Path) -> str:
    """A digest of all that would be read; of what cannot be read, that it cannot."""
    digest = hashlib.sha256()
    try:
        files = files_of(path) if path.is_dir() else [path]
    except OSError as error:
        return repr(error)
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            content = repr(error).encode()
        digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()
