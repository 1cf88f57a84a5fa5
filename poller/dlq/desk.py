"""What all work on a dead-letter queue needs, how it goes on where a call fails, and what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from poller.errors import PollerError, Unavailable
from poller.retry import transport_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from poller.ports import Clock, Rng
    from poller.services import DeadLetterApi

T = TypeVar("T")

TRIES: Final = 6
"""Of a call that fails for reasons that pass; then the command gives up, and says so."""

PASSING: Final = frozenset({"throttled", "server", "timeout", "connection"})

UNANSWERED: Final = frozenset({"server", "timeout", "connection"})
"""After these the call may have had its effect."""


class CannotDo(PollerError):
    """It cannot be done, or not as asked; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a command works.

    Attributes:
        queue_arn: the dead-letter queue.
        say: tells people what happens meanwhile: one line, without its end.
    """

    api: DeadLetterApi
    queue_arn: str
    clock: Clock
    rng: Rng
    say: Callable[[str], None]

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order of its groups."""
        return self.queue_arn.endswith(".fifo")

    async def persist(self, call: Callable[[], Coroutine[Any, Any, T]], *, unanswered: Callable[[], None] = lambda: None) -> T:
        """The answer of a call that may be made again. `unanswered` is told of each try that may have had its effect."""
        for failures in range(1, TRIES):
            try:
                return await call()
            except Unavailable as error:
                if error.kind not in PASSING:
                    raise
                if error.kind in UNANSWERED:
                    unanswered()
                await asyncio.sleep(error.retry_after or transport_wait(failures, self.rng))
        return await call()


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done so far. It stays true when the work is cut off.

    Attributes:
        seen: messages that were looked at.
        unwanted: of them those that the filter does not want.
        meant: of them those that this is about.
        done: those that are where they should be, and out of the dead-letter queue.
        left: why others are still there, and how many for each reason.
        twice: ids of messages that were sent on and could not be deleted: they are in both queues.
        doubtful: messages whose sending got no answer and was repeated: a standard queue may have them twice.
        samples: the first few messages that are meant.
    """

    seen: int = 0
    unwanted: int = 0
    meant: int = 0
    done: int = 0
    left: Counter[str] = field(default_factory=Counter)
    twice: set[str] = field(default_factory=set)
    doubtful: int = 0
    samples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether all that was meant is done."""
        return not self.left and not self.twice

    def document(self) -> dict[str, object]:
        """For programs."""
        return {
            "seen": self.seen,
            "unwanted": self.unwanted,
            "meant": self.meant,
            "done": self.done,
            "left": dict(self.left),
            "sent_and_not_deleted": sorted(self.twice),
            "doubtful": self.doubtful,
            "samples": self.samples,
        }


async def finished(job: Coroutine[Any, Any, T]) -> T:
    """Its result. A cancellation waits until it has ended, and only then is raised; a second one cuts it off."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(caught(job))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
    return opened(task.result())


def opened(result: T | PollerError) -> T:
    """What `caught` kept."""
    if isinstance(result, PollerError):
        raise result
    return result


async def caught(job: Coroutine[Any, Any, T]) -> T | PollerError:
    """An error as a result: a task group would wrap it."""
    try:
        return await job
    except PollerError as error:
        return error
