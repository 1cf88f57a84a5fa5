"""Programs on a leash, and the folder that they work in: neither is left behind, however this process ends, SIGKILL included."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LEASH: Final = 'exec 3<&0; { read -r _; kill -KILL 0; } <&3 & exec "$@" </dev/null 3<&-'
"""A shell script: becomes the program that its arguments name; a second process kills the group at the end of the script's input.

The input is a pipe that this process alone holds, so its end is this process's end.
"""

BROOM: Final = 'read -r _; for _ in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1" && exit; sleep 0.2; done'
"""A shell script: removes a folder at the end of its input; again, while what was killed still writes there."""

LOOK_AGAIN: Final = 0.02
TAIL_LINES: Final = 8
TAIL_BYTES: Final = 4000


class DemoFailed(Exception):
    """The demo cannot go on. The message is for the person who started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start.

    Attributes:
        name: for messages and for the log's file name.
        port: where on loopback it listens; None: nobody waits for that.
        environment: all of it, but for PATH, HOME and TMPDIR.
        folder: its current directory; None: this process's own.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int | None = None
    folder: Path | None = None


class Child:
    """A running program: the leader of a session and a process group of its own, so a terminal's Ctrl-C does not reach it."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.name = program.name
        self.log = folder / f"{program.name}.log"
        self._port = program.port
        base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "TMPDIR": str(folder)}
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  our own programs
                ["/bin/sh", "-c", LEASH, "leash", *program.command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=program.folder,
                env={**base, **program.environment},
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """As a shell has it (128 + N after signal N); None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    async def listening(self, patience: float) -> None:
        """Returns once its port answers. Raises `DemoFailed` where it ends first, or takes longer than `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not await self._answers():
                    self.check()
                    await asyncio.sleep(LOOK_AGAIN)
                return
        raise DemoFailed(f"{self.name} does not listen on port {self._port} after {patience:g} s.{self.last_words()}")

    def check(self) -> None:
        """Raises `DemoFailed` where it has ended."""
        if self.exit_code is not None:
            raise DemoFailed(f"{self.name} ended with exit code {self.exit_code}.{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, to follow a sentence."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n  ".join([" Its log ends:", *lines]) if lines else " It said nothing."

    def terminate(self) -> None:
        """SIGTERM, to the program alone."""
        self._process.terminate()

    async def ended(self, patience: float) -> int | None:
        """Its exit code, once it has ended; None where it still runs after `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.exit_code is None:  # noqa: ASYNC110  nobody tells us: the process ends by itself
                    await asyncio.sleep(LOOK_AGAIN)
        return self.exit_code

    def kill(self) -> None:
        """Ends its whole group. Returns when it is dead. The leash is in the group, so the group's number cannot be another's."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True


@contextmanager
def running(program: Program, folder: Path) -> Iterator[Child]:
    """The program, for as long as the context lasts; its log is in `folder`, NAME.log."""
    child = Child(program, folder)
    try:
        yield child
    finally:
        child.kill()


@contextmanager
def own_folder(*, keep: bool) -> Iterator[Path]:
    """A new temporary folder, which is gone afterwards unless it is to be kept."""
    folder = Path(mkdtemp(prefix="poller-demo-"))
    if keep:
        yield folder
        return
    broom = subprocess.Popen(  # noqa: S603  our own script
        ["/bin/sh", "-c", BROOM, "broom", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield folder
    finally:
        broom.communicate()
