"""A file as an on-failure destination: a line of JSON for each batch or message that was given up."""

from __future__ import annotations

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from poller.destinations.journal import Rotation, append
from poller.errors import MappingError, Unavailable
from poller.telling import tell

if TYPE_CHECKING:
    from pathlib import Path

    from poller.core.report import Report, Shortened
    from poller.errors import PollerError

__all__ = ["FileDestination", "Rotation"]

BRIEFLY: Final = 0.005
"""Who writes has the file for itself, for a few milliseconds: it is looked at so often."""

PATIENCE: Final = 30.0
"""Seconds for one line. A bad disk takes some for an fsync; one that never answers must be told of, not waited for."""

REMEDIES: Final = {
    errno.ENOENT: "create its folder",
    errno.ENOTDIR: "create its folder",
    errno.EACCES: "let poller's user write there",
    errno.EPERM: "let poller's user write there",
    errno.EROFS: "name a file on a disk that can be written to",
    errno.EISDIR: "name a file, not a folder",
    errno.EINVAL: "name a regular file",
    errno.ELOOP: "mend its symbolic links",
    errno.ENAMETOOLONG: "name a file with a shorter name",
}
"""What only a person can put right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDestination:
    """A `Destination`. Any number of mappings and processes of one host may name the same file."""

    path: Path
    rotation: Rotation
    include_payload: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False, compare=False)
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "file-destination"), init=False, repr=False, compare=False
    )

    @property
    def kind(self) -> Literal["file"]:
        """For metrics."""
        return "file"

    async def send(self, report: Report) -> Shortened | None:
        """One line for each report, on the disk when this returns."""
        return await tell(report, self._append, payload=self.include_payload)

    async def _append(self, line: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._appended(line):  # noqa: ASYNC110  a lock of another process tells nobody that it is free
                    await asyncio.sleep(BRIEFLY)
        except TimeoutError:
            said = f"{self.path}: nothing written for {PATIENCE:g} s: the disk does not answer, or somebody has the file locked"
            raise Unavailable("append", "timeout", said) from None
        except OSError as error:
            raise trouble(self.path, error) from error

    async def _appended(self, line: bytes) -> bool:
        """False where somebody else writes just now.

        Off the loop, in a thread of its own, for a disk may take seconds; one at a time, also where nobody waits for it any more:
        a disk that hangs must not gather lines behind it.
        """
        await self._turn.acquire()
        try:
            written = asyncio.get_running_loop().run_in_executor(self._thread, append, self.path, line, self.rotation)
        except RuntimeError:  # no more threads for this process
            self._turn.release()
            raise
        written.add_done_callback(self._next)
        try:
            await asyncio.shield(written)
        except BlockingIOError:
            return False
        return True

    def _next(self, written: asyncio.Future[None]) -> None:
        """The next one's turn. What this came to is looked at also where nobody waits for it any more: asyncio would log it."""
        self._turn.release()
        if not written.cancelled():
            written.exception()


def trouble(path: Path, error: OSError) -> PollerError:
    """The error of ours that says what to do about a file that cannot be written."""
    said = f"{error.filename2 or path}: {error.strerror or error}"  # the second is one that it was to be put aside as
    remedy = REMEDIES.get(error.errno or 0)
    if remedy is not None:
        return MappingError(f"append: {said}; {remedy}")
    return Unavailable("append", "server", said)
