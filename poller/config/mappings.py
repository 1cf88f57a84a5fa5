"""Event source mappings: Lambda's fields, ranges and defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from uuid import UUID, uuid5

from pydantic import AfterValidator, Field

from poller.config.arn import Arn, failure_destination, stream_arn
from poller.config.fields import FOREVER, Age, Endpoint, Moment, Name, Region, Text, Uuid
from poller.config.section import LambdaSection, given_text, given_value
from poller.config.wording import fault, must
from poller.core.model import MappingId

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

MAPPING_NAMESPACE = UUID("0d6ac1b4-9d3e-4a57-8a43-6a6f1d1c2b70")
"""UUIDs that follow from names are made in this name space; it never changes, else checkpoints are lost."""

_ABSENT = "is not supported yet: "
_QUEUES_ONLY = _ABSENT + "it belongs to queues; limit a stream's function with its maximum_concurrency"
_KAFKA_ONLY = _ABSENT + "it belongs to Kafka; use a Kinesis stream"


def _lanes(factor: int) -> int:
    if factor > 1:
        raise must("above 1 is not supported yet: use 1, and more shards")
    return factor


class OnFailure(LambdaSection):
    """Where records go that are given up."""

    destination: Annotated[str, AfterValidator(failure_destination)] | None = Field(
        default=None,
        description='ARN of a standard SQS queue; Lambda\'s failure document is sent there. Default: none; "" is none too.',
    )


class DestinationConfig(LambdaSection):
    """Lambda's DestinationConfig."""

    refused: ClassVar[Mapping[str, str]] = {
        "on_success": "cannot be set: Unsupported DestinationConfig parameter for given event source mapping type."
    }

    on_failure: OnFailure = Field(
        default_factory=OnFailure,
        description="Where records go whose retries are used up, or that became too old. Default: nowhere, they are dropped.",
    )


class MappingConfig(LambdaSection):
    """A stream, the function that it feeds, and what becomes of failures."""

    refused: ClassVar[Mapping[str, str]] = {
        "filter_criteria": _ABSENT + "let the handler skip what it does not want",
        "tumbling_window_in_seconds": _ABSENT + "keep state in the handler's own storage",
        "kms_key_arn": _ABSENT + "it encrypts filters, which are not supported yet either",
        "metrics_config": "is not needed: all metrics are on, see http",
        "logging_config": _ABSENT + "use log at the top of the file",
        "scaling_config": _QUEUES_ONLY,
        "provisioned_poller_config": _QUEUES_ONLY,
        "topics": _KAFKA_ONLY,
        "self_managed_event_source": _KAFKA_ONLY,
        "self_managed_kafka_event_source_config": _KAFKA_ONLY,
        "amazon_managed_kafka_event_source_config": _KAFKA_ONLY,
        "source_access_configurations": _ABSENT + "it belongs to Kafka and brokers; use a Kinesis stream",
        "queues": _ABSENT + "it belongs to Amazon MQ; use a Kinesis stream",
        "document_db_event_source_config": _ABSENT + "it belongs to DocumentDB; use a Kinesis stream",
        "tags": _ABSENT + "leave it out",
    }

    name: Name = Field(
        description="Unique; in logs, metrics and commands. 1 to 64 letters, digits, - or _.",
        examples=["orders"],
    )
    uuid: Uuid = Field(
        default_factory=lambda valid: default_uuid(valid["name"]),
        description="The key of its leases and checkpoints. Default: follows from the name, so a new name is a new mapping.",
    )
    event_source_arn: Annotated[str, AfterValidator(stream_arn)] = Field(
        description="ARN of the Kinesis stream.",
        examples=["arn:aws:kinesis:eu-west-1:123456789012:stream/orders"],
    )
    function_name: Text = Field(
        description="A name under `functions`.",
        examples=["orders"],
    )
    enabled: bool = Field(
        default=True,
        description="false: nothing is read, the checkpoints stay. Default true.",
    )
    batch_size: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Records in one invocation at the most. Default 100, as Lambda's for streams.",
    )
    maximum_batching_window_in_seconds: int = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds to wait for a full batch. Default 0: invoke with what one read returned.",
    )
    parallelization_factor: Annotated[int, AfterValidator(_lanes)] = Field(
        default=1,
        ge=1,
        le=10,
        description="Batches of one shard at the same time. Default 1, for now the only value.",
    )
    starting_position: Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"] = Field(
        description="Where a new mapping begins: the oldest record, the next one, or at a time. Later the checkpoint counts.",
        examples=["TRIM_HORIZON"],
    )
    starting_position_timestamp: Moment | None = Field(
        default=None,
        description="With AT_TIMESTAMP: Unix seconds or an ISO date and time with its offset, not in the future. Default: none.",
        examples=["2026-01-01T00:00:00Z"],
    )
    maximum_retry_attempts: int = Field(
        default=FOREVER,
        ge=FOREVER,
        le=10_000,
        description="Retries after the first failure, then the batch is given up. Default -1: for ever, as Lambda's.",
    )
    maximum_record_age_in_seconds: Age = Field(
        default=FOREVER,
        description="Seconds since a record's arrival after which it is given up: 60 to 604800. Default -1: never.",
    )
    bisect_batch_on_function_error: bool = Field(
        default=False,
        description="Split a failed batch in two, to find the record that fails. Costs no retry. Default false.",
    )
    function_response_types: Annotated[tuple[Literal["ReportBatchItemFailures"], ...], Field(strict=False)] = Field(
        default=(),
        max_length=1,
        description="[ReportBatchItemFailures]: the answer names the records that failed. Default: none, the answer is not read.",
    )
    destination_config: DestinationConfig = Field(
        default_factory=DestinationConfig,
        description="Where records go that are given up. Default: nowhere, they are dropped.",
    )
    resume: Literal["fail", "latest", "trim_horizon"] = Field(
        default="fail",
        description="What to do when the store has lost the checkpoints of a mapping that ran before. Default fail: stop and say"
        " so, because both other ways lose or repeat records.",
    )
    region: Region | None = Field(
        default=None,
        description="Region of the stream's endpoint. Default: the one in the ARN.",
    )
    endpoint_url: Endpoint | None = Field(
        default=None,
        description="Base URL of the services, for the stream and the destination. Default: aws.endpoint_url.",
    )
    profile: Text | None = Field(
        default=None,
        description="Profile of the AWS configuration files, for the stream and the destination. Default: aws.profile.",
    )

    @property
    def arn(self) -> Arn:
        """The source's ARN in its parts."""
        return Arn.of(self.event_source_arn)

    @property
    def source_type(self) -> str:
        """The kind of source, as metrics name it: kinesis."""
        return self.arn.service

    @property
    def max_retries(self) -> int | None:
        """Retries before a batch is given up; None: for ever."""
        return None if self.maximum_retry_attempts == FOREVER else self.maximum_retry_attempts

    @property
    def max_age(self) -> float | None:
        """Seconds after which a record is given up; None: never."""
        return None if self.maximum_record_age_in_seconds == FOREVER else float(self.maximum_record_age_in_seconds)

    @property
    def reports_batch_item_failures(self) -> bool:
        """Whether the function's answer names the records that failed."""
        return "ReportBatchItemFailures" in self.function_response_types

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """A time belongs to AT_TIMESTAMP, and to nothing else."""
        start, key = given_value(given, "starting_position"), "starting_position_timestamp"
        timed = given_value(given, key) is not None
        if start == "AT_TIMESTAMP" and not timed:
            yield fault(
                (key,), f'missing key "{key}": AT_TIMESTAMP needs it, for example {key}: 2026-01-01T00:00:00Z', at="parent"
            )
        if timed and start in {"TRIM_HORIZON", "LATEST"}:
            yield fault((key,), f'"{key}" belongs to AT_TIMESTAMP, not to {given_text(given, "starting_position")}', at="key")


def default_uuid(name: str) -> MappingId:
    """The UUID of a mapping that gives none: follows from its name alone."""
    return MappingId(str(uuid5(MAPPING_NAMESPACE, name)))
