"""One worker of a pool: what the pool asks of it, and what it knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from poller.core.model import Refused
from poller.executors import payloads
from poller.executors.channel import Reply
from poller.executors.child import Ended

if TYPE_CHECKING:
    from asyncio import Future
    from pathlib import Path

    from poller.executors.launch import Initialization
    from poller.executors.memory import Watched
    from poller.executors.worker import Call

State = Literal["starting", "idle", "busy", "resting", "leaving"]
"""`resting`: it has answered, and cannot be asked again yet. `leaving`: it was asked to end."""


@dataclass(frozen=True, slots=True)
class Unstarted:
    """There is no such program, or no process can have its environment."""

    reason: str


Trouble = Refused | Unstarted | Ended | Reply
"""Why there is no worker. A `Reply` says that the handler could not be loaded."""


class Worker(Protocol):
    """What is needed of a worker; `poller.executors.child.Child` is one, and says in full what holds."""

    @property
    def alive(self) -> bool:
        """Whether it can be asked for anything more."""

    @property
    def ready(self) -> bool:
        """Whether it can be asked now."""

    @property
    def group(self) -> int:
        """Its process group."""

    @property
    def folder(self) -> Path:
        """Its temporary folder."""

    @property
    def dead(self) -> Future[Ended]:
        """How it ended, once it has."""

    def reply(self, seconds: float) -> Future[Reply | Ended]:
        """Its first reply, or its end."""

    def ask(self, call: Call, event: bytes, seconds: float) -> Future[Reply | Ended]:
        """Begins an invocation: its reply, or its end."""

    def rest(self) -> None:
        """It has nothing to do any more."""

    def stop(self, cause: Literal["stopped", "itself", "oom"] = "stopped", detail: str = "") -> None:
        """Kills it."""

    def dismiss(self, seconds: float) -> None:
        """Asks it to end, and kills it after so many seconds."""


class Keeper(Protocol):
    """Who is told what becomes of a worker: see `poller.executors.child.Keeper`."""

    def ready(self, child: Worker) -> None:
        """It can be asked again."""

    def buried(self, child: Worker, ended: Ended) -> None:
        """It is dead."""


class Source(Protocol):
    """Where workers come from."""

    def start(self, initialization: Initialization, keeper: Keeper) -> Worker:
        """Starts one. Raises OSError where there is no such program or no room, ValueError for an impossible environment."""

    def clear(self, folder: Path) -> None:
        """A worker is dead: the folder that it has left behind goes."""

    async def cleared(self) -> None:
        """Returns when everything is gone that is to go."""


@dataclass(slots=True, eq=False, kw_only=True)
class Post:
    """A worker in its pool.

    Attributes:
        started_at: by the pool's monotonic clock.
        cold: it was started for an invocation that has not begun yet.
        invocations: how many it has answered.
        idle_since: when it last had nothing to do any more.
        why: what was wrong with its handler, when it could not be loaded.
        ended: how it ended.
    """

    worker: Worker
    watched: Watched
    started_at: float
    state: State = "starting"
    cold: bool = False
    invocations: int = 0
    idle_since: float = 0.0
    why: str = ""
    ended: Ended | None = None


def described(ended: Ended) -> str:
    """How a worker ended, in a few words for a log."""
    match ended.cause:
        case "timeout":
            return "it ran out of time"
        case "oom":
            return "it ran out of memory"
        case "channel":
            return ended.detail
        case "itself" | "stopped":
            return payloads.how_it_ended(ended.status)
