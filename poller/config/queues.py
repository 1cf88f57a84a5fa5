"""Event source mappings that read an SQS queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from poller.config.arn import FIFO_SUFFIX, queue_arn
from poller.config.event_source import ABSENT, LONGEST_WINDOW, EventSourceMapping
from poller.config.section import given_key, given_text, given_value
from poller.config.unbuilt import OF_QUEUES, scaling
from poller.config.wording import Check, fault

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails

    from poller.core.filters import FilterShape

_STREAMS_ONLY = "belongs to streams: "
_NO_POSITION = _STREAMS_ONLY + "a queue has no positions, each receive brings what is there"
_FLEET = ABSENT + "limit the queue's function with its maximum_concurrency"

ONE_RECEIVE = 10
"""Messages that SQS hands out in one receive at the most."""

LARGEST_BATCH = 10_000


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
        "scaling_config": _FLEET,
        "provisioned_poller_config": _FLEET,
    }
    unbuilt: ClassVar[Mapping[str, Check]] = {**EventSourceMapping.unbuilt, **OF_QUEUES}

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
    receive_wait: int = Field(
        default=20,
        ge=0,
        le=20,
        description="Seconds of a long poll; also how long a drain may have to wait for open polls. Default 20, SQS's longest:"
        " the fewest requests.",
    )

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of its message groups."""
        return self.event_source_arn.endswith(FIFO_SUFFIX)

    @classmethod
    def filter_shape(cls) -> FilterShape:
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
    if given_value(given, "maximum_receive_count") is None:
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


def _number(given: Mapping[str, object], field: str) -> int | None:
    value = given_value(given, field)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
