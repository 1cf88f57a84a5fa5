"""A process's connection to Kinesis for one mapping: the memory Api with the storm's manners, watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.apis.memory_kinesis import MemoryKinesis
from poller.services import KinesisPage
from support.sim.journal import Broken

if TYPE_CHECKING:
    from poller.apis.memory_streams import MemoryStreams
    from poller.core.model import ShardId
    from poller.services import KinesisIterator, KinesisIteratorType, KinesisRecord, KinesisShard
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.scenario import MappingPlan
    from support.sim.weather import Trouble
    from support.virtual import VirtualClock

READ_INTERVAL = 0.2 - 1e-5
"""Seconds between two reads of a shard by one process, at the least."""

STUTTER = 5
"""Records of the page before that a page may repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A LATEST iterator: the server's time, and how many records the shard had."""

    server_time: float
    records: int


class SimKinesis(MemoryKinesis):
    """`KinesisApi` of one process for one mapping.

    Attributes:
        granted: the LATEST iterators that the process got last.
        listed: the shards that it was told last.
    """

    def __init__(self, process: Process, plan: MappingPlan, service: tuple[VirtualClock, MemoryStreams], faults: Trouble) -> None:
        super().__init__(service[0], faults, streams=service[1])
        self.granted: dict[ShardId, Grant] = {}
        self.listed: frozenset[ShardId] = frozenset()
        self._process = process
        self._plan = plan
        self._faults = faults
        self._ledger: Ledger = process.ledger
        self._shard_of: dict[str, ShardId] = {}
        self._before: dict[ShardId, list[KinesisRecord]] = {}

    async def list_shards(self, stream_arn: str) -> tuple[KinesisShard, ...]:
        """See `KinesisApi.list_shards`."""
        shards = await super().list_shards(stream_arn)
        self.listed = frozenset(shard.id for shard in shards)
        return shards

    async def get_shard_iterator(
        self,
        stream_arn: str,
        shard: ShardId,
        kind: KinesisIteratorType,
        *,
        sequence_number: str | None = None,
        timestamp: float | None = None,
    ) -> KinesisIterator:
        """See `KinesisApi.get_shard_iterator`."""
        if sequence_number is not None and self._process.alive:
            with self._ledger.checking():
                self._check_resumption(shard, int(sequence_number))
        grant = await super().get_shard_iterator(stream_arn, shard, kind, sequence_number=sequence_number, timestamp=timestamp)
        self._ledger.trace.note(
            f"{self._process.name} {self._plan.name} iterator {shard[-4:]} {kind} {sequence_number or timestamp}"
        )
        self._shard_of[grant.iterator] = shard
        self._before.pop(shard, None)
        if kind == "LATEST":
            offset = int(grant.iterator.split("|")[3])
            self.granted[shard] = Grant(server_time=grant.server_time, records=offset)
        return grant

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """See `KinesisApi.get_records`. Not every page is new from its first record on."""
        shard = self._shard_of[iterator]
        if self._process.alive:
            with self._ledger.checking():
                self._check_pace(shard)
                self._check_room(shard)
        page = await super().get_records(stream_arn, iterator, limit)
        if page.next_iterator is not None:
            self._shard_of[page.next_iterator] = shard
        if self._process.alive:
            self._read(shard, page)
        repeating = self._stuttering(shard, page)
        self._process.tally(self._plan).repeated += len(repeating.records) - len(page.records)
        return repeating

    def _stuttering(self, shard: ShardId, page: KinesisPage) -> KinesisPage:
        before, self._before[shard] = self._before.get(shard, []), list(page.records)[-STUTTER:]
        weather, chance = self._faults.weather, self._faults.chance
        if not before or weather.calm or chance.random() >= weather.storm.stutter:
            return page
        records = [*before[-chance.randint(1, STUTTER) :], *page.records]
        return KinesisPage(records=records, next_iterator=page.next_iterator, behind=page.behind)

    def _read(self, shard: ShardId, page: KinesisPage) -> None:
        if not page.records:
            return
        hold = self._process.holds.get((self._plan.name, shard))
        if hold is None:
            self._ledger.fail(f"{self._process.name} reads {shard} for {self._plan.name} and never had its lease")
            return
        first, last = (hold.book.index(int(page.records[at]["SequenceNumber"])) for at in (0, -1))
        seen = first - 1 if hold.last_read is None else hold.last_read
        self._process.tally(self._plan).polled += max(0, last - max(first - 1, seen))
        hold.last_read = max(seen, last)
        self._ledger.trace.note(f"{self._process.name} {self._plan.name} read {shard[-4:]} [{first},{last + 1})")

    def _check_pace(self, shard: ShardId) -> None:
        """All mappings of a process together read a shard five times a second at the most."""
        now = self._process.clock.monotonic()
        before = self._process.read_at.get((self._plan.stream.arn, shard), -1.0)
        if before > self._process.thawed_at and now - before < READ_INTERVAL:
            raise Broken(f"{self._process.name} reads {shard} again after {now - before:.3f} s")
        self._process.read_at[self._plan.stream.arn, shard] = now

    def _check_room(self, shard: ShardId) -> None:
        """A process reads a shard only while it holds less than its limit of records that are not settled."""
        hold, limit = self._process.holds.get((self._plan.name, shard)), self._ledger.scenario.limits.read_ahead
        if hold is None or hold.last_read is None or hold.silent_drops:
            return
        if hold.last_read + 1 - hold.cursor >= max(limit, 2 * self._plan.batch_size):
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
