"""One pass over a queue: each message once, and all that was taken given back at its end.

It is as good as SQS: a standard queue shows about what is in it, and a message that somebody else has in hand cannot be seen. Of
a FIFO queue only the first ten or so of each group can be seen as long as they are in hand: SQS hands out nothing behind them.
Each message spends one receive of its count.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from poller.dlq.desk import CannotDo, caught, finished, opened
from poller.dlq.hands import ENTRIES, HIDDEN, Hands
from poller.dlq.letters import Letter
from poller.errors import PollerError
from poller.services import Receive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from poller.dlq.desk import Desk
    from poller.ports import QueueDescription
    from poller.services import SqsMessage

WAIT: Final = 1
"""Seconds of the long poll that says that a queue is empty: one that does not wait asks only some of SQS's servers."""

MARGIN: Final = 5.0
"""Seconds, after which what a dead command had in hand should have come back."""

EMPTY: Final = 3
"""Receives in vain while SQS says that there is something."""

STALE: Final = 20
"""Receives that bring only what came before: SQS forgets faster than we read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a pass goes.

    Attributes:
        size: messages of one receive, 1 to 10.
        width: receives side by side; of FIFO queues there is only one.
        patient: waits for what a command before this one may still have in hand.
        force: goes on although looking alone may drive messages out of this queue, by its own redrive policy.
    """

    size: int = ENTRIES
    width: int = 1
    patient: bool = False
    force: bool = False


@asynccontextmanager
async def reading(desk: Desk, course: Course) -> AsyncIterator[Reading]:
    """A pass, for as long as the context lasts."""
    made = Reading(desk, course, await desk.persist(lambda: desk.api.describe_queue(desk.queue_arn)))
    failed: PollerError | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in made.jobs()]
        try:
            yield made
        except PollerError as error:  # a task group would wrap it
            failed = error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await made.hands.release()
    if failed is not None:
        raise failed


class Reading:
    """A pass.

    Attributes:
        hands: what it has in hand.
        at_first: what the queue said of itself when the pass began.
        elsewhere: messages that others had in hand at its end, about.
        behind: messages of a FIFO queue that it could not see for others of their groups, about.
    """

    def __init__(self, desk: Desk, course: Course, at_first: QueueDescription) -> None:
        self._desk = desk
        self._course = course
        self._known: set[str] = set()
        self._ready: asyncio.Queue[list[Letter] | PollerError] = asyncio.Queue(maxsize=1)
        self._ended = False
        self._flowing = True  # while messages come nobody waits for them; once none came, one receive does
        self._stale = 0
        self._empty = 0
        self._waiting_since: float | None = None
        self.hands = Hands(desk)
        self.at_first = at_first
        self.elsewhere = 0
        self.behind = 0

    def jobs(self) -> Iterable[asyncio._CoroutineLike[None]]:
        """What goes on meanwhile. Of a FIFO queue nothing is read ahead: what is in hand hides what follows."""
        return [self.hands.keep()] if self._desk.fifo else [self.hands.keep(), self._read_on()]

    async def more(self) -> list[Letter]:
        """Those that come next, in hand from now on. Empty: the pass is over. Ask again only when done with the last."""
        if self._ended:
            return []
        letters = await (caught(self._next()) if self._desk.fifo else self._ready.get())
        self._ended = not letters or isinstance(letters, PollerError)
        return opened(letters)

    async def _read_on(self) -> None:
        more = True
        while more:
            letters = await caught(self._next())
            more = isinstance(letters, list) and bool(letters)
            await self._ready.put(letters)

    async def _next(self) -> list[Letter]:
        while self._stale < STALE:
            received = await finished(self._receive())
            new = await finished(self._sorted(received))
            self._check(new)
            if new:
                self._stale = self._empty = 0
                self._flowing = True
                return new
            if received:
                self._stale += 1
            elif self._flowing:
                self._flowing = False
            elif await self._over():
                break
        return []

    async def _receive(self) -> list[Letter]:
        asked_at = self._desk.clock.monotonic()
        async with asyncio.TaskGroup() as group:
            receives = [group.create_task(caught(self._desk.persist(self._ask))) for _ in range(self._width)]
        letters = [Letter(raw) for receive in receives for raw in opened(receive.result())]
        self.hands.hold([letter for letter in letters if letter.id not in self.hands.gone], asked_at)
        return letters

    @property
    def _width(self) -> int:
        return self._course.width if self._flowing and not self._desk.fifo else 1

    async def _ask(self) -> Sequence[SqsMessage]:
        receive = Receive(limit=self._course.size, wait=0 if self._flowing else WAIT, visibility=HIDDEN)
        return await self._desk.api.receive_messages(self._desk.queue_arn, receive)

    async def _sorted(self, received: Sequence[Letter]) -> list[Letter]:
        """What is new. What is done and came again, because its delete failed or SQS delivers twice, is deleted once more."""
        for letter in received:
            if letter.id in self.hands.gone:
                await self.hands.delete([letter])
        new = {letter.id: letter for letter in received if letter.id not in self._known}
        self._known |= new.keys()
        return list(new.values())

    def _check(self, new: Sequence[Letter]) -> None:
        most = self.at_first.maximum_receive_count
        if most is None or self._course.force:
            return
        near = [letter for letter in new if letter.receives >= most - 1]
        if near:
            raise CannotDo(
                f"looking spends receives, and this queue has a redrive policy of its own: {near[0].id} was received"
                f" {near[0].receives} times, and after {most} goes to {(self.at_first.dead_letters or '').rpartition(':')[2]}."
                " Use that queue, raise maxReceiveCount, or look nevertheless: --force"
            )

    async def _over(self) -> bool:
        """Whether nothing more will come."""
        found = await self._desk.persist(lambda: self._desk.api.describe_queue(self._desk.queue_arn))
        self.elsewhere = max(0, found.in_flight - len(self.hands))
        self.behind = found.visible if self._desk.fifo else 0
        self._empty += 1
        if found.visible and not self._desk.fifo and self._empty < EMPTY:
            return False
        if not self.elsewhere or not self._course.patient:
            return True
        now = self._desk.clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
            self._desk.say(f"{self.elsewhere} are in somebody's hands: waiting {HIDDEN + MARGIN:g} s for them at the most")
        return now - self._waiting_since > HIDDEN + MARGIN
