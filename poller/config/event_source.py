"""What all event source mappings have: Lambda's fields, ranges and defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from uuid import UUID, uuid5

from pydantic import Field

from poller.config.arn import FIFO_SUFFIX, Arn
from poller.config.destination import DestinationConfig
from poller.config.fields import Endpoint, Name, Region, Text, Uuid, canonical
from poller.config.filters import FilterCriteria, pattern_faults
from poller.config.section import LambdaSection, given_key, given_text, given_value
from poller.config.unbuilt import OF_ALL
from poller.config.wording import Check, fault

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

    from poller.core.filters import FilterShape
    from poller.core.model import MappingId

MAPPING_NAMESPACE = UUID("0d6ac1b4-9d3e-4a57-8a43-6a6f1d1c2b70")
"""UUIDs that follow from names are made in this name space; it never changes, else checkpoints are lost."""

LONGEST_WINDOW = 300
"""Seconds."""

ABSENT = "is not supported yet: "
_KAFKA_ONLY = ABSENT + "it belongs to Kafka; use a Kinesis stream or an SQS queue"


class EventSourceMapping(LambdaSection):
    """A source, the function that it feeds, and what becomes of failures."""

    refused: ClassVar[Mapping[str, str]] = {
        "kms_key_arn": ABSENT + "filters are not encrypted here, leave it out",
        "metrics_config": "is not needed: all metrics are on, see http",
        "logging_config": ABSENT + "use log at the top of the file",
        "topics": _KAFKA_ONLY,
        "self_managed_event_source": _KAFKA_ONLY,
        "self_managed_kafka_event_source_config": _KAFKA_ONLY,
        "amazon_managed_kafka_event_source_config": _KAFKA_ONLY,
        "source_access_configurations": ABSENT + "it belongs to Kafka and brokers; use a Kinesis stream or an SQS queue",
        "queues": ABSENT + "it belongs to Amazon MQ; a queue of SQS is named by event_source_arn",
        "document_db_event_source_config": ABSENT + "it belongs to DocumentDB; use a Kinesis stream or an SQS queue",
        "tags": ABSENT + "leave it out",
    }
    unbuilt: ClassVar[Mapping[str, Check]] = OF_ALL

    name: Name = Field(
        description="Unique; in logs, metrics and commands. 1 to 64 letters, digits, - or _.",
        examples=["orders"],
    )
    uuid: Uuid = Field(
        default_factory=lambda valid: default_uuid(valid["name"]),
        description="The key of what the store keeps of it: leases, checkpoints. Default: follows from the name, so a new name"
        " is a new mapping.",
    )
    event_source_arn: str = Field(
        description="ARN of the source.",
    )
    function_name: Text = Field(
        description="A name under `functions`.",
        examples=["orders"],
    )
    enabled: bool = Field(
        default=True,
        description="false: nothing is read, and nothing is lost. Default true.",
    )
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Whose turn it is where fewer invocations may run than wait: a higher number goes first, always; among equals"
        " the mappings in turn. Default 0 for all.",
    )
    maximum_batching_window_in_seconds: int = Field(
        default=0,
        ge=0,
        le=LONGEST_WINDOW,
        description="Seconds to wait for a full batch. Default 0: invoke with what one read returned.",
    )
    function_response_types: Annotated[tuple[Literal["ReportBatchItemFailures"], ...], Field(strict=False)] = Field(
        default=(),
        max_length=1,
        description="[ReportBatchItemFailures]: the answer names the records that failed. Default: none, the answer is not read.",
    )
    filter_criteria: FilterCriteria = Field(
        default_factory=FilterCriteria,
        description="Which records the function is to see. Default: all.",
    )
    destination_config: DestinationConfig = Field(
        default_factory=DestinationConfig,
        description="Where records go that are given up. Default: nowhere, they are dropped.",
    )
    on_destination_error: Literal["wait", "drop"] = Field(
        default="wait",
        description="What becomes of given up records that the destination does not take. wait: they are kept, their shard or"
        " message waits, and it is tried again until it has them; drop: as Lambda does, after three tries they are lost, counted"
        " and logged. Default wait, because nothing is lost without being asked.",
    )
    region: Region | None = Field(
        default=None,
        description="Region of the source's endpoint. Default: the one in the ARN.",
    )
    endpoint_url: Endpoint | None = Field(
        default=None,
        description="Base URL of the services, for the source and the destination. Default: aws.endpoint_url.",
    )
    profile: Text | None = Field(
        default=None,
        description="Profile of the AWS configuration files, for the source and the destination. Default: aws.profile.",
    )

    @property
    def arn(self) -> Arn:
        """The source's ARN in its parts."""
        return Arn.of(self.event_source_arn)

    @property
    def source_type(self) -> str:
        """The kind of source, as metrics name it: kinesis, dynamodb, sqs."""
        return self.arn.service

    @property
    def shape(self) -> FilterShape:
        """What filter patterns see of the source's records."""
        return self.filter_shape(self.event_source_arn)

    @classmethod
    def filter_shape(cls, arn: str, /) -> FilterShape:
        """The shape of the records of a source of this kind, by its ARN."""
        raise NotImplementedError

    @property
    def patterns(self) -> tuple[str | Mapping[str, object], ...]:
        """The filter's patterns, each as JSON or as the object that the JSON says; none: every record is wanted."""
        return tuple(each.pattern for each in self.filter_criteria.filters)

    @property
    def reports_batch_item_failures(self) -> bool:
        """Whether the function's answer names the records that failed."""
        return "ReportBatchItemFailures" in self.function_response_types

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """Each pattern can be compiled for this source."""
        yield from pattern_faults(given, lambda: cls.filter_shape(given_text(given, "event_source_arn") or ""))
        yield from _fifo_destination(given)
        yield from _to_itself(given)
        yield from _dropping(given)


def _fifo_destination(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """As Lambda: none. But what a FIFO queue gives up may go to another one, in its groups and their order."""
    target = given_text(given_value(given_value(given, "destination_config"), "on_failure"), "destination") or ""
    source = given_text(given, "event_source_arn") or ""
    if ":sqs:" in target and target.endswith(FIFO_SUFFIX) and not source.endswith(FIFO_SUFFIX):
        at = ("destination_config", "on_failure", "destination")
        key = given_key(given_value(given_value(given, "destination_config"), "on_failure"), "destination")
        yield fault(at, f'"{key}" cannot be a FIFO queue (Lambda refuses it too): use a standard one')


def _to_itself(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """A stream that gets what is given up of it; queues say so themselves."""
    target = given_text(given_value(given_value(given, "destination_config"), "on_failure"), "destination")
    if target and ":kinesis:" in target and target == given_text(given, "event_source_arn"):
        at = ("destination_config", "on_failure", "destination")
        yield fault(at, "what fails would come back for ever: the destination must be another stream than the source")


def _dropping(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """What it does where a destination fails can be said only where there is one."""
    key, target = given_key(given, "on_destination_error"), given_value(given_value(given, "destination_config"), "on_failure")
    if key is not None and given_text(given, key) == "drop" and not given_text(target, "destination"):
        text = f'"{key}" needs destination_config.on_failure.destination: without one what is given up is dropped anyway'
        yield fault((key,), text, at="key")


def default_uuid(name: str) -> MappingId:
    """The UUID of a mapping that gives none: follows from its name alone."""
    return canonical(uuid5(MAPPING_NAMESPACE, name))
