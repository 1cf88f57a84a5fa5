"""Doubles of the ports that have none in the package: an executor and a lane; and faults to order for those that have."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson

from poller.core.memo import NO_MEMO
from poller.core.model import Errored, Returned, Slice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poller.core.memo import Memo
    from poller.core.model import Answer, Attempt, Invocation, Record, Release
    from poller.drain import Drain

RAISES = Errored("function_error", b'{"errorType":"ValueError","errorMessage":"no"}')
ACCEPTS = Returned(b"null")


# ------------------------------------------------------------------------------------------------------------------- executors


@dataclass(slots=True, kw_only=True)
class Call:
    """One invocation.

    Attributes:
        number: counts from 1.
        began: by the loop's clock, as is `ended`, which is None while it runs.
        cancelled: it was cut off.
    """

    number: int
    invocation: Invocation
    began: float
    ended: float | None = None
    cancelled: bool = False

    @property
    def records(self) -> list[dict[str, Any]]:
        """`Records` of the event."""
        records: list[dict[str, Any]] = orjson.loads(self.invocation.event)["Records"]
        return records


class ScriptedExecutor:
    """An `Executor` whose function is a script: what it answers to each call, and how many seconds it takes.

    Attributes:
        calls: every invocation, in the order in which they began.
        running: how many are at work now.
        most: how many ever were at work at the same time.
        entered: whether it is inside its context.
    """

    def __init__(
        self, script: Callable[[Call], Answer] = lambda _: ACCEPTS, *, seconds: float | Callable[[Call], float] = 0.0
    ) -> None:
        self.script = script
        self.seconds = seconds
        self.calls: list[Call] = []
        self.running = 0
        self.most = 0
        self.entered = False

    async def __aenter__(self) -> Self:
        self.entered = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.entered = False

    async def invoke(self, invocation: Invocation) -> Answer:
        """See `Executor.invoke`."""
        loop = asyncio.get_running_loop()
        call = Call(number=len(self.calls) + 1, invocation=invocation, began=loop.time())
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._work(call)
            return self.script(call)
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        finally:
            call.ended = loop.time()
            self.running -= 1

    async def _work(self, call: Call) -> None:
        seconds = self.seconds(call) if callable(self.seconds) else self.seconds
        if seconds > 0:  # a function that takes no time does not let others run, as a trivial coroutine does not
            await asyncio.sleep(seconds)


def in_turn(*answers: Answer, then: Answer = ACCEPTS) -> Callable[[Call], Answer]:
    """A script: these answers one after the other, and `then` for ever."""
    return lambda call: answers[call.number - 1] if call.number <= len(answers) else then


def reports(*ids: str) -> Answer:
    """The function's answer that reports these records."""
    return Returned(orjson.dumps({"batchItemFailures": [{"itemIdentifier": one} for one in ids]}))


# ----------------------------------------------------------------------------------------------------------------------- lanes


class ListLane:
    """A `Lane` that hands out what it is given, and keeps what comes back.

    Attributes:
        journal: what happened, in order: (`read` | `settle` | `release`, ids). Shared with others, it shows the order of effects.
        waits: every attempt that its worker waited with.
        not_ours: ids of records that are somebody else's by now.
    """

    def __init__(self, drain: Drain, journal: list[tuple[str, tuple[str, ...]]] | None = None) -> None:
        self.journal = [] if journal is None else journal
        self.waits: list[Attempt] = []
        self.memos: list[Memo] = [NO_MEMO]
        self.not_ours: set[str] = set()
        self._drain = drain
        self._inbox: list[Record] = []
        self._ended = False
        self._arrival: asyncio.Future[None] | None = None

    def put(self, records: Sequence[Record], *, end: bool = False) -> None:
        """Something to read; with `end` it was the last."""
        self._inbox.extend(records)
        self._ended = self._ended or end
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def read(self, limit: int, wait: float | None) -> Slice:
        """See `Lane.read`."""
        if not (self._inbox or self._ended):
            self._arrival = asyncio.get_running_loop().create_future()
            await self._drain.wait(self._arrival, wait)
        records, self._inbox = tuple(self._inbox[:limit]), self._inbox[limit:]
        self._tell("read", records)
        return Slice(records=records, more=bool(self._inbox), ended=self._ended and not self._inbox)

    async def settle(self, records: Sequence[Record]) -> None:
        """See `Lane.settle`."""
        self._tell("settle", records)

    async def release(self, release: Release) -> None:
        """See `Lane.release`."""
        self._tell("release", release.records)

    def lost(self, attempt: Attempt) -> tuple[Record, ...]:
        return tuple(record for record in attempt.records if record.id in self.not_ours)

    @property
    def memo(self) -> Memo:
        """See `Lane.memo`."""
        return self.memos[-1]

    def remember(self, memo: Memo) -> None:
        """See `Lane.remember`."""
        if memo != self.memo:
            self.memos.append(memo)

    def waiting(self, attempt: Attempt | None) -> None:
        """See `Lane.waiting`."""
        if attempt is not None:
            self.waits.append(attempt)

    def all(self, what: str) -> list[str]:
        """Ids of everything that was read, settled or released, in order."""
        return [one for entry, ids in self.journal if entry == what for one in ids]

    def _tell(self, what: str, records: Sequence[Record]) -> None:
        if records:
            self.journal.append((what, tuple(record.id for record in records)))


# -------------------------------------------------------------------------------------------------------------------- troubles


class Trouble:
    """Faults of a connection to the memory store or an Api in memory, to order. Operations are named as their service does.

    Attributes:
        calls: when each operation was called, by the loop's clock.
    """

    def __init__(self) -> None:
        self.calls: defaultdict[str, list[float]] = defaultdict(list)
        self._refused: dict[str, Exception] = {}
        self._lost: dict[str, Exception] = {}
        self._slow: dict[str, float] = {}
        self._late: dict[str, float] = {}

    def refuse(self, error: Exception, *operations: str) -> None:
        """These have no effect and raise, until `heal`."""
        self._refused |= dict.fromkeys(operations, error)

    def lose(self, error: Exception, *operations: str) -> None:
        """These have their effect and raise, until `heal`."""
        self._lost |= dict.fromkeys(operations, error)

    def slow(self, seconds: float, *operations: str) -> None:
        """These take so long before they have their effect, until `heal`."""
        self._slow |= dict.fromkeys(operations, seconds)

    def late(self, seconds: float, *operations: str) -> None:
        """These have their effect at once, but answer after so long, until `heal`."""
        self._late |= dict.fromkeys(operations, seconds)

    def heal(self) -> None:
        """Everything works again."""
        for ordered in (self._refused, self._lost, self._slow, self._late):
            ordered.clear()

    async def before(self, operation: str) -> None:
        """See `Faults.before`."""
        self.calls[operation].append(asyncio.get_running_loop().time())
        if operation in self._slow:
            await asyncio.sleep(self._slow[operation])
        if operation in self._refused:
            raise self._refused[operation]

    async def after(self, operation: str) -> None:
        """See `Faults.after`."""
        if operation in self._late:
            await asyncio.sleep(self._late[operation])
        if operation in self._lost:
            raise self._lost[operation]
