"""What happens in a run, drawn from its seed: the configuration, the records, the function's moods, the faults, the crashes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from support.virtual import EPOCH

if TYPE_CHECKING:
    from poller.apis.memory_queues import QueueBehaviour
    from support.sim.queue_scenario import QueueMappingPlan, QueuePlan, QueueStorm, Send

How = Literal["raise", "timeout", "crash", "too_large", "report", "unknown_id", "null_id", "wrong_key", "not_a_list"]
"""How a record makes its invocation fail. From `report` on only the answer says so, to mappings that read answers."""

Start = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]

ACCOUNT = "us-east-1:000000000000"
QUEUE = "dead-letters"
FOREVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """A stream of Kinesis, or of a DynamoDB table."""

    name: str
    shards: int
    table: bool = False

    @property
    def arn(self) -> str:
        if self.table:
            return f"arn:aws:dynamodb:{ACCOUNT}:table/table-{self.name}/stream/{EPOCH:.3f}"
        return f"arn:aws:kinesis:{ACCOUNT}:stream/{self.name}"

    def group(self, key: str) -> str:
        """What keeps records in order: the partition key, or the whole key of an item as JSON."""
        return f'{{"id":{{"S":"{key}"}}}}' if self.table else key


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionPlan:
    """A function: how many may run at once in a process, for how long, and how long one usually takes (seconds).

    Attributes:
        reserved: how much of the process it reserves; None: it shares what is left.
    """

    name: str
    concurrency: int
    timeout: float
    usual: float
    reserved: int | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{ACCOUNT}:function:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingPlan:
    """A mapping, in the numbers of its configuration: FOREVER is -1, a timestamp is in Unix seconds.

    Attributes:
        factor: how many lanes a shard has.
        tumbling: seconds of a tumbling window; 0: there are none.
    """

    name: str
    stream: StreamPlan
    function: FunctionPlan
    batch_size: int
    window: int
    retries: int
    age: int
    bisect: bool
    reports: bool
    destination: bool
    start: Start
    timestamp: float | None
    priority: int = 0
    factor: int = 1
    tumbling: int = 0

    @property
    def ends(self) -> bool:
        """Whether records are given up some day."""
        return (self.retries, self.age) != (FOREVER, FOREVER)

    @property
    def keeps(self) -> bool:
        """Whether something is stored beside positions."""
        return self.bisect or self.reports or self.tumbling > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A record put at a time. Its first `failures` deliveries to a function fail (None: all); each takes `slow` seconds more."""

    at: float
    number: int
    stream: StreamPlan
    key: str
    how: How = "raise"
    failures: int | None = 0
    slow: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """How the world misbehaves until it calms down; rates are per call.

    Attributes:
        latency: seconds that a call takes at the most, and usually much less.
        refused: it is throttled, or fails with a server's error, before it has an effect.
        lost: it has its effect, and the answer is lost.
        timeout: it takes seconds, and fails.
        late: a store's answer times out, and the effect comes afterwards.
        expired: a shard iterator is refused as expired.
        stutter: a page begins with records of the one before.
        refusal: nobody would run the function.
        failure: the function raises for no reason.
    """

    latency: float
    refused: float
    lost: float
    timeout: float
    late: float
    expired: float
    stutter: float
    refusal: float
    failure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """From `begins` to `ends` nothing reaches one service; `hangs`: calls wait instead of failing at once."""

    service: Literal["store", "kinesis", "sqs", "destination", "function"]
    begins: float
    ends: float
    hangs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The process is gone at once, and comes back after `away` seconds. `loose`: what it had sent may still take effect."""

    at: float
    slot: int
    away: float
    loose: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The process drains, and comes back after `away` seconds."""

    at: float
    slot: int
    away: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A process starts in this slot: the first one, or a second owner beside it."""

    at: float
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """For so many seconds whatever the process asks of the store waits, and has its effect afterwards."""

    at: float
    slot: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """The process stands still for so many seconds, as one that the system has stopped; the world goes on."""

    at: float
    slot: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The wall clock of the process jumps by so many seconds, until the world calms down."""

    at: float
    slot: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshard:
    """An open shard of the stream is split, or two are merged; `draw` chooses which."""

    at: float
    stream: StreamPlan
    merge: bool
    draw: int


Act = Crash | Restart | Join | Pause | Freeze | Jump | Reshard


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes of the daemon that are far beyond a run's records unless they are made smaller."""

    read_limit: int
    read_ahead: int
    read_ahead_bytes: int
    pending: int
    soon: int = 500

    def cap(self, plan: MappingPlan) -> int:
        """Records that a shard may have read and not settled."""
        return max(self.read_ahead, 2 * plan.batch_size * plan.factor)

    @property
    def bytes_felt(self) -> bool:
        """Whether a process may have to stop reading because of its memory: all records of a run together are less than that."""
        return self.read_ahead_bytes < 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that is drawn before a run begins.

    Attributes:
        calm_at: when the faults stop, the clocks are right again, and everything has to be worked off.
        concurrency: invocations of one process at the same time.
        reads_per_second: the service's own limit of a shard; None: none.
        empty_every: every so many reads of a shard come back empty, with records left; 0: none.
        late_end: a closed shard says so on one more, empty page.
        stale_lists: seconds, at the most, by which a list of shards may be out of date.
        queue_habits: how SQS behaves where it may do one thing or another; None: as simply as it can.
        queue_storm: how it misbehaves; None where there are no queues.
    """

    seed: int
    mappings: tuple[MappingPlan, ...]
    puts: tuple[Put, ...]
    acts: tuple[Act, ...]
    outages: tuple[Outage, ...]
    storm: Storm
    limits: Limits
    calm_at: float
    lease: float
    drain: float
    concurrency: int
    reads_per_second: int | None
    empty_every: int
    late_end: bool
    stale_lists: float = 0.0
    streams: tuple[StreamPlan, ...] = field(default=())
    functions: tuple[FunctionPlan, ...] = field(default=())
    queues: tuple[QueuePlan, ...] = field(default=())
    queue_mappings: tuple[QueueMappingPlan, ...] = field(default=())
    sends: tuple[Send, ...] = field(default=())
    queue_habits: QueueBehaviour | None = None
    queue_storm: QueueStorm | None = None

    @property
    def leases_last(self) -> bool:
        """Whether nothing happens for which a process that lives could lose a lease."""
        calls = self.storm.refused + self.storm.lost + self.storm.timeout + self.storm.late
        store = any(outage.service == "store" for outage in self.outages)
        return not (calls or store or any(isinstance(act, Pause | Freeze) for act in self.acts))

    def nobody_at(self, at: float) -> bool:
        """Whether no process is meant to run at this time: none has begun, or the only one is away."""
        joins = [act for act in self.acts if isinstance(act, Join)]
        away = [act for act in self.acts if isinstance(act, Crash | Restart) and act.at < at < act.at + act.away]
        return all(act.at > at for act in joins) or (len(joins) == 1 and bool(away))
