"""What the ledger knows of shards, of each mapping's way through them, and of each process's figures."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from support.sim.journal import Broken

if TYPE_CHECKING:
    from poller.core.model import ShardId
    from support.sim.documents import Document
    from support.sim.hold import Hold
    from support.sim.process import Process
    from support.sim.scenario import FunctionPlan, MappingPlan, Put
    from support.sim.stored import Kept, Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, for one process.

    Attributes:
        at: by the loop's clock.
        unix: by its own wall clock, in Unix seconds; `highest`: the latest that it ever showed.
        draining: it is to stop.
    """

    at: float
    unix: float
    highest: float
    draining: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An invocation as the function sees it: records of a lane, by their numbers there, and the window that it is shown."""

    run: range
    request_id: str
    shown: Shown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record as the service took it; `arrived_at` is in Unix seconds."""

    put: Put
    sequence: int
    arrived_at: float

    @property
    def group(self) -> str:
        return self.put.stream.group(self.put.key)


@dataclass(slots=True, kw_only=True)
class Book:
    """A shard of a stream, and everything that was put into it; it was opened by the loop's clock, the first ones always were."""

    stream: str
    shard: ShardId
    name: str
    parents: tuple[ShardId, ...]
    opened_at: float
    closed: bool = False
    entries: list[Entry] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    _rows: dict[int, tuple[Row, ...]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.places[entry.sequence] = len(self.entries)
        for factor, rows in self._rows.items():
            rows[lane_of(entry.group, factor)].numbers.append(len(self.entries))
        self.entries.append(entry)

    def rows(self, factor: int) -> tuple[Row, ...]:
        """Its records as they are dealt to so many lanes."""
        if factor not in self._rows:
            rows = self._rows[factor] = tuple(Row(book=self, lane=lane) for lane in range(factor))
            for number, entry in enumerate(self.entries):
                rows[lane_of(entry.group, factor)].numbers.append(number)
        return self._rows[factor]

    def lane(self, sequence: int, factor: int) -> int:
        """Of a record, among so many."""
        return lane_of(self.entries[self.index(sequence)].group, factor)

    def index(self, sequence: int) -> int:
        """The number of a record in its shard."""
        if sequence not in self.places:
            raise Broken(f"there is no record {sequence} in {self.shard}")
        return self.places[sequence]

    def first_at(self, timestamp: float) -> int:
        """The first record that arrived at this time or later."""
        return next((index for index, entry in enumerate(self.entries) if entry.arrived_at >= timestamp), len(self.entries))


def lane_of(group: str, factor: int) -> int:
    """All records of a key are in one lane, whoever holds the shard: what is stored of a lane is found under its number."""
    return crc32(group.encode()) % factor


@dataclass(eq=False, slots=True, kw_only=True)
class Row:
    """The records of one lane of a shard, in order.

    Attributes:
        numbers: those that they have in the shard.
    """

    book: Book
    lane: int
    numbers: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    def entry(self, index: int) -> Entry:
        """By its number in the lane."""
        return self.book.entries[self.numbers[index]]

    def index(self, sequence: int) -> int:
        """The number of a record in the lane."""
        number = self.book.index(sequence)
        index = self.before(number)
        if index == len(self) or self.numbers[index] != number:
            raise Broken(f"record {number} of {self.book.shard} is not in lane {self.lane}")
        return index

    def number(self, index: int) -> int:
        """The number in the shard; behind the last one in the lane it is that behind the shard's last one."""
        return self.numbers[index] if index < len(self) else len(self.book.entries)

    def before(self, number: int) -> int:
        """How many come before a record of the shard, in whichever lane that is."""
        return bisect_left(self.numbers, number)


@dataclass(eq=False, slots=True, kw_only=True)
class Line:
    """One mapping's way through one shard. Records are numbered in the order of the shard.

    Attributes:
        begin: from here on everything has to be delivered.
        earliest: from here on it may be; None: from `begin` on.
        durable: everything before is durably done; None: there is no checkpoint yet.
        finished: the store says that the shard is.
        epoch: the newest, and `holder` who got it.
        running: the invocations under way, by lane.
        kept: what the store has of each lane.
        hold: the newest.
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
    running: dict[int, Call] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()
    hold: Hold | None = None
    accepted: set[int] = field(default_factory=set)
    documented: set[int] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)

    @property
    def reached(self) -> int:
        """Everything before is durably done, or need not be done."""
        return self.begin if self.durable is None else self.durable

    def covered(self, document: Document) -> list[int]:
        """The records of a document: those of one lane, from the first to the last that it names, if it names any."""
        if document.first is None or document.last is None:
            return []
        row = self.book.rows(self.plan.factor)[self.book.lane(document.first, self.plan.factor)]
        return row.numbers[row.index(document.first) : row.index(document.last) + 1]

    @property
    def done(self) -> bool:
        """Nothing is left to do, and the store knows."""
        closed = self.hold is None or all(track.windows.told is None for track in self.hold.tracks)
        return self.reached >= len(self.book.entries) and self.finished == self.book.closed and closed

    def __str__(self) -> str:
        return f"{self.plan.name}/{self.book.name}"


@dataclass(eq=False, slots=True, kw_only=True)
class Call:
    """One invocation of records of a lane; `run` are their numbers there."""

    process: Process
    line: Line
    hold: Hold
    lane: int
    run: range

    @property
    def function(self) -> FunctionPlan:
        return self.line.plan.function

    @property
    def numbers(self) -> list[int]:
        """Of its records in the shard."""
        return self.line.book.rows(self.line.plan.factor)[self.lane].numbers[self.run.start : self.run.stop]

    def __str__(self) -> str:
        lane = f".{self.lane}" if self.line.plan.factor > 1 else ""
        return f"{self.process.name} {self.line}{lane} [{self.run.start},{self.run.stop})"


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
