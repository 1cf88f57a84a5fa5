"""The gauges of a mapping's shards, read from the shards themselves at each scrape."""

from __future__ import annotations

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
    from poller.observe.logs import Logger
    from poller.observe.metrics import Series

MOST_SHARDS = 100
"""With more shards than this in one process a mapping shows their maximum instead of each."""

ALL = "max"


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
        """`blocked` while it reads nothing because it may hold no more."""


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
