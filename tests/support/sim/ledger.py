"""What is known of the world, from its ends alone: what was put, who holds what, how far each mapping has come.

The ends (`stream`, `store`, `letters`, `executor`) write it, and check what they see against it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from poller.config.mappings import default_uuid
from support.sim.books import Book, Call, Entry, Line, Tally
from support.sim.journal import Broken
from support.sim.queue_books import QueueBooks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from poller.core.model import Lease, MappingId, ShardId
    from support.sim.hold import Hold
    from support.sim.journal import Trace
    from support.sim.process import Process
    from support.sim.queue_books import QueueCall
    from support.sim.scenario import MappingPlan, Put, Scenario


class Ledger:
    """The books, and the first thing that is wrong.

    Attributes:
        broken: done, with the violation, as soon as there is one.
        running: invocations under way, of all processes that are alive.
        request_ids: of all invocations.
        holds: every hold of a lease there ever was.
        queues: what is known of messages.
        processes: by the name under which they own leases.
    """

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.trace = trace
        self.scenario = scenario
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.books: dict[tuple[str, ShardId], Book] = {}
        self.tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        self.queues = QueueBooks()
        self.running: dict[Call | QueueCall, None] = {}
        self.request_ids: set[str] = set()
        self.holds: dict[Lease, Hold] = {}
        self.processes: dict[str, Process] = {}
        self._lines: dict[tuple[str, ShardId], Line] = {}
        self._names = {stream.arn: stream.name for stream in scenario.streams}
        self._plans = {default_uuid(plan.name): plan for plan in scenario.mappings}

    def fail(self, what: str) -> None:
        """This is wrong: the run is over."""
        self.trace.note(f"VIOLATION {what}")
        if not self.broken.done():
            self.broken.set_result(what)

    def checking(self) -> Checking:
        """What is found `Broken` inside ends the run; it never reaches the daemon's code around it."""
        return Checking(self)

    def plan(self, mapping: MappingId) -> MappingPlan:
        """The mapping with this UUID."""
        return self._plans[mapping]

    def line(self, plan: MappingPlan, shard: ShardId) -> Line:
        """A mapping's way through a shard of its stream. One that is not set up at enrolment begins at its first record."""
        key = plan.name, shard
        if key not in self._lines:
            self._lines[key] = Line(plan=plan, book=self.books[plan.stream.arn, shard])
        return self._lines[key]

    def lines(self) -> list[Line]:
        """Of every mapping and every shard of its stream."""
        return [self.line(plan, shard) for plan in self._plans.values() for arn, shard in self.books if arn == plan.stream.arn]

    def opened(self, arn: str, shards: Mapping[ShardId, tuple[ShardId, ...]]) -> None:
        """The shards of a stream as they are now, with their parents."""
        for shard, parents in shards.items():
            if (arn, shard) not in self.books:
                opened_at = asyncio.get_running_loop().time() if parents else float("-inf")
                name = f"{self._names[arn]}{len([each for each, _ in self.books if each == arn])}"
                self.books[arn, shard] = Book(stream=arn, shard=shard, name=name, parents=parents, opened_at=opened_at)
                for parent in parents:
                    self.books[arn, parent].closed = True
                self.trace.note(f"shard {name} {shard} of {parents}")

    def put(self, put: Put, shard: ShardId, sequence: str, arrived_at: float) -> None:
        """The service has taken a record."""
        book = self.books[put.stream.arn, shard]
        book.add(Entry(put=put, sequence=int(sequence), arrived_at=arrived_at))
        self.trace.note(f"put {book.name} {len(book.entries) - 1} {put.how} {put.failures}")


class Checking:
    """See `Ledger.checking`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if isinstance(error, Broken):
            self._ledger.fail(str(error))
        return isinstance(error, Broken)
