"""The gauges of a mapping's shards, read from the shards themselves at each scrape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from poller.observe.catalogue import (
    BUFFERED_BYTES,
    ITERATOR_AGE,
    POLLERS,
    SHARD_SERIES_COLLAPSED,
    SHARDS,
    SOURCE_BEHIND,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.core.model import Position, ShardId
    from poller.observe.logs import Logger
    from poller.observe.metrics import Series

MOST_SHARDS = 100
"""With more shards than this in one process a mapping shows their maximum instead of each."""

ALL = "max"


LaneState = Literal["idle", "running", "retrying", "blocked"]
"""What a lane does. `idle`: it holds no record. `running`: it gathers or works off a batch. `retrying`: its last invocation was
no success; it waits or is repeated, or its records are given up and a destination has not taken them yet. `blocked`: the same,
for ever: it is out of retries, and waits for an operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatus:
    """One lane of a shard, at the moment of asking.

    Attributes:
        index: its number, from 0: see `poller.shardlane.lane_of`.
        queued: records read ahead for it that its worker has not taken yet.
        taken: records that its worker has taken and not settled.
        oldest_age: seconds since the arrival of its oldest record that is not settled; None where it holds none.
        retries: how often its attempt has failed before, as far as it is `retrying`; else 0.
        refusals: how often in a row nobody would run that attempt.
        failing_for: seconds since the first failure after which it has settled nothing; None where there is none.
        error: what its last invocation came to, in one line; None while `failing_for` is.
    """

    index: int
    state: LaneState
    queued: int
    taken: int
    oldest_age: float | None
    retries: int
    refusals: int
    failing_for: float | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """A shard at work, at the moment of asking.

    Attributes:
        position: everything up to here is settled, durably; BEGINNING where nothing is.
        iterator_age: seconds, see `poller.core.age`.
        behind: seconds between the last read and the tip; None where the source does not say.
        buffered_records, buffered_bytes: read ahead and not yet settled.
        state: see `ShardProbe.state`.
        read_error: what the last read said, in one line, where it failed.
        lanes: in their order.
    """

    shard: ShardId
    position: Position
    iterator_age: float
    behind: float | None
    buffered_records: int
    buffered_bytes: int
    state: Literal["open", "blocked"]
    read_error: str | None
    lanes: tuple[LaneStatus, ...]


class ShardProbe(Protocol):
    """What a shard at work says of itself. Read at each scrape, on the loop: cheap, and never raises."""

    @property
    def iterator_age(self) -> float:
        """Seconds, see `poller.core.age`."""

    @property
    def behind(self) -> float | None:
        """Seconds between the last read and the tip; None where the source does not say."""

    @property
    def buffered_bytes(self) -> int:
        """Read ahead and not yet settled."""

    @property
    def state(self) -> Literal["open", "blocked"]:
        """`blocked` while no record can go on: each lane that has one is `retrying`, and the others can get none.

        Also while one of them is `blocked`.
        """

    def status(self) -> ShardStatus:
        """All of that and more, for people. May take a millisecond: not for each scrape."""


class ShardGauges:
    """The shards of one mapping that are at work in this process."""

    def __init__(self, series: Series, mapping: str, log: Logger) -> None:
        self._series = series
        self._mapping = mapping
        self._log = log
        self._probes: dict[str, ShardProbe] = {}
        self._told = False

    def opened(self, shard: str, probe: ShardProbe) -> None:
        """From now on this shard is asked at each scrape."""
        self._probes[shard] = probe

    def closed(self, shard: str) -> None:
        """No more; its series go at once."""
        self._probes.pop(shard, None)
        self._drop(shard)

    def statuses(self) -> Iterator[ShardStatus]:
        """What each shard that is at work now says of itself, in the order of their opening, each asked when its turn comes."""
        return (probe.status() for probe in tuple(self._probes.values()))

    def read(self) -> None:
        """Asks every shard and sets the gauges."""
        probes = self._probes.values()
        states = [probe.state for probe in probes]
        self._set_state("open", states.count("open"))
        self._set_state("blocked", states.count("blocked"))
        self._series.get(POLLERS, self._mapping).set(len(states))
        self._series.get(BUFFERED_BYTES, self._mapping).set(sum(probe.buffered_bytes for probe in probes))
        collapsed = len(states) > MOST_SHARDS
        self._series.get(SHARD_SERIES_COLLAPSED, self._mapping).set(collapsed)
        if collapsed:
            self._collapse()
        else:
            self._spread()

    def _spread(self) -> None:
        self._drop(ALL)
        for shard, probe in self._probes.items():
            self._set(shard, probe.iterator_age, probe.behind)

    def _collapse(self) -> None:
        for shard in self._probes:
            self._drop(shard)
        probes = self._probes.values()
        behind = max((probe.behind for probe in probes if probe.behind is not None), default=None)
        self._set(ALL, max(probe.iterator_age for probe in probes), behind)
        if not self._told:
            self._told = True
            self._log.info("shard_series_collapsed", shards=len(probes), limit=MOST_SHARDS)

    def _set(self, shard: str, age: float, behind: float | None) -> None:
        self._series.get(ITERATOR_AGE, self._mapping, shard).set(age)
        if behind is None:
            self._series.drop(SOURCE_BEHIND, self._mapping, shard)
        else:
            self._series.get(SOURCE_BEHIND, self._mapping, shard).set(behind)

    def _set_state(self, state: str, count: int) -> None:
        self._series.get(SHARDS, self._mapping, state).set(count)

    def _drop(self, shard: str) -> None:
        self._series.drop(ITERATOR_AGE, self._mapping, shard)
        self._series.drop(SOURCE_BEHIND, self._mapping, shard)
