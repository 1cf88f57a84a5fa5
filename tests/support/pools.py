"""A pool of workers that do what a script says, by the loop's own time: no process, and no waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from poller.core.model import Refused
from poller.executors.channel import Reply
from poller.executors.child import Ended
from poller.executors.lifecycle import Lifecycle
from poller.executors.memory import MemoryWatch, Sample
from poller.executors.pool import Pool
from poller.executors.post import Post
from poller.executors.starting import Start
from poller.executors.worker import RAISED, READY, RETURNED
from poller.testing.doubles import RecordedEvents
from support.virtual import VirtualClock

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncIterator, Callable, Mapping

    from poller.executors.launch import Initialization
    from poller.executors.post import Keeper, Trouble
    from poller.executors.worker import Call

How = Literal["ready", "raises", "dies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of a worker.

    Attributes:
        how: it becomes ready, its handler cannot be loaded, or it dies, `after` so many seconds.
        stubborn: it does not end when it is asked to.
        pause: seconds after an answer in which it cannot be asked again.
    """

    how: How = "ready"
    after: float = 0.2
    stubborn: bool = False
    pause: float = 0.0


class ScriptedWorker:
    """A `Worker`. Asked for `b"returns 2"` it answers in 2 s; for `b"dies 1"` it dies in 1 s; `b"hangs 9"`: it is killed."""

    def __init__(self, number: int, plan: Plan, keeper: Keeper) -> None:
        self.group = number
        self.folder = Path(f"/folder/of/{number}")
        self.dead: Future[Ended] = asyncio.get_running_loop().create_future()
        self.initialization = ""
        self._plan = plan
        self._keeper = keeper
        self._cause: Literal["itself", "timeout", "oom", "stopped"] | None = None
        self._answer: Future[Reply | Ended] | None = None
        self._resting = False
        self._later = asyncio.get_running_loop().call_later

    @property
    def alive(self) -> bool:
        return self._cause is None

    @property
    def ready(self) -> bool:
        return self.alive and self._answer is None and not self._resting

    def reply(self, seconds: float) -> Future[Reply | Ended]:
        kind = {"ready": READY, "raises": RAISED, "dies": b""}[self._plan.how]
        return self._in(self._plan.after, kind, b'{"errorType":"ImportError","errorMessage":"no module"}')

    def ask(self, call: Call, event: bytes, seconds: float) -> Future[Reply | Ended]:
        assert self.ready
        how, _, after = event.decode().partition(" ")
        if how == "hangs":
            self._later(float(after), self.stop, "timeout")
        return self._in(float(after), {"returns": RETURNED, "raises": RAISED, "dies": b"", "hangs": b"-"}[how], b"{}")

    def rest(self) -> None:
        if self._plan.pause and self.alive:
            self._resting = True
            self._later(self._plan.pause, self._rested)

    def stop(self, cause: Literal["stopped", "itself", "oom", "timeout"] = "stopped", detail: str = "") -> None:
        if self._cause is None:
            self._cause = cause
            self._later(0.0, self._die)

    def dismiss(self, seconds: float) -> None:
        if self._cause is None:
            self._cause = "stopped"
            self._later(seconds if self._plan.stubborn else 0.0, self._die)

    def _in(self, seconds: float, kind: bytes, payload: bytes) -> Future[Reply | Ended]:
        self._answer = answer = asyncio.get_running_loop().create_future()
        if kind == b"":
            self._later(seconds, self.stop, "itself")
        elif kind != b"-":
            self._later(seconds, self._reply, Reply(kind, payload, 0, seconds, 0))
        return answer

    def _reply(self, reply: Reply) -> None:
        if self.alive and self._answer is not None:
            answer, self._answer = self._answer, None
            if not answer.done():
                answer.set_result(reply)

    def _rested(self) -> None:
        self._resting = False
        if self.alive:
            self._keeper.ready(self)

    def _die(self) -> None:
        if self.dead.done():
            return
        ended = Ended(self._cause or "itself", 1 if self._cause == "itself" else -9)
        self._keeper.buried(self, ended)
        self.dead.set_result(ended)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(ended)


class ScriptedSource:
    """A `Source`: the next worker does what the next plan says, or raises it; without one it is as `usual`."""

    def __init__(self) -> None:
        self.plans: deque[Plan | Exception] = deque()
        self.usual: Plan | Exception = Plan()
        self.workers: list[ScriptedWorker] = []
        self.started: list[tuple[float, str]] = []
        self.cleared_folders: list[Path] = []

    @property
    def living(self) -> list[int]:
        """The numbers of those that have not died."""
        return [each.group for each in self.workers if not each.dead.done()]

    def start(self, initialization: Initialization, keeper: Keeper) -> ScriptedWorker:
        self.started.append((asyncio.get_running_loop().time(), initialization))
        plan = self.plans.popleft() if self.plans else self.usual
        if isinstance(plan, Exception):
            raise plan
        worker = ScriptedWorker(len(self.workers) + 1, plan, keeper)
        self.workers.append(worker)
        return worker

    def clear(self, folder: Path) -> None:
        self.cleared_folders.append(folder)

    async def cleared(self) -> None:
        assert len(self.cleared_folders) == len(self.workers)


@dataclass(slots=True)
class Scale:
    """Memory as the script says, by group; each look takes so long, and as much of a CPU."""

    sizes: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    looks: list[float] = field(default_factory=list)

    def measure(self, limits: Mapping[int, int]) -> Future[Sample]:
        loop = asyncio.get_running_loop()
        self.looks.append(loop.time())
        sample: Future[Sample] = loop.create_future()
        sizes = {group: self.sizes.get(group, 0) for group in limits}
        loop.call_later(self.seconds, sample.set_result, Sample(sizes, self.seconds))
        return sample


class Yard:
    """A pool, and all that it knows of the world."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.source = ScriptedSource()
        self.events = RecordedEvents()
        self.scale = Scale()
        self.memory = MemoryWatch(self.scale.measure)
        self.pool = Pool(
            Start(source=self.source, lifecycle=lifecycle, events=self.events, clock=VirtualClock(), memory=self.memory)
        )

    async def use(self, event: str = "returns 1") -> str:
        """One invocation: which worker answered, how it died, or why there was none."""
        post = await self.pool.take()
        if not isinstance(post, Post):
            return said(post)
        reply = await post.worker.ask(None, event.encode(), 900.0)  # type: ignore[arg-type]  # the script does not look
        post.worker.rest()
        if isinstance(reply, Ended):
            return said(post.ended or reply)
        self.pool.give_back(post)
        return str(post.worker.group)

    async def together(self, *events: str) -> list[str]:
        """Invocations at the same time."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.use(event)) for event in events]
        return [task.result() for task in tasks]


def said(trouble: Trouble) -> str:
    """What was wrong, in a word."""
    if isinstance(trouble, Ended):
        return trouble.cause
    return "refused" if isinstance(trouble, Refused) else type(trouble).__name__.lower()


@asynccontextmanager
async def yard(prepare: Callable[[Yard], None] | None = None, **lifecycle: float | None) -> AsyncIterator[Yard]:
    """A yard that is empty when it is left."""
    here = Yard(Lifecycle(**lifecycle))  # type: ignore[arg-type]  # a test names what it needs
    if prepare is not None:
        prepare(here)
    try:
        yield here
    finally:
        await here.pool.close()
    assert here.source.living == []
