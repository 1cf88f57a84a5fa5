"""The metrics of one daemon: a registry of its own with everything in `catalogue`, and the series of each owner.

Gauges that must be computed are set by callbacks at each scrape, on the event loop; the text is rendered wherever the caller
likes, best in a thread: 23,000 series take some 300 ms.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from poller import __version__
from poller.observe.catalogue import (
    BUILD_INFO,
    CATALOGUE,
    EVENT_LOOP_LAG,
    LAST_RELOAD_SUCCESS,
    LAST_RELOAD_SUCCESSFUL,
    READY,
    STORE_OPERATION_DURATION,
    STORE_UP,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client import Gauge

    from poller.observe.definition import AnyDefinition, Definition, M

    Instrument = Counter | Gauge | Histogram

CLASSIC = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

disable_created_metrics()  # type: ignore[no-untyped-call]  # one series less per counter and histogram; the library knows this only as a global switch


class Metrics:
    """The metrics of one daemon. Make as many as you like in one process.

    Attributes:
        registry: of prometheus_client; also holds `process_*` and `python_gc_*`.
    """

    def __init__(self, revision: str = "unknown") -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._instruments = {definition.name: _declare(definition, self.registry) for definition in CATALOGUE}
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._on_scrape: list[Callable[[], None]] = []
        self._series = Series(self, "", {})
        build = (__version__, revision, platform.python_version())
        self._series.get(BUILD_INFO, *build).set(1)

    def instrument(self, name: str) -> Instrument:
        """A metric as the library has it; `Series` makes its children."""
        return self._instruments[name]

    def on_scrape(self, callback: Callable[[], None]) -> None:
        """Calls this at every `snapshot`, on the loop, to set what must be computed. It returns at once and never raises."""
        self._on_scrape.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """The opposite of `on_scrape`."""
        self._on_scrape.remove(callback)

    def snapshot(self) -> None:
        """Computes what is computed at scrape. Call it on the event loop, right before `render`."""
        for callback in tuple(self._on_scrape):
            callback()

    def render(self, *, openmetrics: bool = False) -> bytes:
        """The page, as classic text or as OpenMetrics with exemplars. Takes long where there is much; may run in any thread."""
        if not openmetrics:
            return generate_latest(self.registry)
        page: bytes = generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]
        return page

    def ready(self, *, ready: bool) -> None:
        """Whether the daemon is ready."""
        self._series.get(READY).set(ready)

    def store_up(self, *, up: bool) -> None:
        """Whether the last operation on the store worked."""
        self._series.get(STORE_UP).set(up)

    def store_operation(self, operation: str, seconds: float) -> None:
        """One operation on the store, by the name of the port's method, took so long; whether it worked is `store_up`'s."""
        self._series.get(STORE_OPERATION_DURATION, operation).observe(seconds)

    def reloaded(self, at: float | None) -> None:
        """The configuration was read and runs, at this Unix time; None: it does not, what ran before goes on."""
        self._series.get(LAST_RELOAD_SUCCESSFUL).set(at is not None)
        if at is not None:
            self._series.get(LAST_RELOAD_SUCCESS).set(at)

    def event_loop_lag(self, seconds: float) -> None:
        """A sleeper was woken so many seconds late."""
        self._series.get(EVENT_LOOP_LAG).observe(seconds)


class Series:
    """The series of one owner (a mapping, a function, or the daemon): they begin together, at 0, and go together."""

    def __init__(self, metrics: Metrics, owner: str, known: Mapping[str, Sequence[str]]) -> None:
        """Makes every series of the owner that can be told beforehand; `known` gives the values of open labels."""
        self._metrics = metrics
        self._children: dict[tuple[str, tuple[str, ...]], Instrument] = {}
        for definition in CATALOGUE:
            if definition.owner == owner and definition.from_start:
                for labels in definition.label_sets(known):
                    self._child(definition.name, labels)

    def get(self, definition: Definition[M], *labels: str) -> M:
        """The series with these label values, made if it is new. Keep what is used often: a call costs more than counting."""
        return cast("M", self._child(definition.name, labels))

    def drop(self, definition: AnyDefinition, *labels: str) -> None:
        """Removes one series, if it is there. What still holds it counts into the void."""
        if self._children.pop((definition.name, labels), None) is not None:
            self._metrics.instrument(definition.name).remove(*labels)

    def close(self) -> None:
        """Removes them all."""
        for name, labels in self._children:
            self._metrics.instrument(name).remove(*labels)
        self._children.clear()

    def _child(self, name: str, labels: tuple[str, ...]) -> Instrument:
        child = self._children.get((name, labels))
        if child is None:
            metric = self._metrics.instrument(name)
            child = self._children[name, labels] = metric.labels(*labels) if labels else metric
        return child


def _declare(definition: AnyDefinition, registry: CollectorRegistry) -> Instrument:
    names = [label.name for label in definition.labels]
    if definition.type is Histogram:
        return Histogram(definition.name, definition.meaning, names, buckets=definition.buckets, registry=registry)
    return definition.type(definition.name, definition.meaning, names, registry=registry)
