"""Everything the poller asks of the outside world, on one page; what adapters ask of AWS is on another, `services`.

Each Protocol says when it is called, what may repeat, and what it may raise. Every port has an implementation in memory that
ships with the poller, and one contract suite that the double and the real thing both pass (`tests/contract`).

Unless a docstring says otherwise a method may be cancelled at any await, and raises `poller.errors.Unavailable` when the other
side cannot be reached, is too slow, throttles, or answers nonsense: the caller tries again later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

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
    from asyncio import Future
    from collections.abc import Callable, Mapping, Sequence

    from poller.core.memo import Memo
    from poller.core.report import Report, Shortened


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
        """Not now: a stream's next holder reads them again, a queue hands them out again after the delay.

        Never raises `Unavailable`: what a queue was not told in time comes back when its visibility time-out ends.
        """

    def lost(self, attempt: Attempt) -> tuple[Record, ...]:
        """Those of its records that may be somebody else's by now, and must not be invoked; asked right before each invocation.

        Usually none. A shard's lanes never answer any: there the lease as a whole is lost (`LeaseLost`).
        """

    @property
    def memo(self) -> Memo:
        """What the shard's last holder left for this lane, then what was remembered last. A queue's slot has none."""

    def remember(self, memo: Memo) -> None:
        """To be found by the next holder. Durable with the next checkpoint, in one write with what is settled by then.

        Followed by `settle` without an await in between, both become durable together. A queue's slot forgets it.
        """

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
        children: the shards that go on where this one ended, with their parents, where the service names them with the end.
        trimmed: retention has taken the record after which this reader goes on, and so perhaps some behind it; the page begins
            with the oldest record that there is.
    """

    records: tuple[Record, ...]
    repeated: int = 0
    ended: bool = False
    behind: float | None = None
    size: int = 0
    pause: float = 0.0
    children: tuple[Shard, ...] = ()
    trimmed: bool = False


class ShardReader(Protocol):
    """Reads one shard from a start to its end. One caller, never two reads at once."""

    async def read(self) -> Page:
        """The next page. After `Unavailable` the same call may be made again: no record is skipped or repeated.

        Raises `SourceGone` where there is no such shard, or no such stream.
        """


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


@dataclass(frozen=True, slots=True)
class EntryFailure:
    """One entry of a batch request that was not carried out.

    Attributes:
        index: of the entry in the request.
        gone: trying again is in vain: the message is not ours any more, or not there.
        detail: the service's code, for logs.
    """

    index: int
    gone: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDescription:
    """A queue as its service describes it now.

    Attributes:
        visibility_timeout: seconds that a received message stays hidden unless the receive says otherwise.
        retention: seconds that the queue keeps a message.
        maximum_receive_count: of its redrive policy; None where it has none.
        dead_letters: the ARN of the queue that this policy names; None where it has none.
        visible, in_flight, delayed: about how many messages it holds, by state.
    """

    visibility_timeout: float
    retention: float
    maximum_receive_count: int | None = None
    dead_letters: str | None = None
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


class QueueReceiver(Protocol):
    """Takes messages out of a queue. One caller, never two receives at once."""

    async def receive(self, limit: int, wait: int, visibility: int) -> tuple[Record, ...]:
        """Up to `limit` (1 to 10) messages, as soon as there is one, hidden from others for `visibility` seconds.

        Waits up to `wait` (0 to 20) seconds for the first. Never cancel it while its answer may be on the way: the messages of
        that answer would stay hidden. Raises `SourceGone`. After `Unavailable` the same call may be made again: where the service
        can (FIFO), it hands out again what the lost answer held.
        """


class QueueSource(Protocol):
    """A queue, as one mapping sees it. Batches are of 1 to 10 records; what failed of one is in the answer, not raised."""

    async def describe(self) -> QueueDescription:
        """What the queue is like now. Raises `SourceGone` where there is none."""

    def receiver(self) -> QueueReceiver:
        """A receiver of its own for each slot. No call is made before its first receive."""

    async def delete(self, records: Sequence[Record]) -> tuple[EntryFailure, ...]:
        """Deletes messages for good. Raises `SourceGone`."""

    async def hide(self, records: Sequence[Record], seconds: int) -> tuple[EntryFailure, ...]:
        """Hides messages for so many seconds from now (0: anybody may have them at once). Raises `SourceGone`."""


# -------------------------------------------------------------------------------------------------- functions and destinations


@runtime_checkable
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
        worker process is dead by then. What runs elsewhere cannot be stopped: there it is only not waited for any more.
        """


@runtime_checkable
class Provisioned(Protocol):
    """An executor that can have workers ready before the first invocation."""

    def warm(self) -> Future[Answer | None]:
        """Begins to initialise as many as are configured to be there always. To be called inside the context.

        Done when each of them was tried once: None where all are ready, else what an invocation would be answered for the first
        that is not; those go on being tried. Cancelled when the context is left before. Everybody gets the same future.
        """


WorkerEnd = Literal["crash", "oom", "timeout", "reload", "recycled", "idle"]
"""Why a worker is no more.

`crash`: it died by itself, failed to initialise, or broke its connection. `oom`: out of memory. `timeout`: it did not answer in
time. `reload`: its executor was closed, for another configuration or at a drain. `recycled`: it had served as often or as long as
it may. `idle`: nobody needed it.
"""


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """How many workers a function has: on their way, waiting for an invocation, at work."""

    starting: int = 0
    idle: int = 0
    busy: int = 0


class WorkerEvents(Protocol):
    """What an executor tells of its worker processes, as it happens. Called on the loop; returns at once; never raises."""

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """A line that the function printed; `request_id` None outside of any invocation."""

    def initialised(self, seconds: float) -> None:
        """A worker is ready after so long."""

    def not_initialised(self, why: Literal["failed", "refused"]) -> None:
        """A worker did not become ready: its start failed or it ended too soon; or the machine had none to give (`refused`)."""

    def ended(self, reason: WorkerEnd) -> None:
        """A worker ended, or was ended."""

    def backing_off(self, failures: int, seconds: float) -> None:
        """So many workers in a row died or did not become ready: none is started for so many seconds.

        Told when that begins, and when the wait grows.
        """

    def workers(self, count: Callable[[], WorkerCount]) -> None:
        """Whom to ask how many workers there are, whenever that is of interest. A later call replaces an earlier one."""


class Destination(Protocol):
    """Takes what was given up."""

    @property
    def kind(self) -> str:
        """For metrics: `sqs`, `sns`, `s3`, ..."""

    async def send(self, report: Report) -> Shortened | None:
        """Delivers one report. Returns when the other side has it; may deliver it twice after a lost answer.

        Returns `Shortened` where the payload was more than the other side takes, and it has the report without.

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
    "EntryFailure",
    "Executor",
    "Lane",
    "Page",
    "Position",
    "QueueDescription",
    "QueueReceiver",
    "QueueSource",
    "Rng",
    "ShardReader",
    "Store",
    "StreamDescription",
    "StreamSource",
    "WorkerEvents",
]
