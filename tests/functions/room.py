"""Process executors under observation: what they tell, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from poller.executors.process import Lifecycle, ProcessExecutor, ProcessSpec
from poller.testing.executors import SOON, SystemClock, invocation

if TYPE_CHECKING:
    from poller.core.model import Answer
    from poller.ports import WorkerCount, WorkerEnd

FUNCTIONS = Path(__file__).parent
MARK = "POLLER_TEST_MARK"
LIFECYCLE = ("provisioned_concurrency", "idle_timeout", "maximum_invocations", "maximum_age")


class Recorder:
    """Notes what an executor tells."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str | None]] = []
        self.ends: list[str] = []
        self.starts = 0
        self.failed_starts: list[str] = []
        self.waits: list[tuple[int, float]] = []
        self.count: Callable[[], WorkerCount] | None = None

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        self.lines.append((stream, line, request_id))

    def initialised(self, seconds: float) -> None:
        assert seconds > 0
        self.starts += 1

    def not_initialised(self, why: Literal["failed", "refused"]) -> None:
        self.failed_starts.append(why)

    def ended(self, reason: WorkerEnd) -> None:
        self.ends.append(reason)

    def backing_off(self, failures: int, seconds: float) -> None:
        self.waits.append((failures, seconds))

    def workers(self, count: Callable[[], WorkerCount]) -> None:
        self.count = count


class Room:
    """An executor whose processes can be found by a mark in their environment, wherever they have gone."""

    def __init__(self, executor: ProcessExecutor, events: Recorder, mark: str) -> None:
        self.executor = executor
        self.events = events
        self._mark = f"{MARK}={mark}".encode()

    async def invoke(self, fault: str = "none", *, seconds: float = 20.0, request_id: str = "r", **event: Any) -> Answer:
        return await self.executor.invoke(invocation({"fault": fault, **event}, seconds=seconds, request_id=request_id))

    def processes(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found


MakeRoom = Callable[..., contextlib.AbstractAsyncContextManager[Room]]


def rooms(temporary: Path) -> MakeRoom:
    """Makes rooms that must be as they were when they are left: no process, no descriptor, no folder more.

    `temporary` is where `tempfile` makes its folders.
    """

    @asynccontextmanager
    async def enter(handler: str = "faults.handler", code: Path = FUNCTIONS, **options: Any) -> AsyncIterator[Room]:
        mark, events = uuid.uuid4().hex, Recorder()
        environment = {MARK: mark, **options.pop("environment", {})}
        given = {name: options.pop(name) for name in LIFECYCLE if name in options}
        limits = {name: options[name] for name in ("maximum_concurrency", "memory_size") if name in options}
        spec = ProcessSpec(name="faulty", handler=handler, code=code, environment=environment, **options)
        descriptors = open_descriptors()
        async with ProcessExecutor(spec, events, SystemClock(), Lifecycle(**given, **limits)) as executor:
            room = Room(executor, events, mark)
            yield room
        assert room.processes() == []
        assert open_descriptors() == descriptors
        assert list(temporary.iterdir()) == []  # noqa: ASYNC240 - nothing waits for it

    return enter


def open_descriptors() -> list[int]:
    """The files that this process has open, found without opening one."""
    found = []
    for descriptor in range(1024):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.append(descriptor)
    return found


async def until(condition: Callable[[], bool], within: float = SOON) -> None:
    """Waits for what other processes bring about."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)
