"""What the ledger knows of shards, of each mapping's way through them, and of each process's figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.sim.trace import Broken

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from support.sim.hold import Hold
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan, MappingPlan, Put


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record as the service took it; times are in Unix seconds, `put_at` exactly, `arrived_at` as the service tells it."""

    put: Put
    sequence: int
    put_at: float
    arrived_at: float


@dataclass(slots=True, kw_only=True)
class Book:
    """A shard of a stream, and everything put into it."""

    stream: str
    shard: ShardId
    parents: tuple[ShardId, ...]
    closed: bool = False
    entries: list[Entry] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.places[entry.sequence] = len(self.entries)
        self.entries.append(entry)

    def index(self, sequence: int) -> int:
        """The number of a record in its shard."""
        if sequence not in self.places:
            raise Broken(f"there is no record {sequence} in {self.shard}")
        return self.places[sequence]

    def first_at(self, timestamp: float) -> int:
        """The first record that arrived at this time or later."""
        return next((index for index, entry in enumerate(self.entries) if entry.arrived_at >= timestamp), len(self.entries))


@dataclass(slots=True, kw_only=True)
class Line:
    """One mapping's way through one shard. Records are numbered in the order of the shard.

    Attributes:
        begin: from here on everything has to be delivered.
        earliest: from here on it may be.
        durable: everything before is durably done, or before the beginning; None: there is no checkpoint.
        epoch: the newest.
        holder: who got it.
        expires: when the lease ends, by the loop's clock.
        hold: of the newest epoch.
        running: the invocation under way, if any.
    """

    plan: MappingPlan
    book: Book
    begin: int = 0
    earliest: int = 0
    durable: int | None = None
    finished: bool = False
    epoch: int = 0
    holder: str = ""
    running: Call | None = None
    accepted: set[int] = field(default_factory=set)
    documented: set[int] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """All that has to be delivered is durably resolved; a closed shard is finished."""
        reached = self.begin if self.durable is None else self.durable
        return reached >= len(self.book.entries) and self.finished == self.book.closed

    def __str__(self) -> str:
        return f"{self.plan.name}/{self.book.stream}{int(self.book.shard[-4:])}"


@dataclass(eq=False, slots=True, kw_only=True)
class Call:
    """One invocation of records `low` to `high` (excluded)."""

    process: Process
    function: FunctionPlan
    line: Line
    hold: Hold
    low: int
    high: int
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.process.name} {self.line} [{self.low},{self.high})"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one process did for one mapping, as its metrics should say.

    Attributes:
        disturbed: a lease was lost or a call cut off, after which reads may have been for nothing.
    """

    polled: int = 0
    invoked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    splits: int = 0
    sent: int = 0
    disturbed: bool = False
