"""`poller demo` as somebody has it who has just installed it: what it says, how it ends, what it leaves behind."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.daemon import exists, gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0
FIRST_OUTPUT = 10.0
LOOK_AGAIN = 0.02

SUMMARY = re.compile(
    r"^(orders-\w+) +fed ([\d,]+), processed ([\d,]+), retried ([\d,]+), dead-lettered ([\d,]+), still there ([\d,]+)$",
    re.MULTILINE,
)


class Demo:
    """One process of `poller demo`; its temporary folder is made in `folder`."""

    def __init__(self, folder: Path, *options: str, terminal: int | None = None) -> None:
        self.folder = folder
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "poller", "demo", "--metrics-port", "0", *options],
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=output if terminal is None else terminal,
                stderr=subprocess.STDOUT if terminal is None else terminal,
                env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), "TERM": "xterm", "AWS_PROFILE": "not-there"},
                start_new_session=True,
                preexec_fn=None if terminal is None else take_the_terminal,  # noqa: PLW1509  no other thread holds a lock here
            )

    @property
    def said(self) -> str:
        """Its output so far."""
        return self._output.read_text()

    async def says(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Waits until its output has this."""
        found: list[re.Match[str] | None] = [None]

        def happened() -> bool:
            found[0] = re.search(pattern, self.said, re.MULTILINE)
            return found[0] is not None

        await self.until(happened, pattern, patience)
        assert found[0] is not None
        return found[0]

    async def until(self, happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Waits for something that it does."""
        deadline = time.monotonic() + patience
        while not happened():
            alive = self.process.poll() is None and time.monotonic() < deadline
            assert alive or happened(), f"not after {patience} s, or it has ended: {what}\n{self.said}"
            await asyncio.sleep(LOOK_AGAIN)

    async def ended(self, patience: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, patience)

    def processes(self) -> dict[int, str]:
        """All that runs on its behalf: it works in the demo's folder, or has that in its environment or arguments."""
        mark = str(self.folder / "poller-demo-").encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (process / "cmdline").read_bytes()
                place = os.fsencode((process / "cwd").readlink())
                if mark in command + b" " + place + b" " + (process / "environ").read_bytes():
                    found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def child(self, module: str) -> int:
        """The process that runs this module."""
        [found] = [pid for pid, command in self.processes().items() if command.startswith(f"{sys.executable} -m {module}")]
        return found

    def folders(self) -> list[Path]:
        """What it has made where temporary folders go."""
        return sorted(self.folder.glob("poller-demo-*"))

    async def leaves_nothing(self) -> None:
        """Waits until no process and no folder of its is left."""
        await gone(set(self.processes()))
        deadline = time.monotonic() + PATIENCE
        while left := self.folders():
            assert time.monotonic() < deadline, f"still there: {left}"
            await asyncio.sleep(LOOK_AGAIN)
        assert self.processes() == {}


def take_the_terminal() -> None:
    """Makes standard input the controlling terminal, so that Ctrl-C becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    """A demo that writes to a file; it ends with the context."""
    running = Demo(folder, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(PATIENCE)


def figures(said: str) -> dict[str, list[int]]:
    """The summary: fed, processed, retried, dead-lettered and still there, by mapping."""
    return {name: [int(each.replace(",", "")) for each in numbers] for name, *numbers in SUMMARY.findall(said)}


@pytest.mark.slow
async def test_it_shows_both_mappings_at_work_sums_up_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path, "--seconds", "12") as it:
        await it.says("^starting ministack", FIRST_OUTPUT)
        await it.says(r"^metrics: http://127\.0\.0\.1:\d+/metrics$")
        started = " ".join(it.processes().values())
        assert all(each in started for each in ("-m ministack", "valkey-server", "-m poller run"))
        await it.says(r"^00:\d\d  orders-stream [\d,]+ processed, \d+/s in, age [\d.]+ s, \d+ retries, [1-9]\d* dead \| ")
        assert await it.ended() == 0
        await it.leaves_nothing()
    assert "poller drained, exit code 0" in it.said
    assert len(re.findall(r"^00:\d\d  ", it.said, re.MULTILINE)) >= 3
    told = figures(it.said)
    assert set(told) == {"orders-stream", "orders-queue"}
    for fed, processed, retried, dead, _ in told.values():
        assert fed > 300
        assert processed > fed / 4
        assert retried > 0
        assert processed + dead <= fed
    assert told["orders-stream"][3] > 0
    assert told["orders-queue"][3] > 0


@pytest.mark.slow
async def test_on_a_terminal_a_table_is_kept_up_to_date_until_ctrl_c(tmp_path: Path) -> None:
    with terminal(tmp_path) as it:
        await it.says("starting ministack", FIRST_OUTPUT)
        await it.says(r"processed +[1-9]")
        await it.says(r"orders-stream +orders-queue")
        await it.says(r"metrics  http://127\.0\.0\.1:\d+/metrics")
        await it.says(r"log      \d\d:\d\d:\d\d ")
        it.press(b"\x03")
        assert await it.ended() == 0
        await it.leaves_nothing()
        said = it.said
    assert len(re.findall(r"^poller demo  00:\d\d ", said, re.MULTILINE)) >= 3, "it was drawn again and again"
    assert "poller drained, exit code 0" in said
    assert figures(said)["orders-stream"][1] > 0
    assert it.raw.rfind(b"\x1b[?25h") > it.raw.rfind(b"\x1b[?25l") > 0, "the cursor is shown again"


async def test_after_kill_9_nothing_is_left_either(tmp_path: Path) -> None:
    with demo(tmp_path) as it:
        await it.says("^metrics: ")
        assert len(it.processes()) >= 4
        it.process.kill()
        await it.ended()
        await it.leaves_nothing()


async def test_a_signal_ends_it_while_it_starts(tmp_path: Path) -> None:
    with demo(tmp_path) as it:
        await it.says("^starting ministack", FIRST_OUTPUT)
        it.process.terminate()
        assert await it.ended() == 0
        await it.leaves_nothing()
    assert "stopped before anything ran" in it.said


@pytest.mark.slow
async def test_a_server_that_dies_is_told_with_its_log(tmp_path: Path) -> None:
    with demo(tmp_path) as it:
        await it.says("^00:")
        os.kill(it.child("ministack"), signal.SIGKILL)
        assert await it.ended() == 1
        await it.leaves_nothing()
    assert "poller demo: error: ministack ended with exit code 137." in it.said
    assert "Traceback" not in it.said.partition("Its log ends")[0]


@pytest.mark.slow
async def test_a_daemon_that_dies_is_told_with_its_log(tmp_path: Path) -> None:
    with demo(tmp_path) as it:
        await it.says("^00:")
        os.kill(it.child("poller run"), signal.SIGKILL)
        assert await it.ended() == 1
        await it.leaves_nothing()
    assert "poller demo: error: poller ended with exit code 137. Its log ends:\n" in it.said


@pytest.mark.slow
async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with demo(tmp_path) as it:
        await it.says("^00:")
        os.kill(daemon := it.child("poller run"), signal.SIGSTOP)  # so it does not drain
        it.process.send_signal(signal.SIGINT)
        await it.says("poller drains$")
        with suppress(ProcessLookupError):
            while it.process.poll() is None:  # a second signal right behind the first counts as the first
                it.process.send_signal(signal.SIGINT)
                await asyncio.sleep(LOOK_AGAIN)
        assert await it.ended() == 128 + signal.SIGINT
        await it.leaves_nothing()
    assert not exists(daemon)


@pytest.mark.slow
async def test_the_folder_can_be_kept(tmp_path: Path) -> None:
    with demo(tmp_path, "--seconds", "1", "--keep") as it:
        assert await it.ended() == 0
        assert it.processes() == {}
    [kept] = it.folders()
    assert f"kept: {kept}" in it.said
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*")}
    assert {"poller.yaml", "functions/orders/app.py", "poller.log", "ministack.log", "valkey.log"} <= names


class OnTerminal(Demo):
    """A demo on a terminal of its own, 30 lines of 100 columns."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        os.set_blocking(self._master, False)
        super().__init__(folder, *options, terminal=slave)
        os.close(slave)
        self.raw = b""

    @property
    def said(self) -> str:
        """What was on the terminal so far, one picture after the other, without what moves the cursor or colours."""
        with suppress(OSError):  # nothing there for now, or nobody on the other side any more
            while piece := os.read(self._master, 65536):
                self.raw += piece
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\r", b"", self.raw).decode()

    def press(self, keys: bytes) -> None:
        """As if somebody typed."""
        os.write(self._master, keys)

    def close(self) -> None:
        os.close(self._master)


@contextmanager
def terminal(folder: Path, *options: str) -> Iterator[OnTerminal]:
    """A demo on a terminal; it ends with the context."""
    running = OnTerminal(folder, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(PATIENCE)
        running.close()
