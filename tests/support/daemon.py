"""A daemon as its operator has it: the real process, its log, its pages, and the signals it gets.

Nothing here waits for time to pass: it waits for a line of the log, a value on a page, or the end of the process, each by a
deadline. A daemon dies with the test that started it, however the test ends: a shell on a leash kills it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from support.aws import AWS_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 15.0
"""Seconds that a daemon gets to do what it is expected to do, on a machine with other work."""

LOOK_AGAIN = 0.01

LEASH = 'read -r _; kill -s KILL -- "-$0" 2>/dev/null'
"""A shell script: kills the process group of its name when its input ends."""

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Metrics:
    """One scrape."""

    samples: tuple[tuple[str, dict[str, str], float], ...]

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that carry these labels; 0.0 where there is none."""
        return sum(value for sample, given, value in self.samples if sample == name and labels.items() <= given.items())

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is a sample of this name that carries these labels."""
        return any(sample == name and labels.items() <= given.items() for sample, given, _ in self.samples)


class Daemon:
    """One process of `poller run`."""

    def __init__(self, config: Path, *, port: int, environment: dict[str, str] | None = None) -> None:
        self.port = port
        self.log = config.with_name(f"daemon-{time.monotonic_ns()}.log")
        self._read = 0
        self._lines: list[Line] = []
        self.strange: list[str] = []
        """What was on stderr and is no line of the log: the tracebacks of the interpreter, for example."""
        with self.log.open("wb") as output, self.log.with_suffix(".stdout").open("wb") as printed:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "poller", "run", "-c", str(config), "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=output,
                cwd="/",
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **AWS_ENVIRONMENT, **(environment or {})},
                start_new_session=True,
            )
        leash = ["/bin/sh", "-c", LEASH, str(self.process.pid)]
        self._leash = subprocess.Popen(leash, stdin=subprocess.PIPE, start_new_session=True)

    # -------------------------------------------------------------------------------------------------------------- its log

    def lines(self, event: str, **fields: object) -> list[Line]:
        """Its log so far: the lines of this event that carry these fields."""
        self._read_on()
        return [line for line in self._lines if line["event"] == event and fields.items() <= line.items()]

    async def logged(self, event: str, *, count: int = 1, patience: float = PATIENCE, **fields: object) -> list[Line]:
        """Waits for so many lines of this event with these fields, and returns them. Fails at once when the daemon has ended."""
        found: list[Line] = []

        def enough() -> bool:
            found[:] = self.lines(event, **fields)
            return len(found) >= count

        await self.until(enough, f"{count} x {event} {fields} in the log", patience)
        return found

    async def enabled(self, mapping: str = "orders") -> None:
        """Waits until the mapping reports enabled."""
        await self.logged("state", mapping=mapping, state="Enabled")

    async def until(self, happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Waits for something that this daemon does. Fails with the end of its log."""
        deadline = time.monotonic() + patience
        while not happened():
            alive = self.process.poll() is None
            if not alive and happened():
                return
            assert alive, f"the daemon ended with {self.process.returncode} before: {what}\n{self.tail()}"
            assert time.monotonic() < deadline, f"not after {patience} s: {what}\n{self.tail()}"
            await asyncio.sleep(LOOK_AGAIN)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-6000:]

    def _read_on(self) -> None:
        with self.log.open("rb") as log:
            log.seek(self._read)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                self._lines.append(json.loads(line))
            except ValueError:
                self.strange.append(line.decode(errors="replace"))

    # ------------------------------------------------------------------------------------------------------------ its pages

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its pages."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def metrics(self) -> Metrics:
        """What /metrics says now."""
        status, text = await self.get("/metrics")
        assert status == 200, text
        families = text_string_to_metric_families(text)
        return Metrics(tuple((s.name, s.labels, s.value) for family in families for s in family.samples))

    async def measured(self, wanted: Callable[[Metrics], bool], what: str, patience: float = PATIENCE) -> Metrics:
        """Scrapes until the metrics are as wanted, and returns them."""
        deadline = time.monotonic() + patience
        while not wanted(metrics := await self.metrics()):
            assert time.monotonic() < deadline, f"not after {patience} s: {what}\n{self.tail()}"
            await asyncio.sleep(5 * LOOK_AGAIN)
        return metrics

    # -------------------------------------------------------------------------------------------------------------- its end

    def signal(self, number: signal.Signals) -> None:
        """To the daemon alone, as a service manager does it."""
        self.process.send_signal(number)

    async def ended(self, patience: float = PATIENCE) -> int:
        """Waits for its end; returns its exit code."""
        deadline = time.monotonic() + patience
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it still runs after {patience} s\n{self.tail()}"
            await asyncio.sleep(LOOK_AGAIN)
        return self.process.returncode

    async def stopped(self, patience: float = PATIENCE) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(patience)

    def kill(self) -> None:
        """SIGKILL, as `kill -9` and the kernel's out-of-memory killer send it. Returns when it is dead."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        """Whatever the test left of it goes."""
        if self.process.poll() is None:
            self.kill()
        self._leash.kill()
        self._leash.wait(PATIENCE)
        if self._leash.stdin is not None:
            self._leash.stdin.close()
        self._read_on()


def exists(pid: int) -> bool:
    """Whether there is such a process, and it is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


async def gone(pids: set[int], patience: float = 5.0) -> None:
    """Waits until none of these processes is left. Kills what is, and fails."""
    deadline = time.monotonic() + patience
    while left := {pid for pid in pids if exists(pid)}:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"still alive after {patience} s: {left}")
        await asyncio.sleep(LOOK_AGAIN)
