"""From pages of `/metrics` and depths of queues to the numbers that the demo shows. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.demo.sources import Source

    Mark = tuple[float, int, int]

RATES_OVER: Final = 5.0
"""Seconds over which rates are taken."""

LEAST_SPAN: Final = 0.001

TREND: Final = 20
"""How many rates are remembered, to show where they go."""

SUCCESS: Final = "success"
NOT_YET: Final = "Starting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What queues hold.

    Attributes:
        dead_letters: messages in the dead-letter queue.
        visible: messages that wait in the source itself; None where it is no queue.
        in_flight: messages that somebody has received and not yet deleted; None where it is no queue.
    """

    dead_letters: int = 0
    visible: int | None = None
    in_flight: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """One mapping, as a page of `/metrics` has it.

    Attributes:
        state: Lambda's word.
        polled: records read so far.
        invocations: that ended so far.
        processed: records that the function took. Each that it did not take is counted as failed as often as it was tried.
        retries: invocations again of what failed (stream), messages delivered again (queue).
        splits: failed batches that were cut in two, to find the record that fails.
        failures: invocations that ended in anything but success.
        in_flight: records inside a running invocation.
        age: seconds since the arrival of the oldest record that is not done; None where there is no such thing.
    """

    state: str = NOT_YET
    polled: int = 0
    invocations: int = 0
    processed: int = 0
    retries: int = 0
    splits: int = 0
    failures: int = 0
    in_flight: int = 0
    age: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One mapping, as it is shown.

    Attributes:
        fed: orders that went into the source.
        polled_rate: records a second, over the last few seconds.
        invocation_rate: invocations a second, over the last few seconds.
        trend: records a second from page to page, the newest last.
    """

    source: Source
    fed: int
    totals: Totals
    depth: Depth
    polled_rate: float
    invocation_rate: float
    trend: tuple[float, ...]


class Page:
    """One page of `/metrics`."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [(each.name, each.labels, each.value) for family in families for each in family.samples]

    def values(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """The samples of this name that carry these labels, each with its labels."""
        return [(given, value) for sample, given, value in self._samples if sample == name and labels.items() <= given.items()]

    def total(self, name: str, **labels: str) -> int:
        """The sum of these samples."""
        return int(sum(value for _, value in self.values(name, **labels)))


def totals(page: Page, source: Source) -> Totals:
    """What a page says of this source's mapping."""
    name = source.mapping
    invoked, failed, in_flight = (
        page.total(f"poller_{metric}", mapping=name)
        for metric in ("events_invoked_total", "events_failed_total", "in_flight_events")
    )
    ended = page.total("poller_invocations_total", mapping=name)
    repeated = "batch_retries" if source.kind == "stream" else "events_redelivered"
    return Totals(
        state=_state(page, name),
        polled=page.total("poller_events_polled_total", mapping=name),
        invocations=ended,
        processed=invoked - failed - in_flight,
        retries=page.total(f"poller_{repeated}_total", mapping=name),
        splits=page.total("poller_batch_bisections_total", mapping=name),
        failures=ended - page.total("poller_invocations_total", mapping=name, outcome=SUCCESS),
        in_flight=in_flight,
        age=max((value for _, value in page.values("poller_iterator_age_seconds", mapping=name)), default=None),
    )


def _state(page: Page, mapping: str) -> str:
    on = [labels["state"] for labels, value in page.values("poller_mapping_state", mapping=mapping) if value]
    return on[0] if on else NOT_YET


@dataclass(slots=True)
class Series:
    """A mapping over time: what was said of it last, and how fast it goes.

    Attributes:
        since: when the mapping had done nothing yet, in seconds on a steady clock.
        marks: (seconds, records read, invocations) of the pages of the last few seconds, two at least.
        trend: records a second from page to page, the newest last.
    """

    source: Source
    since: float
    last: Totals = field(default_factory=Totals)
    depth: Depth = field(default_factory=Depth)
    marks: deque[Mark] = field(default_factory=deque)
    trend: deque[float] = field(default_factory=lambda: deque(maxlen=TREND))

    def add(self, page: Page, at: float) -> None:
        """Takes in a page that was read at this time."""
        self.last = totals(page, self.source)
        if not self.marks:
            self.marks.append((self.since, 0, 0))
        self.marks.append((at, self.last.polled, self.last.invocations))
        while len(self.marks) > 2 and self.marks[0][0] < at - RATES_OVER:  # noqa: PLR2004  a rate is between two marks
            self.marks.popleft()
        self.trend.append(_rate(self.marks[-2], self.marks[-1], 1))

    def row(self, fed: int) -> Row:
        """As it is now."""
        return Row(
            source=self.source,
            fed=fed,
            totals=self.last,
            depth=self.depth,
            polled_rate=self._rate(1),
            invocation_rate=self._rate(2),
            trend=tuple(self.trend),
        )

    def _rate(self, column: int) -> float:
        return _rate(self.marks[0], self.marks[-1], column) if self.marks else 0.0


def _rate(first: Mark, last: Mark, column: int) -> float:
    return (last[column] - first[column]) / max(last[0] - first[0], LEAST_SPAN)


def shortfall(rows: Iterable[Row]) -> dict[str, int]:
    """By mapping: what was fed, and is neither processed nor dead yet."""
    return {row.source.mapping: max(0, row.fed - row.totals.processed - row.depth.dead_letters) for row in rows}
