"""What is seen at a process's connection to a stream, and may be there: who reads which shard, from where, how far, how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from support.sim.journal import Broken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from poller.core.model import ShardId
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.scenario import MappingPlan
    from support.sim.weather import Trouble

R = TypeVar("R")

READ_INTERVAL = 0.2 - 1e-5
"""Seconds between two reads of a shard by one process, at the least."""

STUTTER = 5
"""Records of the page before that a page may repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A LATEST iterator: the server's time, and how many records the shard had."""

    server_time: float
    records: int


class Eyes:
    """Of one connection.

    Attributes:
        granted: the LATEST iterators that the process got last.
        listed: the shards that it was told last.
    """

    def __init__(self, process: Process, plan: MappingPlan, faults: Trouble) -> None:
        self.granted: dict[ShardId, Grant] = {}
        self.listed: frozenset[ShardId] = frozenset()
        self._process = process
        self._plan = plan
        self._faults = faults
        self._ledger: Ledger = process.ledger
        self._shard_of: dict[str, ShardId] = {}
        self._asked: dict[ShardId, int] = {}
        self._before: dict[ShardId, list[Any]] = {}

    # ---- shards and iterators

    def told(self, shards: Iterable[ShardId]) -> frozenset[ShardId]:
        """What a list says of these: in the storm a shard may not be in it yet, while its parent is."""
        weather, most = self._faults.weather, self._ledger.scenario.stale_lists
        since = float("inf")
        if most and not weather.calm:
            since = self._process.clock.monotonic() - most * self._faults.chance.random()
        books = self._ledger.books
        self.listed = frozenset(shard for shard in shards if books[self._plan.stream.arn, shard].opened_at <= since)
        return self.listed

    def asks(self, shard: ShardId, sequence_number: str | None) -> None:
        """An iterator is asked for."""
        if sequence_number is not None and self._process.alive:
            with self._ledger.checking():
                self._check_resumption(shard, int(sequence_number))

    def got(self, shard: ShardId, kind: str, at: str | None) -> None:
        """It was granted. `at`: the page begins with this record, which has been read before."""
        self._ledger.trace.note(f"{self._process.name} {self._plan.name} iterator {shard[-4:]} {kind}")
        self._asked[shard] = int(at or -1)
        self._before.pop(shard, None)

    def iterator(self, shard: ShardId, iterator: str | None) -> None:
        """This one is of the shard."""
        if iterator is not None:
            self._shard_of[iterator] = shard

    def grant(self, shard: ShardId, server_time: float, records: int) -> None:
        """A LATEST iterator."""
        self.granted[shard] = Grant(server_time=server_time, records=records)

    # ---- reads

    def reads(self, iterator: str) -> ShardId:
        """A shard is read."""
        shard = self._shard_of[iterator]
        self._process.reads[self._plan.name, shard] = self._process.clock.monotonic()
        self._process.unanswered.add((self._plan.name, shard))
        if self._process.alive:
            with self._ledger.checking():
                self._check_pace(shard)
                self._check_room(shard)
        return shard

    def read(self, shard: ShardId, sequences: Sequence[int]) -> None:
        """It was."""
        self._process.unanswered.discard((self._plan.name, shard))
        if not sequences or not self._process.alive:
            return
        hold = self._process.holds.get((self._plan.name, shard))
        if hold is None:
            self._ledger.fail(f"{self._process.name} reads {shard} for {self._plan.name} and never had its lease")
            return
        first, last = hold.book.index(sequences[0]), hold.book.index(sequences[-1])
        repeats = hold.book.places.get(self._asked.get(shard, -1)) == first  # it was asked for, to see whether it is still there
        seen = first - 1 + repeats if hold.last_read is None else hold.last_read
        new = max(0, last - max(first - 1, seen, self._unwanted(shard) - 1))
        hold.polled += new
        self._process.tally(self._plan).polled += new
        hold.last_read = max(seen, last)
        hold.look(self._process.clock.monotonic())
        self._ledger.trace.note(f"{self._process.name} {self._plan.name} read {shard[-4:]} [{first},{last + 1})")

    def _unwanted(self, shard: ShardId) -> int:
        """How many records are dropped as they were written before the mapping begins: there are no iterators for a time."""
        line = self._ledger.line(self._plan, shard)
        return line.earliest or 0 if self._plan.stream.table and line.durable is None else 0

    def stuttering(self, shard: ShardId, records: Sequence[R]) -> Sequence[R]:
        """The page, which may begin with records of the one before."""
        before, self._before[shard] = self._before.get(shard, []), list(records)[-STUTTER:]
        weather, chance = self._faults.weather, self._faults.chance
        if not before or weather.calm or chance.random() >= weather.storm.stutter:
            return records
        again = before[-chance.randint(1, STUTTER) :]
        self._process.tally(self._plan).repeated += len(again)
        return [*again, *records]

    def _check_pace(self, shard: ShardId) -> None:
        """All mappings of a process together read a shard five times a second at the most."""
        now = self._process.clock.monotonic()
        before = self._process.read_at.get((self._plan.stream.arn, shard), -1.0)
        if before > self._process.thawed_at and now - before < READ_INTERVAL:
            raise Broken(f"{self._process.name} reads {shard} again after {now - before:.3f} s")
        self._process.read_at[self._plan.stream.arn, shard] = now

    def _check_room(self, shard: ShardId) -> None:
        """A process reads a shard only while it holds less than its limit of records that are not settled."""
        hold, limits = self._process.holds.get((self._plan.name, shard)), self._ledger.scenario.limits
        if hold is None or hold.last_read is None or hold.silent_drops:
            return
        if hold.last_read + 1 - hold.cursor >= limits.cap(self._plan):
            raise Broken(f"{self._process.name} reads {shard} on, with {hold.cursor} to {hold.last_read} not settled")

    def _check_resumption(self, shard: ShardId, sequence: int) -> None:
        """A reader goes on after the last record that it got; a new one after the checkpoint."""
        line = self._ledger.line(self._plan, shard)
        hold, at = self._process.holds.get((self._plan.name, shard)), line.book.index(sequence)
        if hold is None:
            raise Broken(f"{self._process.name} reads {line} and never had its lease")
        right = hold.last_read if hold.last_read is not None else hold.first - 1
        if at != right:
            raise Broken(f"{self._process.name} asks for an iterator of {line} after record {at}, but {right} was its last")
        hold.last_read = at  # it comes again, and does not count
