"""Event source mappings that read an SQS queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from poller.config.arn import FIFO_SUFFIX, queue_arn
from poller.config.event_source import LONGEST_WINDOW, EventSourceMapping
from poller.config.section import LambdaSection, given_key, given_text, given_value
from poller.config.unbuilt import scaling
from poller.config.wording import fault

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

    from poller.core.breaker import BreakerLimits
    from poller.core.filters import FilterShape
    from poller.core.scaling import PollerLimits

_STREAMS_ONLY = "belongs to streams: "
_NO_POSITION = _STREAMS_ONLY + "a queue has no positions, each receive brings what is there"
FEWEST_POLLERS, MOST_POLLERS = 2, 200
BATCHES_EACH = 10
"""Lambda's provisioned mode: its defaults, and how many invocations one poller may have under way."""

ONE_RECEIVE = 10
"""Messages that SQS hands out in one receive at the most."""

LARGEST_BATCH = 10_000


class ScalingConfig(LambdaSection):
    """Lambda's ScalingConfig."""

    maximum_concurrency: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Batches of this mapping that run at the same time, at the most; from 1 (Lambda: from 2). Default: as many as"
        " its function may run.",
    )


class ProvisionedPollerConfig(LambdaSection):
    """Lambda's ProvisionedPollerConfig: each poller polls, and has up to ten batches in hand."""

    refused: ClassVar[Mapping[str, str]] = {"poller_group_name": "belongs to Kafka"}

    minimum_pollers: int | None = Field(
        default=None,
        ge=1,
        le=200,
        description="Polls kept open on a quiet queue; from 1 (Lambda: from 2). Default: 2, as Lambda's, where maximum_pollers is"
        " set.",
    )
    maximum_pollers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Polls open at the same time, at the most, with ten batches in hand for each; from 1 (Lambda: from 2)."
        " Default: 200, as Lambda's, where minimum_pollers is set.",
    )


class CircuitBreakerConfig(LambdaSection):
    """When a function fails too often nothing more is received, and so no message uses up its receives."""

    failures: int | None = Field(
        default=None,
        ge=1,
        description="Failed batches in a row after which receiving stops; 5 is a good number. A batch counts as failed where all"
        " its messages failed. Default: their number does not matter.",
    )
    error_rate: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Part of the last `batches` that failed, at which receiving stops, 0.5 for half of them. Default: it does not"
        " matter.",
    )
    batches: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="Batches over which the error rate is taken. Default 20.",
    )
    probe_interval: float = Field(
        default=30,
        gt=0,
        description="Seconds until one batch is received to try, and after one that failed until the next. Default 30.",
    )


class QueueMappingConfig(EventSourceMapping):
    """A queue, the function that it feeds, and what becomes of failures."""

    refused: ClassVar[Mapping[str, str]] = {
        **EventSourceMapping.refused,
        "starting_position": _NO_POSITION,
        "starting_position_timestamp": _NO_POSITION,
        "parallelization_factor": _STREAMS_ONLY + "limit the queue's function with its maximum_concurrency",
        "maximum_retry_attempts": _STREAMS_ONLY
        + "what fails is given up by the queue's redrive policy (maxReceiveCount), or without one by maximum_receive_count",
        "maximum_record_age_in_seconds": _STREAMS_ONLY + "use the queue's own MessageRetentionPeriod",
        "bisect_batch_on_function_error": _STREAMS_ONLY + "use function_response_types: [ReportBatchItemFailures]",
        "tumbling_window_in_seconds": _STREAMS_ONLY + "keep state in the handler's own storage",
        "resume": _STREAMS_ONLY + "a queue has no checkpoints that could be lost",
        "on_trimmed": _STREAMS_ONLY + "what a queue's retention takes is not told",
        "retry_backoff": _STREAMS_ONLY + "when a failed message comes back is said by release",
        "non_retryable_errors": _STREAMS_ONLY + "what fails is given up by its number of deliveries alone",
        "on_exhausted": _STREAMS_ONLY + "a message that fails holds up no other; for FIFO groups see fifo_group_guard",
    }

    event_source_arn: Annotated[str, AfterValidator(queue_arn)] = Field(
        description="ARN of the SQS queue, standard or FIFO.",
        examples=["arn:aws:sqs:eu-west-1:123456789012:orders"],
    )
    batch_size: int = Field(
        default=ONE_RECEIVE,
        ge=1,
        le=LARGEST_BATCH,
        description="Messages in one invocation at the most; FIFO: at most 10; above 10 only with a batching window. Default 10,"
        " as Lambda's for queues: what one receive returns.",
    )
    maximum_receive_count: int | None = Field(
        default=None,
        ge=1,
        description="Deliveries after which a message that still fails is given up; only where the queue has no redrive policy of"
        " its own (a redrive policy wins). Default: none, it comes back until the queue's retention ends.",
    )
    release: Literal["backoff", "at_once", "lapse"] = Field(
        default="backoff",
        description="When a failed message may be received again. backoff: after 1 s, 2 s, 4 s, ... at most 60 s, doubled with"
        " its receive count; at_once; lapse: when its visibility time-out ends, as Lambda does. Default backoff: a message is"
        " neither held up by a time-out that was made for long handlers, nor are its deliveries used up at once.",
    )
    fifo_group_guard: bool = Field(
        default=True,
        description="FIFO: after a failed message the later ones of its group are kept too, although the function did not report"
        " them. Default true, because without it the group loses its order; false: as Lambda does.",
    )
    on_filtered: Literal["delete", "release", "destination"] = Field(
        default="delete",
        description="What becomes of messages that the filter does not want. delete: as Lambda does; release: they go back, for"
        " another consumer of the queue, and wait as failed ones do; destination: they go where given up messages go. Default"
        " delete.",
    )
    receive_wait: int = Field(
        default=20,
        ge=0,
        le=20,
        description="Seconds of a long poll; also how long a drain may have to wait for open polls. Default 20, SQS's longest:"
        " the fewest requests.",
    )

    scaling_config: ScalingConfig = Field(
        default_factory=ScalingConfig,
        description="How many batches of this mapping run at the same time. Default: as many as its function may run.",
    )
    provisioned_poller_config: ProvisionedPollerConfig = Field(
        default_factory=ProvisionedPollerConfig,
        description="Between which numbers of pollers the mapping scales. Default: from minimum_pollers to what the function may"
        " run.",
    )
    minimum_pollers: int = Field(
        default=1,
        ge=1,
        le=200,
        description="Polls kept open on a quiet queue. Default 1, not Lambda's five: more take milliseconds to come, and an"
        " idle one costs three requests a minute.",
    )
    maximum_in_flight: int = Field(
        default=100_000,
        ge=1,
        le=120_000,
        description="Messages in hand at the same time, waiting or running, at the most. Default 100,000: SQS allows 120,000 of a"
        " queue, for all consumers.",
    )

    circuit_breaker: CircuitBreakerConfig = Field(
        default_factory=CircuitBreakerConfig,
        description="When receiving stops because the function fails: after `failures`, or at an `error_rate`. Default: never, as"
        " in Lambda.",
    )

    @property
    def breaker(self) -> BreakerLimits | None:
        """When receiving stops; None: never."""
        from poller.core.breaker import BreakerLimits  # noqa: PLC0415  (validation alone does not need it)

        given = self.circuit_breaker
        if given.failures is None and given.error_rate is None:
            return None
        return BreakerLimits(
            failures=given.failures, error_rate=given.error_rate, batches=given.batches, probe_interval=given.probe_interval
        )

    def pollers(self, concurrency: int) -> PollerLimits:
        """Between which numbers the mapping scales, where its function may run so many invocations at the same time."""
        from poller.core.scaling import PollerLimits  # noqa: PLC0415  (validation alone does not need it)

        batches = min(self.scaling_config.maximum_concurrency or concurrency, concurrency)
        least, most = self.provisioned_poller_config.minimum_pollers, self.provisioned_poller_config.maximum_pollers
        if least is None and most is None:
            return PollerLimits(quiet=self.minimum_pollers, polls=batches, batches=batches)
        polls = most or MOST_POLLERS
        return PollerLimits(quiet=least or FEWEST_POLLERS, polls=polls, batches=min(batches, polls * BATCHES_EACH))

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of its message groups."""
        return self.event_source_arn.endswith(FIFO_SUFFIX)

    @classmethod
    def filter_shape(cls, _: str, /) -> FilterShape:
        """SQS's."""
        from poller.core.filters import SQS  # noqa: PLC0415  (only filters need it, and it takes time to import)

        return SQS

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
        """What FIFO queues cannot do, what only they can, and what goes together."""
        yield from super().rules(given)
        arn = given_text(given, "event_source_arn")
        if arn is not None:
            yield from _fifo(given) if arn.endswith(FIFO_SUFFIX) else _standard(given)
        yield from _given_up(given)
        yield from _filtered(given)
        yield from scaling(given)


def _fifo(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """As Lambda: a batch is one receive."""
    if _number(given, "batch_size") in range(ONE_RECEIVE + 1, LARGEST_BATCH + 1):
        yield fault(("batch_size",), f'"{given_key(given, "batch_size")}" must be from 1 to {ONE_RECEIVE} for a FIFO queue')
    window = "maximum_batching_window_in_seconds"
    if _number(given, window) in range(1, LONGEST_WINDOW + 1):
        yield fault((window,), f'"{given_key(given, window)}" must be 0 for a FIFO queue')


def _standard(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    window, guard = "maximum_batching_window_in_seconds", "fifo_group_guard"
    large = _number(given, "batch_size") in range(ONE_RECEIVE + 1, LARGEST_BATCH + 1)
    if large and (given_value(given, window) is None or _number(given, window) == 0):
        yield fault(
            ("batch_size",),
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10:"
            f" set {window}, or use 10 at the most",
        )
    if (key := given_key(given, guard)) is not None:
        yield fault((guard,), f'"{key}" belongs to FIFO queues: a standard queue has no groups, leave it out', at="key")


def _given_up(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """A destination needs a number of deliveries, and is another queue."""
    destination = given_text(given_value(given_value(given, "destination_config"), "on_failure"), "destination")
    if not destination:
        return
    if given_value(given, "maximum_receive_count") is None and given_text(given, "on_filtered") != "destination":
        yield fault(
            ("destination_config",),
            f'"{given_key(given, "destination_config")}" needs "maximum_receive_count": Lambda gives up messages by the redrive'
            " policy of the queue itself; to use a destination instead, set maximum_receive_count",
            at="key",
        )
    if destination == given_text(given, "event_source_arn"):
        yield fault(
            ("destination_config", "on_failure", "destination"),
            "what fails would come back for ever: the destination must be another queue than the source",
        )


def _filtered(given: Mapping[str, object]) -> Iterator[InitErrorDetails]:
    """What `on_filtered` needs beside it."""
    key, mode = given_key(given, "on_filtered"), given_text(given, "on_filtered")
    arn = given_text(given, "event_source_arn") or ""
    if key is None:
        return
    if mode == "release" and arn.endswith(FIFO_SUFFIX):
        yield fault((key,), f'"{key}" cannot be release for a FIFO queue: what goes back would hold up its whole group')
    if mode == "release" and given_text(given, "release") == "at_once":
        yield fault(
            (key,),
            f'"{key}" cannot be release where "release" is at_once: what nobody wants would be received again without a pause',
        )
    if mode == "destination" and not given_text(
        given_value(given_value(given, "destination_config"), "on_failure"), "destination"
    ):
        yield fault((key,), f'"{key}" needs destination_config.on_failure.destination to send them to')


def _number(given: Mapping[str, object], field: str) -> int | None:
    value = given_value(given, field)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
