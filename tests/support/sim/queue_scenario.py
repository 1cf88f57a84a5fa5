"""What happens to queues in a run, drawn from its seed: queues, their mappings, and what is sent to them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

from support.sim.scenario import ACCOUNT

if TYPE_CHECKING:
    from support.sim.scenario import FunctionPlan, How

ReleaseMode = Literal["backoff", "at_once", "lapse"]
OnFiltered = Literal["delete", "release", "destination"]

GIVEN_UP = "given-up"
"""The queue that gets what mappings of queues give up."""

RECEIVE = 10
SHORTEST = 5
MARGIN = 30
LONGEST_BACKOFF = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """A queue.

    Attributes:
        visibility: seconds for which a received message is hidden, if the receive says nothing else.
        redrive: receives after which a message goes to the queue's own dead-letter queue; None: there is none.
    """

    name: str
    visibility: int
    redrive: int | None

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{ACCOUNT}:{self.name}"

    @property
    def fifo(self) -> bool:
        return self.name.endswith(".fifo")

    @property
    def dead_letters(self) -> str:
        """The name of its dead-letter queue, which is of the same kind."""
        return f"dead-{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPlan:
    """When a mapping's circuit breaker opens.

    Attributes:
        failures: failed batches in a row; None: their number does not matter.
        error_rate: the part of the last `batches` that failed; None: it does not matter.
        interval: seconds to the next trial.
    """

    failures: int | None
    error_rate: float | None
    batches: int
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMappingPlan:
    """A mapping of a queue, in the numbers of its configuration.

    Attributes:
        maximum: `maximum_receive_count`; None: it gives up nothing by itself.
        filtered: it wants only the messages that are `wanted`.
        at_once: `scaling_config.maximum_concurrency`; None: as many as its function may run.
        quiet: polls of a quiet queue.
        most_polls: `maximum_pollers`, with `quiet` as its `minimum_pollers`; None: neither is provisioned.
        on_filtered: what becomes of messages that it does not want.
    """

    name: str
    queue: QueuePlan
    function: FunctionPlan
    batch_size: int
    window: int
    reports: bool
    release: ReleaseMode
    guard: bool
    receive_wait: int
    maximum: int | None
    destination: bool
    filtered: bool
    at_once: int | None
    quiet: int
    most_polls: int | None
    priority: int = 0
    breaker: BreakerPlan | None = None
    on_filtered: OnFiltered = "delete"

    @property
    def ordered(self) -> bool:
        """Whether it keeps the order of groups."""
        return self.queue.fifo and self.guard

    @property
    def limit(self) -> int | None:
        """Deliveries after which it gives a message up. The redrive policy of the queue goes before."""
        return self.maximum if self.queue.redrive is None else None

    @property
    def slots(self) -> int:
        """Batches in hand at the same time, at the most."""
        most = min(self.at_once or self.function.concurrency, self.function.concurrency)
        return most if self.most_polls is None else min(most, 10 * self.most_polls)

    @property
    def abreast(self) -> int:
        """Receives that may be open at the same time for one batch."""
        return ceil(self.batch_size / RECEIVE)

    @property
    def hides(self) -> int:
        """Seconds for which a receive hides messages: the queue's own, but enough for the heartbeat; more for a window."""
        seconds = max(self.queue.visibility, SHORTEST)
        needed = self.window + self.function.timeout
        return ceil(needed) + MARGIN if self.window and needed > seconds else seconds

    def wants(self, send: Send) -> bool:
        """Whether its filter lets this message through."""
        return send.wanted or not self.filtered

    def wait_after(self, receives: int) -> int | None:
        """Seconds until a message that failed at so many receives comes again; None: when its visibility is over."""
        backoff = min(LONGEST_BACKOFF, int(2.0 ** (receives - 1)))
        return {"backoff": backoff, "at_once": 0, "lapse": None}[self.release]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStorm:
    """How queues misbehave until the calm, beside what all services do.

    Attributes:
        unlucky: of every so many messages one cannot be hidden for longer; 0: none.
        luck: how often each of these can be before.
        slow: seconds that an answer takes at the most, more than others, where messages are to be hidden.
    """

    unlucky: int
    luck: int
    slow: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A message sent at a time. Its first `failures` deliveries to a function fail (None: all); each takes `slow` seconds more.

    Attributes:
        group: of a FIFO queue.
        wanted: a filter lets it through.
        marked: it has message attributes.
    """

    at: float
    number: int
    queue: QueuePlan
    group: str
    wanted: bool = True
    marked: bool = False
    how: How = "raise"
    failures: int | None = 0
    slow: float = 0.0
