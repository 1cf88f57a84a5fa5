"""What the tests of metrics and logs share: a clock set by hand, an observed mapping, a page of metrics taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from poller.core.model import BEGINNING, Attempt, Discard, DiscardReason, Errored, ShardId
from poller.observe.mapping import MappingFacts, MappingObserver
from poller.observe.metrics import Metrics
from poller.observe.shards import ShardStatus
from support.build import attempt, records

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from prometheus_client import Metric

    from poller.core.model import Answer, Outcome

ORDERS = MappingFacts(name="orders", source_type="kinesis", source="orders-stream", function="handle", destination="sqs")

SHARD = "shardId-000000000000"
FUNCTION_ERROR = Errored("function_error", b"{}")


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

    def status(self) -> ShardStatus:
        return ShardStatus(
            shard=ShardId(SHARD),
            position=BEGINNING,
            iterator_age=self.iterator_age,
            behind=self.behind,
            buffered_records=0,
            buffered_bytes=self.buffered_bytes,
            state=self.state,
            read_error=None,
            lanes=(),
        )


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


class Bench:
    """A mapping under observation, its clock, its log, its page."""

    def __init__(self, facts: MappingFacts = ORDERS) -> None:
        self.clock = HandClock()
        self.metrics = Metrics()
        self.mapping = MappingObserver(self.metrics, facts, self.clock)
        self.log: list[MutableMapping[str, Any]] = []

    @property
    def page(self) -> Page:
        return scrape(self.metrics)

    def count(self, name: str, **labels: str) -> float | None:
        return self.page.value(f"poller_{name}", mapping="orders", **labels)

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [{key: value for key, value in line.items() if key != "event"} for line in self.log if line["event"] == event]

    def run(self, answer: Answer, outcome: Outcome, of: Attempt | None = None, seconds: float = 0.25) -> None:
        """One invocation from beginning to end."""
        of = of or Attempt(records=records(1, 2, 3, arrived_at=self.clock.now - 10), request_id="r1")
        self.mapping.invoking(of, SHARD, self.clock.now)
        self.clock.now += seconds
        self.mapping.answered(of, SHARD, answer, outcome, seconds)


def given_up(reason: DiscardReason = "RetryAttemptsExhausted") -> Discard:
    return Discard(records=records(7, 8), reason=reason, attempt=attempt(7, 8, request_id="r1"), invoke_count=4)
