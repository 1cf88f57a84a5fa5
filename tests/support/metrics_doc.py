"""Makes docs/metrics.md from the catalogue: `PYTHONPATH=tests python -m support.metrics_doc`, from the root of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poller.observe.catalogue import CATALOGUE, SOURCE_OPERATIONS

if TYPE_CHECKING:
    from poller.observe.definition import AnyDefinition, Label

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"

HEAD = """# Metrics

<!-- made from poller/observe/catalogue.py by `PYTHONPATH=tests python -m support.metrics_doc` -->

`GET /metrics` answers in Prometheus' text format, or in OpenMetrics where the `Accept` header asks for it; OpenMetrics carries a
`request_id` exemplar on the buckets of `poller_invocation_duration_seconds`, which leads to the batch's log line. There are also
`process_*` and `python_gc_*`.

Every counter and histogram of a mapping or function is there at 0 from its start, with every value of a closed label, so that
`increase()` sees the first step. The series of a mapping, function or shard go when it goes, or when its lease is lost. No label
holds an ARN, a URL, a message id, a partition key or the text of an exception.

With more than 100 shards of one mapping in a process, the gauges with a `shard` label are folded into their maximum, as
`shard="max"`; `poller_shard_series_collapsed` and one log line say so.
"""

TABLE_HEAD = """
| metric | type | labels | meaning | CloudWatch |
|---|---|---|---|---|
"""

BUCKETS_HEAD = """
## Buckets

| histogram | upper bounds |
|---|---|
"""

VALUES_HEAD = """
## Closed sets of label values

| metric | label | values |
|---|---|---|
"""


def document() -> str:
    """The whole page."""
    table = "".join(_row(definition) for definition in CATALOGUE)
    values = "".join(_values(definition, label) for definition in CATALOGUE for label in definition.labels if label.values)
    operations = "".join(
        f"| `poller_source_api_errors_total` | `operation`, {source} | {_codes(names)} |\n"
        for source, names in SOURCE_OPERATIONS.items()
    )
    buckets = "".join(_buckets(definition) for definition in CATALOGUE if definition.buckets)
    return HEAD + TABLE_HEAD + table + VALUES_HEAD + values + operations + BUCKETS_HEAD + buckets


def _row(definition: AnyDefinition) -> str:
    kind = definition.type.__name__.lower()
    labels = ", ".join(label.name for label in definition.labels) or "-"
    return f"| `{definition.name}` | {kind} | {labels} | {definition.meaning} | {definition.cloudwatch or '-'} |\n"


def _values(definition: AnyDefinition, label: Label) -> str:
    return f"| `{definition.name}` | `{label.name}` | {_codes(label.values)} |\n"


def _buckets(definition: AnyDefinition) -> str:
    return f"| `{definition.name}` | {', '.join(f'{bound:g}' for bound in definition.buckets)} |\n"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
