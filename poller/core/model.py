"""The values that flow through the poller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.core.memo import Cut, Window

MappingId = NewType("MappingId", str)
"""The UUID of an event source mapping: the name space of its leases and checkpoints."""

ShardId = NewType("ShardId", str)
"""A shard of a stream, unique within the stream (`shardId-000000000006`)."""

Position = NewType("Position", str)
"""A place in a shard. Its order as a string is the order of the shard; build it with `position`."""

BEGINNING = Position("")
"""Before the first record: sorts before every other position."""

SEQUENCE_DIGITS = 60
SUB_SEQUENCE_DIGITS = 10
WHOLE = "0" * SUB_SEQUENCE_DIGITS

Trigger = Literal["count", "bytes", "window", "age", "full", "end", "cut"]
"""What closed a batch. `full`: no more can come before it is done; `cut`: it is a part of one that was split before a restart, or
what comes again before such a part."""

DiscardReason = Literal["RetryAttemptsExhausted", "RecordAgeExceeded", "Filtered"]
"""Lambda's `requestContext.condition`, spelt as it spells it."""

FailureKind = Literal["function_error", "timeout", "crash", "oom", "invoke_error", "batch_item"]
"""How an attempt failed.

`function_error`: the handler raised. `timeout`: it did not answer in time. `crash`: its process died or could not start.
`oom`: its processes took more memory than the function may have, and were killed.
`invoke_error`: the event could not be delivered (payload too large). `batch_item`: it answered, and reported every record, or
reported something that names no record of the batch.
"""


def position(sequence: str, sub_sequence: int = 0) -> Position:
    """The position of a record, comparable as a string: the sequence number in 60 columns, then the sub-sequence in 10.

    Spaces pad a sequence number: they sort before digits, and leave zeros in front to those servers that write them.
    Inner records of one aggregate share a sequence number; the sub-sequence keeps them apart.
    """
    return Position(sequence.rjust(SEQUENCE_DIGITS) + (str(sub_sequence).zfill(SUB_SEQUENCE_DIGITS) if sub_sequence else WHOLE))


def sequence_number(at: Position) -> str:
    """The source's own sequence number of a position, exactly: the inverse of `position`, without the sub-sequence."""
    return at[:-SUB_SEQUENCE_DIGITS].lstrip(" ")


class Record(NamedTuple):
    """One stream record or queue message, already in the shape that the function will see.

    A tuple, alone among the values here: one is made for every record, and a frozen dataclass costs a microsecond more.

    Attributes:
        id: what a partial answer names: the sequence number of a stream record, the `messageId` of a message.
        position: its place in the shard; BEGINNING for queues, which have no order that we keep.
        receipt: the handle that settles a message; empty for streams.
        arrived_at: when the source took it, in Unix seconds (ApproximateArrivalTimestamp, SentTimestamp).
        received_at: when this process read it, in Unix seconds.
        receives: how often the source has handed it out, this time included; 1 for streams.
        group: what must stay in order and never run twice at once: partition key, item key, message group.
        payload: its element of `Records`, JSON, encoded once.
    """

    id: str
    position: Position
    arrived_at: float
    payload: bytes
    group: str = ""
    received_at: float = 0.0
    receipt: str = ""
    receives: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive wanted records of one lane, and what closed it.

    Attributes:
        retries: how often the function has failed on exactly these, under a previous holder of the shard.
        later: cuts that this holder left, and that are still to come.
    """

    records: tuple[Record, ...]
    trigger: Trigger
    retries: int = 0
    later: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Records about to be invoked together.

    Attributes:
        records: in the order of the source; empty only in the invocation that closes a tumbling window.
        retries: how often the function has failed on exactly this attempt.
        refusals: how often in a row nobody would run it (throttled, unreachable); spends no retry.
        request_id: set by the shell at the first invocation; an unchanged retry keeps it.
        window: the tumbling window that it belongs to, with the state as of now; None where there are none.
        blocked: it has no retries left, and is tried for ever, until the function is mended.
    """

    records: tuple[Record, ...]
    retries: int = 0
    refusals: int = 0
    request_id: str | None = None
    window: Window | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What an executor gets, and all it knows.

    Attributes:
        request_id: a UUID; the same for an unchanged retry.
        event: the JSON event, UTF-8.
        deadline: Unix seconds by which the function must have answered.
        arn: the function's ARN as its context shows it (`invoked_function_arn`).
        trace: the value for `_X_AMZN_TRACE_ID`, or None.
    """

    request_id: str
    event: bytes
    deadline: float
    arn: str = ""
    trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one invocation cost, as far as its executor can tell.

    Attributes:
        duration: seconds the handler ran, initialisation excluded.
        init_duration: seconds of initialisation when this invocation had to wait for it (a cold start).
        max_memory: bytes resident at the most.
    """

    duration: float = 0.0
    init_duration: float | None = None
    max_memory: int | None = None


NO_FIGURES = Figures()


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler returned; `payload` is its JSON answer as bytes."""

    payload: bytes
    figures: Figures = NO_FIGURES


@dataclass(frozen=True, slots=True)
class Errored:
    """The handler raised, ran out of time or memory, or died; `payload` is Lambda's JSON error object."""

    kind: Literal["function_error", "timeout", "crash", "oom"]
    payload: bytes
    figures: Figures = NO_FIGURES


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The executor's transport does not take an event of this size (Lambda's 413)."""

    size: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The function did not run: throttled, unreachable, not ready. Spends no retry.

    Attributes:
        reason: `throttled` for want of concurrency, else `unavailable`.
        retry_after: seconds the other side asked us to wait, or None.
        detail: one line for the log.
    """

    reason: Literal["throttled", "unavailable"]
    retry_after: float | None = None
    detail: str = ""


Answer = Returned | Errored | TooLarge | Refused
"""What comes back from an executor: bytes, and how it ended."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Everything is done; `state` is what a function with tumbling windows returned, as JSON, else None."""

    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """Some records failed: `failed` holds their ids, all of them in the attempt, at least one; `state` as in `Accepted`."""

    failed: frozenset[str]
    state: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed as a whole; `error` is one line for the log, `error_type` the one in the function's error object."""

    kind: FailureKind
    error: str = ""
    error_type: str = ""


Outcome = Accepted | Partial | Failed | Refused
"""What an answer means for a mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Records that are given up: they go to the failure destination, then count as done.

    Attributes:
        records: consecutive records of one attempt.
        reason: Lambda's condition; or that the filter does not want them, which Lambda reports to nobody.
        attempt: the attempt as it was last invoked, or would have been.
        invoke_count: how often the function was invoked with this attempt, as Lambda counts: for expired records the invocation
            that was due counts too.
        outcome: of the last invocation; None where expiry, not an answer, ended it.
    """

    records: tuple[Record, ...]
    reason: DiscardReason
    attempt: Attempt
    invoke_count: int
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Records that we are not going to do now.

    Attributes:
        records: any records of one lane.
        delay: seconds before a queue may hand them out again; None: when their visibility time-out ends. Streams ignore it, the
            next holder rereads.
    """

    records: tuple[Record, ...]
    delay: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where each record of an attempt goes. Every record appears in exactly one of the four.

    Attributes:
        settle: done with.
        discard: given up.
        again: to be invoked again, in this order, after `wait`.
        release: not now, and not by us.
        wait: seconds before the first of `again`, without jitter.
        state: of the tumbling window from now on, durable together with what is settled; None: as it was.
    """

    settle: tuple[Record, ...] = ()
    discard: tuple[Discard, ...] = ()
    again: tuple[Attempt, ...] = ()
    release: tuple[Release, ...] = ()
    wait: float = 0.0
    state: bytes | None = None


NOTHING = Decision()


def without(attempt: Attempt, gone: Iterable[Record]) -> Attempt | None:
    """The rest of an attempt, which is another one: under a request id of its own. None where nothing is left."""
    names = {(record.id, record.receipt) for record in gone}
    rest = tuple(record for record in attempt.records if (record.id, record.receipt) not in names)
    return replace(attempt, records=rest, request_id=None) if rest else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamId:
    """Which stream, and which incarnation of it: a stream made anew under the same name has another creation time.

    Attributes:
        arn: the stream's ARN.
        created_at: Unix seconds.
    """

    arn: str
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """An ordered part of a stream.

    Attributes:
        id: unique in the stream.
        parents: the shards that must be finished first; empty for the first generation.
    """

    id: ShardId
    parents: tuple[ShardId, ...] = ()


StartType = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "AFTER_SEQUENCE_NUMBER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where to begin in a shard.

    Attributes:
        type: `AFTER_SEQUENCE_NUMBER` resumes; the other three are Lambda's starting positions.
        timestamp: Unix seconds, with AT_TIMESTAMP; with LATEST the moment that a later process falls back to.
        position: with AFTER_SEQUENCE_NUMBER.
    """

    type: StartType
    timestamp: float | None = None
    position: Position = BEGINNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a shard is done.

    Attributes:
        position: everything up to here is settled; BEGINNING while nothing is.
        extra: what else the next holder must know (where to begin before the first record), JSON or empty.
    """

    position: Position = BEGINNING
    extra: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to read one shard for one mapping; `epoch` fences every write made under it."""

    mapping: MappingId
    shard: ShardId
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardState:
    """What the store knows of a shard.

    Attributes:
        checkpoint: the last durable one; None where the shard has none.
        finished: the shard ended and everything in it is settled: its children may be read.
        owner: who holds an unexpired lease, or None.
        epoch: of the newest lease.
    """

    checkpoint: Checkpoint | None = None
    finished: bool = False
    owner: str | None = None
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What a lane hands over in one read.

    Attributes:
        records: in order; empty when the wait ran out, or the lane ended, or was told to stop.
        more: further records can be had without waiting.
        full: none can be had before some of those that were handed over are settled.
        ended: nothing will ever come again.
        seen_until: everything that arrived at the source before this time (Unix seconds) has been handed over by now, as far as
            is known; 0: nothing is.
    """

    records: tuple[Record, ...] = ()
    more: bool = False
    full: bool = False
    ended: bool = False
    seen_until: float = 0.0
