"""Everything the poller asks of the outside world, on one page.

Each Protocol says when it is called, what may repeat, and what it may raise. Every port has an implementation in memory that
ships with the poller, and one contract suite that the double and the real thing both pass (`tests/contract`).

Unless a docstring says otherwise a method may be cancelled at any await, and raises `poller.errors.Unavailable` when the other
side cannot be reached, is too slow, throttles, or answers nonsense: the caller tries again later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NotRequired, Protocol, Self, TypedDict

from poller.core.model import (
    Answer,
    Attempt,
    Checkpoint,
    Invocation,
    Lease,
    MappingId,
    Position,
    Record,
    Release,
    Shard,
    ShardId,
    ShardState,
    Slice,
    Start,
    StreamId,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.core.report import FailureReport


class Clock(Protocol):
    """Time, as an argument."""

    def time(self) -> float:
        """Wall clock, Unix seconds. May jump; only for ages and for what people read."""

    def monotonic(self) -> float:
        """Seconds that never jump; the event loop's own time. For every wait, deadline and lease."""


class Rng(Protocol):
    """Chance, as an argument: `random.Random` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """A float between `a` and `b`."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""


# ---------------------------------------------------------------------------------------------------------------------- lanes


class Lane(Protocol):
    """An ordered supply with one worker: a sub-stream of a shard, or a poll slot of a queue.

    The worker reads, and gives every record back exactly once, through `settle` or `release`.
    """

    async def read(self, limit: int, wait: float | None) -> Slice:
        """Up to `limit` records, as soon as there is one; after `wait` seconds (None: for ever) an empty slice.

        Returns early and empty when the lane has ended or the mapping drains.
        """

    async def settle(self, records: Sequence[Record]) -> None:
        """Done with these. Returns when that is recorded in order; it may become durable a little later."""

    async def release(self, release: Release) -> None:
        """Not now: a stream's next holder reads them again, a queue hands them out again after the delay."""

    def waiting(self, attempt: Attempt | None) -> None:
        """For status only: the worker waits before it tries this failed or refused attempt again; None: it goes on."""


# -------------------------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDescription:
    """A stream as its service describes it: which one, and for how many seconds it keeps records."""

    id: StreamId
    retention: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One read of a shard.

    Attributes:
        records: in order; may be empty long before the shard is caught up.
        repeated: how many records the source handed out that this reader had read before; they are not in `records`.
        ended: the shard is closed and this was its last page.
        behind: seconds between this page and the tip, by the service's word; None where it does not say.
        size: bytes of record data read.
        pause: seconds to leave the shard alone before the next read.
    """

    records: tuple[Record, ...]
    repeated: int = 0
    ended: bool = False
    behind: float | None = None
    size: int = 0
    pause: float = 0.0


class ShardReader(Protocol):
    """Reads one shard from a start to its end. One caller, never two reads at once."""

    async def read(self) -> Page:
        """The next page. After `Unavailable` the same call may be made again: no record is skipped or repeated."""


class StreamSource(Protocol):
    """A stream, as one mapping sees it."""

    async def describe(self) -> StreamDescription:
        """The stream's identity and retention. Raises `SourceGone` where there is no such stream."""

    async def shards(self) -> tuple[Shard, ...]:
        """All shards that still hold records, closed ones included."""

    async def boundary(self, shard: ShardId) -> Start:
        """The LATEST position of a shard now: a Start that a later process can use without losing a record."""

    def reader(self, shard: ShardId, start: Start) -> ShardReader:
        """A reader that begins at `start`. No call is made before its first read."""


# ----------------------------------------------------------------------------------------------------------------------- apis


class KinesisRecord(TypedDict):
    """A record as GetRecords answers it; `Data` stays base64, the timestamp stays a number of seconds."""

    SequenceNumber: str
    ApproximateArrivalTimestamp: float
    Data: str
    PartitionKey: NotRequired[str]
    EncryptionType: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisShard:
    """A shard as ListShards answers it."""

    id: ShardId
    parents: tuple[ShardId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisIterator:
    """A shard iterator, good for five minutes, and the server's own time (Unix seconds) when it was made."""

    iterator: str
    server_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisPage:
    """An answer of GetRecords: `next_iterator` None ends the shard; `behind` is MillisBehindLatest in seconds."""

    records: Sequence[KinesisRecord]
    next_iterator: str | None
    behind: float


KinesisIteratorType = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "AFTER_SEQUENCE_NUMBER"]


class KinesisApi(Protocol):
    """The calls of Kinesis that a mapping makes. No method retries; all raise `Unavailable`, or what they name."""

    async def describe_stream(self, stream_arn: str) -> StreamDescription:
        """DescribeStreamSummary. Raises `SourceGone`."""

    async def list_shards(self, stream_arn: str) -> tuple[KinesisShard, ...]:
        """ListShards, all pages. Raises `SourceGone`."""

    async def get_shard_iterator(
        self,
        stream_arn: str,
        shard: ShardId,
        kind: KinesisIteratorType,
        *,
        sequence_number: str | None = None,
        timestamp: float | None = None,
    ) -> KinesisIterator:
        """GetShardIterator. `sequence_number` with AFTER_SEQUENCE_NUMBER, `timestamp` with AT_TIMESTAMP. Raises `SourceGone`."""

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """GetRecords. Raises `IteratorExpired`, `SourceGone`."""


class SqsApi(Protocol):
    """The calls of SQS that the poller makes. No method retries; all raise `Unavailable`, or what they name."""

    async def send_message(self, queue_arn: str, body: str) -> None:
        """SendMessage. Returns when the queue has the message. Raises `SourceGone` where there is no such queue."""


# -------------------------------------------------------------------------------------------------- functions and destinations


class Executor(Protocol):
    """Runs one function. Knows nothing of mappings, retries or records.

    Used as an async context manager around all its invocations: entering it must be cheap, leaving it ends every process that
    it started.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def invoke(self, invocation: Invocation) -> Answer:
        """Runs the function once. Never called more often at the same time than the function's maximum concurrency.

        Never raises for what the function did. When it is cancelled it returns only once the function can do no more harm: a
        worker process is dead by then.
        """


class WorkerEvents(Protocol):
    """What an executor tells of its worker processes, as it happens. Called on the loop; returns at once; never raises."""

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """A line that the function printed; `request_id` None outside of any invocation."""

    def initialised(self, seconds: float) -> None:
        """A worker is ready after so long."""

    def ended(self, reason: Literal["crash", "oom", "timeout", "reload"]) -> None:
        """A worker ended before its time, or was ended."""


class Destination(Protocol):
    """Takes what was given up."""

    @property
    def kind(self) -> str:
        """For metrics: `sqs`, `sns`, `s3`, ..."""

    async def send(self, report: FailureReport) -> None:
        """Delivers one report. Returns when the other side has it; may deliver it twice after a lost answer.

        Raises `Unavailable`, or `MappingError` where it cannot work as configured. The caller keeps the records and tries again.
        """


# ---------------------------------------------------------------------------------------------------------------------- store


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the store knows of a mapping once it is enrolled: the stream it was enrolled with, and whether that was just now."""

    stream: StreamId
    created: bool


class Store(Protocol):
    """Where leases and checkpoints live, together, so that one write compares the epoch, advances, and refuses to go back.

    Used as an async context manager. Lease times are the store's own: durations go in, nothing absolute comes out. Every
    write has happened durably when its call returns; a cancelled or failed write may have happened.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def stream(self, mapping: MappingId) -> StreamId | None:
        """The stream that this mapping was enrolled with; None where the store does not know the mapping."""

    async def enroll(self, mapping: MappingId, stream: StreamId, starts: Mapping[ShardId, Checkpoint]) -> Enrolment:
        """Makes a mapping known with its first checkpoints, all or nothing. Changes nothing where it is known already."""

    async def shards(self, mapping: MappingId) -> dict[ShardId, ShardState]:
        """All that is known of the mapping's shards."""

    async def acquire(self, mapping: MappingId, shard: ShardId, owner: str, ttl: float) -> Lease | None:
        """Takes the lease of a shard for `ttl` seconds, with a new epoch, where nobody else holds it; else None.

        An owner that asks again for a shard that it holds gets a new epoch: the old one is fenced. Also None for a shard that is
        finished, and for a mapping that is not enrolled.
        """

    async def renew(self, lease: Lease, ttl: float) -> None:
        """Holds it for `ttl` more seconds from now. Raises `LeaseLost` once it was taken, released, or is not in the store."""

    async def release(self, lease: Lease) -> None:
        """Gives the lease back, at once takeable. Nothing happens where it is no longer ours."""

    async def load(self, lease: Lease) -> Checkpoint | None:
        """The shard's checkpoint; None where it has none. Raises `LeaseLost`."""

    async def advance(self, lease: Lease, to: Checkpoint) -> bool:
        """Writes a checkpoint. False, and nothing changed, where the stored position is already further.

        Raises `LeaseLost` where the lease's epoch is not the newest: also when the lease expired and was taken.
        """

    async def finish(self, lease: Lease) -> None:
        """Marks the shard finished, for good, and gives the lease back. Raises `LeaseLost`."""


__all__ = [
    "Clock",
    "Destination",
    "Enrolment",
    "Executor",
    "KinesisApi",
    "KinesisIterator",
    "KinesisIteratorType",
    "KinesisPage",
    "KinesisRecord",
    "KinesisShard",
    "Lane",
    "Page",
    "Position",
    "Rng",
    "ShardReader",
    "SqsApi",
    "Store",
    "StreamDescription",
    "StreamSource",
    "WorkerEvents",
]
