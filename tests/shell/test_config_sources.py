"""Every field of CreateEventSourceMapping, source by source: what is taken, what is refused, and in which words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.session import get_session

from poller.config import InvalidConfig, load

TABLE = Path(__file__).parents[1] / "data" / "config" / "fields_by_source.txt"
SOURCES = {
    "kinesis": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
    "dynamodb": "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    "queue": "arn:aws:sqs:eu-west-1:123456789012:orders",
    "fifo": "arn:aws:sqs:eu-west-1:123456789012:orders.fifo",
}
STREAMS = {"kinesis", "dynamodb"}
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]*|[A-Z]+")


@dataclass(frozen=True)
class StoppedClock:
    def time(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 0.0


def rows() -> list[tuple[str, str, list[str]]]:
    """Fields as Lambda spells them, a kind of source, and every message, from the table."""
    found: dict[tuple[str, str], list[str]] = {}
    fields = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            fields = line
            continue
        kinds, _, said = line.strip().partition(" ")
        for kind in kinds.split(","):
            found.setdefault((fields, kind), []).extend([] if said == "ok" else [said])
    return [(*key, said) for key, said in found.items()]


def snake(text: str) -> str:
    """The same keys in snake case: what stands before a colon, or in quotes within a message."""
    return re.sub(rf"\b(?:{'|'.join((*FIELDS, *BELOW_THEM))})(?=[:\"])", lambda found: _snaked(found[0]), text)


def _snaked(name: str) -> str:
    return "_".join(WORD.findall(name)).lower()


def messages(fields: str, kind: str) -> list[str]:
    """What is wrong with a mapping that has these fields, and what else its source needs."""
    mapping = {"name": "m", "EventSourceArn": SOURCES[kind], "FunctionName": "f"}
    if kind in STREAMS:
        mapping["StartingPosition"] = "TRIM_HORIZON"
    given = [each.strip() for each in fields.split(";")]
    kept = [f"{key}: {value}" for key, value in mapping.items() if not any(_same(key, each) for each in given)]
    lines = kept + [each for each in given if not each.endswith(": absent")]
    text = "functions: {f: {executor: inline, handler: app.handler}}\nevent_source_mappings:\n  - " + "\n    ".join(lines)
    path = Path("config.yaml")
    path.write_text(text + "\n", encoding="utf-8")
    try:
        load(path, StoppedClock(), environ={})
    except InvalidConfig as error:
        return [problem.message for problem in error.problems]
    return []


def _same(key: str, field: str) -> bool:
    return field.partition(":")[0].replace("_", "").lower() == key.lower()


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("fields", "kind", "expected"), rows())
def test_a_field_is_taken_or_refused_as_by_lambda(fields: str, kind: str, expected: list[str]) -> None:
    assert sorted(messages(fields, kind)) == sorted(expected)


@pytest.mark.parametrize(("fields", "kind", "expected"), rows())
def test_it_is_the_same_in_snake_case(fields: str, kind: str, expected: list[str]) -> None:
    assert sorted(messages(snake(fields), kind)) == sorted(map(snake, expected))


def test_the_fields_are_those_of_botocores_model() -> None:
    operation = get_session().get_service_model("lambda").operation_model("CreateEventSourceMapping")
    assert sorted(operation.input_shape.members) == sorted(FIELDS)


def test_every_field_and_every_source_is_in_the_table() -> None:
    fields = {re.split(":", each)[0].strip() for row, _, _ in rows() for each in row.split(";")}
    assert fields >= set(FIELDS)
    for field in FIELDS:
        kinds = {kind for row, kind, _ in rows() if any(each.strip().startswith(f"{field}:") for each in row.split(";"))}
        assert kinds == set(SOURCES), field


FIELDS = (
    "FunctionName",
    "EventSourceArn",
    "Enabled",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "StartingPosition",
    "StartingPositionTimestamp",
    "DestinationConfig",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "BisectBatchOnFunctionError",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
    "FilterCriteria",
    "KMSKeyArn",
    "MetricsConfig",
    "LoggingConfig",
    "ScalingConfig",
    "ProvisionedPollerConfig",
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "Tags",
)
"""All of CreateEventSourceMapping, as botocore's model has them."""

BELOW_THEM = (
    "OnFailure",
    "OnSuccess",
    "Destination",
    "Filters",
    "Pattern",
    "Metrics",
    "Metric",
    "MaximumConcurrency",
    "MinimumPollers",
    "MaximumPollers",
    "PollerGroupName",
    "SystemLogLevel",
)
