"""What the tests of metrics and logs share: a clock set by hand, an observed mapping, a page of metrics taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from poller.observe.mapping import MappingFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

    from poller.observe.metrics import Metrics

ORDERS = MappingFacts(name="orders", source_type="kinesis", source="orders-stream", function="handle", destination="sqs")


@dataclass(slots=True)
class HandClock:
    """A `Clock` that stands still until it is moved."""

    now: float = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - 1_600_000_000.0


@dataclass(slots=True, kw_only=True)
class FakeShard:
    """A `ShardProbe` with figures set by hand."""

    iterator_age: float = 0.0
    behind: float | None = 0.0
    buffered_bytes: int = 0
    state: Literal["open", "blocked"] = "open"


class Page:
    """A page of metrics, read by the parser of prometheus_client."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = {family.name: family for family in families}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the one series with exactly these labels; None where there is no such series."""
        found = [sample.value for sample in self.samples if sample.name == name and sample.labels == labels]
        assert len(found) <= 1, f"{name} {labels} is there {len(found)} times"
        return found[0] if found else None

    def labelled(self, **labels: str) -> list[str]:
        """The names of all series that have these labels among theirs."""
        return [sample.name for sample in self.samples if labels.items() <= sample.labels.items()]


def classic(text: str) -> Page:
    return Page(parse_classic(text))


def openmetrics(text: str) -> Page:
    return Page(parse_openmetrics(text))  # type: ignore[no-untyped-call]


def scrape(metrics: Metrics) -> Page:
    """What a scrape would see now."""
    metrics.snapshot()
    return classic(metrics.render().decode())
