"""Messages, a queue that does what it is told, and processes that poll queues in memory under virtual time."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from poller.apis.memory_queues import LENIENT, Extras, MemoryQueues, QueueBehaviour
from poller.apis.memory_sqs import MemorySqs
from poller.core.batching import BatchLimits
from poller.core.model import BEGINNING, Attempt, Record
from poller.core.queue_policy import FifoPolicy, QueuePolicy
from poller.core.report import message_report
from poller.core.scaling import PollerLimits
from poller.core.unwanted import settled
from poller.destinations.sqs import SqsDestination
from poller.observe.mapping import MappingFacts, MappingObserver
from poller.ports import EntryFailure, QueueDescription
from poller.queue import QueueMapping, run_queue
from poller.sources.sqs import SqsShape, SqsSource
from support.doubles import ScriptedExecutor, Trouble
from support.stage import MAPPING, Stage, now
from support.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from poller.core.breaker import BreakerLimits
    from poller.core.model import Decision
    from poller.core.policy import Policy
    from poller.drain import Drain
    from poller.ports import QueueReceiver
    from poller.services import Receive, SqsMessage
    from support.doubles import Call

MAILS = MappingFacts(name="mails", source_type="sqs", source="mails", function="handle", destination="sqs", unit="slot")


# ------------------------------------------------------------------------------------------------------------------- messages


def message(number: int, group: str = "", *, receives: int = 1, payload: bytes = b"{}") -> Record:
    """A message of a queue, received so often."""
    return Record(
        id=f"m{number}",
        position=BEGINNING,
        arrived_at=0.0,
        payload=payload,
        group=group,
        receipt=f"r{number}",
        receives=receives,
    )


def messages(*numbers: int, receives: int = 1) -> tuple[Record, ...]:
    """Messages with these numbers, without a group."""
    return tuple(message(number, receives=receives) for number in numbers)


@st.composite
def message_attempts(draw: st.DrawFn, *, most: int = 10) -> Attempt:
    """Attempts of messages of up to three groups, that were received any number of times."""
    groups = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=most))
    return Attempt(
        records=tuple(message(n, group, receives=draw(st.integers(1, 8))) for n, group in enumerate(groups, start=1)),
        refusals=draw(st.integers(0, 6)),
        request_id=draw(st.none() | st.just("request")),
    )


queue_policies = st.builds(
    QueuePolicy, release=st.sampled_from(["backoff", "at_once", "lapse"]), max_receives=st.none() | st.integers(1, 6)
)
"""Of standard queues."""

fifo_policies = st.builds(FifoPolicy, each=queue_policies, guard=st.booleans())
"""Of FIFO queues."""


# ---------------------------------------------------------------------------------------------------- a queue to order about


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call: when, what for (`hide` | `delete`), of which messages, for how many seconds."""

    at: float
    what: str
    ids: list[str]
    seconds: int | None = None


class ObedientQueue:
    """A `QueueSource` that holds nothing, and does what it is told. It is its own receiver.

    Attributes:
        arrivals: what each receive brings, at once; then nothing.
        calls: what it was asked.
        delay: seconds that a call takes; `late` those that its answer takes, once it has been carried out.
        error: raised by each call, once it has taken its time.
        failing: ids of messages whose entries fail, and whether for good.
        busy, most: how many calls are under way, and how many ever were.
        hidden: until when each message is hidden, by the service's own count.
    """

    def __init__(self) -> None:
        self.arrivals: list[tuple[Record, ...]] = []
        self.calls: list[Asked] = []
        self.delay = 0.0
        self.late = 0.0
        self.error: Exception | None = None
        self.failing: dict[str, bool] = {}
        self.busy = 0
        self.most = 0
        self.hidden: dict[str, float] = {}

    async def describe(self) -> QueueDescription:
        """See `QueueSource.describe`."""
        return QueueDescription(visibility_timeout=30, retention=345_600)

    def receiver(self) -> QueueReceiver:
        """See `QueueSource.receiver`."""
        return self

    async def receive(self, limit: int, wait: int, visibility: int) -> tuple[Record, ...]:
        """See `QueueReceiver.receive`."""
        return self.arrivals.pop(0) if self.arrivals else ()

    async def delete(self, records: Sequence[Record]) -> tuple[EntryFailure, ...]:
        """See `QueueSource.delete`."""
        return await self._call(records, Asked(at=now(), what="delete", ids=[record.id for record in records]))

    async def hide(self, records: Sequence[Record], seconds: int) -> tuple[EntryFailure, ...]:
        """See `QueueSource.hide`."""
        return await self._call(records, Asked(at=now(), what="hide", ids=[record.id for record in records], seconds=seconds))

    def of(self, what: str, *ids: str) -> list[Asked]:
        """The calls of one kind; of one message's, where one is named."""
        return [call for call in self.calls if call.what == what and set(ids) <= set(call.ids)]

    async def _call(self, records: Sequence[Record], asked: Asked) -> tuple[EntryFailure, ...]:
        assert 1 <= len(records) <= 10
        self.calls.append(asked)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await asyncio.sleep(self.delay)
            if self.error is not None:
                raise self.error
            failed = [n for n, record in enumerate(records) if record.id in self.failing]
            if asked.seconds is not None:
                self.hidden |= {one.id: now() + asked.seconds for n, one in enumerate(records) if n not in failed}
            await asyncio.sleep(self.late)
            return tuple(EntryFailure(n, gone=self.failing[records[n].id], detail="by order") for n in failed)
        finally:
            self.busy -= 1


# ---------------------------------------------------------------------------------------------------- processes that poll queues


class NotedSqs(MemorySqs):
    """A connection that notes what it is asked.

    Attributes:
        receives: when, and with which request.
        hidden: when, how many messages, and for how many seconds.
        impatient: its receives never wait.
    """

    receives: list[tuple[float, Receive]]
    hidden: list[tuple[float, int, int]]
    impatient = False

    def noting(self) -> NotedSqs:
        """Itself, with nothing noted yet."""
        self.receives, self.hidden = [], []
        return self

    async def receive_messages(self, queue_arn: str, receive: Receive) -> Sequence[SqsMessage]:
        """See `SqsApi.receive_messages`."""
        self.receives.append((now(), receive))
        return await super().receive_messages(queue_arn, replace(receive, wait=0) if self.impatient else receive)

    async def change_visibility(self, queue_arn: str, receipts: Sequence[str], seconds: int) -> tuple[EntryFailure, ...]:
        """See `SqsApi.change_visibility`."""
        self.hidden.append((now(), len(receipts), seconds))
        return await super().change_visibility(queue_arn, receipts, seconds)


class QueueWorld:
    """What outlives a process: queues."""

    def __init__(self, behaviour: QueueBehaviour = LENIENT) -> None:
        self.clock = VirtualClock()
        self.queues = MemoryQueues(self.clock, behaviour)
        self.dead_letters = self.queues.create_queue("dead-letters")

    def queue(self, name: str = "mails", *, redrive: int | None = None, **attributes: int) -> str:
        """An empty queue; `redrive` is its maxReceiveCount. A name that ends with `.fifo` makes a FIFO queue."""
        given = {key: str(value) for key, value in attributes.items()}
        if name.endswith(".fifo"):
            given["ContentBasedDeduplication"] = "true"
        if redrive is not None:
            given["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": self.dead_letters, "maxReceiveCount": redrive})
        return self.queues.create_queue(name, given)

    def send(self, arn: str, *bodies: str) -> None:
        """A message for each body; its first letter is its group."""
        for body in bodies:
            self.queues.send(arn, body, extras=Extras(group=body[0] if arn.endswith(".fifo") else None))

    def bodies(self, arn: str) -> list[str]:
        """What is in a queue, whoever has it."""
        return [each.body for each in self.queues.messages(arn)]

    def states(self, arn: str) -> dict[str, str]:
        """The state of each message, by body."""
        return {each.body: each.state for each in self.queues.messages(arn)}


@dataclass(kw_only=True)
class Poller:
    """A process with one mapping of a queue; with `beside` it is in the same process, and has the same function.

    Attributes:
        trouble: what goes wrong between it and all queues.
    """

    world: QueueWorld
    arn: str
    name: str = "mails"
    executor: ScriptedExecutor = field(default_factory=ScriptedExecutor)
    concurrency: int = 10
    slots: int = 1
    priority: int = 0
    scaling: PollerLimits | None = None
    in_flight: int = 100_000
    breaker: BreakerLimits | None = None
    receive_wait: int = 20
    policy: QueuePolicy = field(default_factory=QueuePolicy)
    guard: bool = True
    limits: BatchLimits = field(default_factory=lambda: BatchLimits(count=10))
    partial_answers: bool = False
    wants: Callable[[Record], bool] | None = None
    unwanted: Callable[[tuple[Record, ...]], Decision] = settled
    trouble: Trouble = field(default_factory=Trouble)
    beside: Poller | None = None

    def __post_init__(self) -> None:
        facts = replace(MAILS, name=self.name)
        if self.beside is None:
            self.stage = Stage(facts=facts, executor=self.executor, concurrency=self.concurrency, clock=self.world.clock)
            self.observe = self.stage.observe
        else:
            self.stage, self.executor = self.beside.stage, self.beside.executor
            self.observe = MappingObserver(self.stage.metrics, facts, self.world.clock)
        self.drain: Drain = self.stage.drain
        self.api = NotedSqs(self.world.clock, self.trouble, queues=self.world.queues).noting()
        shape = SqsShape(queue_arn=self.arn, region="us-east-1", windowed=self.limits.window > 0)
        self.source = SqsSource(api=self.api, shape=shape, clock=self.world.clock, rng=self.stage.rng)

    async def run(self) -> None:
        """Until the drain is done."""
        await run_queue(self.mapping(), self.drain)

    def mapping(self) -> QueueMapping:
        """The mapping, for `run_queue`."""
        fifo = self.arn.endswith(".fifo")

        def policy_for(redriven_after: int | None) -> Policy:
            each = self.policy if redriven_after is None else replace(self.policy, max_receives=None)
            return FifoPolicy(each=each, guard=self.guard) if fifo else each

        destination = SqsDestination(api=self.api, queue_arn=self.world.dead_letters)
        work = self.stage.work(limits=self.limits, partial_answers=self.partial_answers, destination=destination)
        return QueueMapping(
            source=self.source,
            scaling=self.scaling or PollerLimits(quiet=self.slots, polls=self.slots, batches=self.slots),
            in_flight=self.in_flight,
            breaker=self.breaker,
            receive_wait=self.receive_wait,
            fifo=fifo,
            work=replace(
                work,
                mapping=self.name,
                priority=self.priority,
                place="",
                report=partial(message_report, MAPPING),
                wants=self.wants,
                unwanted=self.unwanted,
                observe=self.observe,
            ),
            policy_for=policy_for,
        )

    def count(self, name: str, **labels: str) -> float | None:
        """The value of one of the mapping's metrics, less the prefix of its name."""
        self.stage.metrics.snapshot()
        return self.stage.metrics.registry.get_sample_value(f"poller_{name}", {"mapping": self.name, **labels})

    @property
    def seen(self) -> list[list[str]]:
        """The bodies of every invocation."""
        return [bodies(call) for call in self.executor.calls]

    @property
    def all_seen(self) -> list[str]:
        """The same, as one list."""
        return [body for some in self.seen for body in some]

    @property
    def began(self) -> list[float]:
        """When each invocation began."""
        return [call.began for call in self.executor.calls]

    @property
    def receive_counts(self) -> list[int]:
        """Of the first message of each invocation."""
        return [int(call.records[0]["attributes"]["ApproximateReceiveCount"]) for call in self.executor.calls]

    def calls(self, operation: str) -> list[float]:
        """When an operation was called."""
        return self.trouble.calls[operation]


@asynccontextmanager
async def polling(*pollers: Poller) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs processes for as long as the context lasts; then they are drained, and all must end by that."""
    async with asyncio.TaskGroup() as group:
        yield [group.create_task(poller.run()) for poller in pollers]
        for poller in pollers:
            poller.drain.start()


def bodies(call: Call) -> list[str]:
    """The messages of one invocation."""
    return [record["body"] for record in call.records]
