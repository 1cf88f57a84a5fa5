"""What the ledger knows of shards, of each mapping's way through them, and of each process's figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.sim.journal import Broken

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from support.sim.hold import Hold
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan, MappingPlan, Put


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, for one process: by the loop's clock, by its own wall clock (Unix seconds), and the latest that it ever showed."""

    at: float
    unix: float
    highest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record as the service took it; `arrived_at` is in Unix seconds."""

    put: Put
    sequence: int
    arrived_at: float


@dataclass(slots=True, kw_only=True)
class Book:
    """A shard of a stream, and everything that was put into it."""

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


@dataclass(eq=False, slots=True, kw_only=True)
class Line:
    """One mapping's way through one shard. Records are numbered in the order of the shard.

    Attributes:
        begin: from here on everything has to be delivered.
        earliest: from here on it may be; None: from `begin` on.
        durable: everything before is durably done; None: there is no checkpoint yet.
        finished: the store says that the shard is.
        epoch: the newest, and `holder` who got it.
        running: the invocation under way.
        accepted: what the function has accepted; `documented` and `silent`: what was given up, with a document and without.
    """

    plan: MappingPlan
    book: Book
    begin: int = 0
    earliest: int | None = None
    durable: int | None = None
    finished: bool = False
    epoch: int = 0
    holder: str = ""
    running: Call | None = None
    accepted: set[int] = field(default_factory=set)
    documented: set[int] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)

    @property
    def reached(self) -> int:
        """Everything before is durably done, or need not be done."""
        return self.begin if self.durable is None else self.durable

    @property
    def done(self) -> bool:
        """Nothing is left to do, and the store knows."""
        return self.reached >= len(self.book.entries) and self.finished == self.book.closed

    def __str__(self) -> str:
        return f"{self.plan.name}/{self.book.stream[-1]}{int(self.book.shard[-4:])}"


@dataclass(eq=False, slots=True, kw_only=True)
class Call:
    """One invocation of records `low` to `high` (excluded)."""

    process: Process
    line: Line
    hold: Hold
    low: int
    high: int

    @property
    def function(self) -> FunctionPlan:
        return self.line.plan.function

    def __str__(self) -> str:
        return f"{self.process.name} {self.line} [{self.low},{self.high})"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one process did for one mapping, as its metrics have to say."""

    polled: int = 0
    repeated: int = 0
    invoked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    splits: int = 0
    sent: int = 0
