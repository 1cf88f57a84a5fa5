"""How a metric is declared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

M = TypeVar("M", Counter, Gauge, Histogram)

OWNERS = ("mapping", "function")
"""Labels that say to whom a series belongs, where they come first: with whom it begins at 0, and with whom it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label; `values` is its closed set, empty where the set depends on who is observed (a mapping's name, a shard)."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition(Generic[M]):
    """One metric.

    Attributes:
        name: as it is scraped: base unit, `_total` for counters.
        type: of prometheus_client.
        meaning: one or two sentences, the HELP text.
        labels: the owner's first.
        buckets: upper bounds of a histogram, without +Inf.
        cloudwatch: the counterpart among the metrics of AWS Lambda or Kinesis; empty where there is none.
        from_start: its series are there from the start, at 0; else from when they are first set, because 0 would be a lie.
    """

    name: str
    type: type[M]
    meaning: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    cloudwatch: str = ""
    from_start: bool = True

    @property
    def owner(self) -> str:
        """`mapping` or `function`; empty for what belongs to the daemon."""
        return self.labels[0].name if self.labels and self.labels[0].name in OWNERS else ""

    def label_sets(self, known: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
        """All combinations of label values that can be told beforehand: none while the values of an open label are unknown.

        `known` gives the values of open labels.
        """
        return product(*(label.values or tuple(known.get(label.name, ())) for label in self.labels))


AnyDefinition = Definition[Counter] | Definition[Gauge] | Definition[Histogram]


def counter(name: str, meaning: str, *labels: Label, cloudwatch: str = "") -> Definition[Counter]:
    """Declares a counter."""
    return Definition(name=name, type=Counter, meaning=meaning, labels=labels, cloudwatch=cloudwatch)


def gauge(name: str, meaning: str, *labels: Label, cloudwatch: str = "", from_start: bool = True) -> Definition[Gauge]:
    """Declares a gauge."""
    return Definition(name=name, type=Gauge, meaning=meaning, labels=labels, cloudwatch=cloudwatch, from_start=from_start)


def histogram(name: str, meaning: str, *labels: Label, buckets: tuple[float, ...], cloudwatch: str = "") -> Definition[Histogram]:
    """Declares a histogram."""
    return Definition(name=name, type=Histogram, meaning=meaning, labels=labels, buckets=buckets, cloudwatch=cloudwatch)
