"""Event source mappings that read a Kinesis stream, or the stream of a DynamoDB table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from poller.config.arn import names_table, stream_arn
from poller.config.event_source import EventSourceMapping
from poller.config.fields import FOREVER, Age, Moment
from poller.config.problem import printable
from poller.config.retries import ErrorType, RetryBackoff, exhaustible
from poller.config.section import given_key, given_text, given_value
from poller.config.unbuilt import tumbling
from poller.config.wording import fault

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

    from poller.core.filters import FilterShape

_QUEUES_ONLY = "belongs to queues: "
_FLEET = _QUEUES_ONLY + "limit a stream's function with its maximum_concurrency"


class StreamMappingConfig(EventSourceMapping):
    """A stream, the function that it feeds, and what becomes of failures."""

    refused: ClassVar[Mapping[str, str]] = {
        **EventSourceMapping.refused,
        "scaling_config": _FLEET,
        "provisioned_poller_config": _FLEET,
        "maximum_receive_count": _QUEUES_ONLY + "for a stream use maximum_retry_attempts",
        "release": _QUEUES_ONLY + "a stream's failed batch blocks its shard and is retried, see maximum_retry_attempts",
        "fifo_group_guard": _QUEUES_ONLY + "a shard keeps its order without it",
        "receive_wait": _QUEUES_ONLY + "a stream has no long polls",
    }
    event_source_arn: Annotated[str, AfterValidator(stream_arn)] = Field(
        description="ARN of the Kinesis stream, or of a DynamoDB table's stream (not of the table).",
        examples=["arn:aws:kinesis:eu-west-1:123456789012:stream/orders"],
    )
    batch_size: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Records in one invocation at the most. Default 100, as Lambda's for streams.",
    )
    parallelization_factor: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Batches of one shard at the same time; a key keeps its order. Default 1, as Lambda's, whose most is 10.",
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
    retry_backoff: RetryBackoff = Field(
        default_factory=RetryBackoff,
        description="How long a failed batch waits before it is tried again. Default: half a second, doubling, at most a minute.",
    )
    non_retryable_errors: Annotated[tuple[ErrorType, ...], Field(strict=False)] = Field(
        default=(),
        max_length=100,
        description="Types of errors of the function (errorType, for example ValueError; * at the end: any ending) that are not"
        " worth a retry. A batch of several records is still split, if it may be. Default: none, as in Lambda.",
    )
    on_exhausted: Literal["discard", "block"] = Field(
        default="discard",
        description="What becomes of a batch that is out of retries, or whose error is not worth one. discard: it goes to the"
        " destination; block: its shard waits for an operator, and tries it at the longest wait until the function is mended."
        " Default discard, as Lambda.",
    )
    tumbling_window_in_seconds: int = Field(
        default=0,
        ge=0,
        le=900,
        description="Seconds of the windows over which the function keeps a state, from one invocation to the next. Default 0: no"
        " windows, each invocation for itself.",
    )
    resume: Literal["fail", "latest", "trim_horizon"] = Field(
        default="fail",
        description="What to do when the store has lost the checkpoints of a mapping that ran before. Default fail: stop and say"
        " so, because both other ways lose or repeat records.",
    )
    on_trimmed: Literal["trim_horizon", "fail"] = Field(
        default="trim_horizon",
        description="What to do when the stream's retention has taken records that nobody had read: go on with the oldest record"
        " that is left, or stop the shard and say so. Default trim_horizon, as Lambda's: what is lost does not come back.",
    )

    @property
    def stream_name(self) -> str:
        """What metrics call the source: the name of the stream, or of the table."""
        return self.arn.resource.split("/")[1]

    @property
    def reads_table(self) -> bool:
        """Whether its records tell of changes of a DynamoDB table."""
        return names_table(self.event_source_arn)

    @property
    def max_retries(self) -> int | None:
        """Retries before a batch is given up; None: for ever."""
        return None if self.maximum_retry_attempts == FOREVER else self.maximum_retry_attempts

    @property
    def max_age(self) -> float | None:
        """Seconds after which a record is given up; None: never."""
        return None if self.maximum_record_age_in_seconds == FOREVER else float(self.maximum_record_age_in_seconds)

    @classmethod
    def filter_shape(cls, arn: str, /) -> FilterShape:
        """Kinesis's or DynamoDB's."""
        from poller.core.filters import DYNAMODB, KINESIS  # noqa: PLC0415  (only filters need it, and it takes time to import)

        return DYNAMODB if names_table(arn) else KINESIS

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """A time belongs to AT_TIMESTAMP, and to nothing else; AT_TIMESTAMP to Kinesis."""
        yield from super().rules(given)
        yield from tumbling(given)
        yield from exhaustible(given)
        yield from _position(given)


def _position(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    start, key = given_value(given, "starting_position"), "starting_position_timestamp"
    timed = given_value(given, key) is not None
    if start == "AT_TIMESTAMP" and names_table(arn := given_text(given, "event_source_arn") or ""):
        yield fault(("starting_position",), f"Unsupported starting position for arn type: {printable(arn)}")
    elif start == "AT_TIMESTAMP" and not timed:
        yield fault((key,), f'missing key "{key}": AT_TIMESTAMP needs it, for example {key}: 2026-01-01T00:00:00Z', at="parent")
    if timed and start in {"TRIM_HORIZON", "LATEST"}:
        yield fault((key,), f'"{given_key(given, key)}" belongs to AT_TIMESTAMP, not to {start}', at="key")
