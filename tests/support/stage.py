"""A stage on which lanes, shards and mappings play under virtual time: all the parts between the ends, which are in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial, wraps
from random import Random
from typing import TYPE_CHECKING, Any, ParamSpec

import orjson

from poller.apis.memory_sqs import MemorySqs
from poller.checkpointer import Checkpointer
from poller.core.batching import BatchLimits
from poller.core.model import Lease, MappingId, ShardId
from poller.core.policy import StreamPolicy
from poller.core.remembered import Remembered
from poller.core.report import StreamFacts, stream_report
from poller.destinations.sqs import SqsDestination
from poller.drain import Drain
from poller.function import Function, Permits
from poller.lane import Work, run_lane
from poller.observe.function import FunctionObserver
from poller.observe.mapping import MappingFacts, MappingObserver
from poller.observe.metrics import Metrics
from poller.readahead import MemoryBudget, ReadAhead, ReadAheadLimits
from poller.stores.memory import MemoryContents, MemoryStore
from support.build import records
from support.doubles import ACCEPTS, ListLane, ScriptedExecutor, Trouble
from support.observing import ORDERS
from support.virtual import VirtualClock, VirtualLoop, run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from poller.core.model import Answer, Record
    from poller.core.policy import Policy
    from poller.ports import Destination
    from support.doubles import Call

P = ParamSpec("P")

MAPPING = MappingId("5b1f2f3e-0000-4000-8000-000000000001")
SHARD = ShardId("shardId-000000000000")
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:handle"
FACTS = StreamFacts(mapping=MAPPING, stream_arn=STREAM_ARN, function_arn=FUNCTION_ARN)


def virtually(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Makes an `async def` test one that runs on a virtual loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtually(test(*args, **kwargs))

    return run


def now() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], object], step: float = 0.05, within: float = 3600.0) -> None:
    """Lets virtual time pass, a step at a time, until something is so."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  virtual time costs nothing
            await asyncio.sleep(step)


def later(seconds: float, do: Callable[[], object]) -> None:
    """Does it after so long."""
    asyncio.get_running_loop().call_later(seconds, do)


def stand_still(seconds: float) -> None:
    """The process is stopped for so long, as by SIGSTOP or a machine that freezes: time passes, and nothing runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._virtual.now += seconds


@dataclass(kw_only=True)
class Stage:
    """What one process needs to run lanes, shards and a mapping, less the ends that a test is about.

    Attributes:
        concurrency: of the function, and of the process.
        facts: what the mapping is called.
    """

    facts: MappingFacts = ORDERS
    executor: ScriptedExecutor = field(default_factory=ScriptedExecutor)
    concurrency: int = 10
    clock: VirtualClock = field(default_factory=VirtualClock)
    rng: Random = field(default_factory=lambda: Random(1))
    metrics: Metrics = field(default_factory=Metrics)
    drain: Drain = field(default_factory=Drain)

    def __post_init__(self) -> None:
        self.permits = Permits({"handle": self.concurrency}, self.concurrency)
        self.observe = MappingObserver(self.metrics, self.facts, self.clock)
        self.function = Function(
            name="handle",
            timeout=30.0,
            executor=self.executor,
            permits=self.permits,
            clock=self.clock,
            observe=FunctionObserver(self.metrics, "handle"),
        )

    def work(
        self,
        *,
        policy: Policy | None = None,
        limits: BatchLimits | None = None,
        partial_answers: bool = False,
        destination: Destination | None = None,
    ) -> Work:
        """What is to be done with the records of SHARD."""
        return Work(
            mapping=self.facts.name,
            place=SHARD,
            limits=limits or BatchLimits(count=10),
            report_batch_item_failures=partial_answers,
            policy=policy or StreamPolicy(),
            function=self.function,
            function_arn=FUNCTION_ARN,
            destination=destination,
            report=partial(stream_report, FACTS, SHARD),
            observe=self.observe,
            clock=self.clock,
            rng=self.rng,
        )

    def count(self, name: str, **labels: str) -> float | None:
        """The value of one of the mapping's metrics, less the prefix of its name."""
        self.metrics.snapshot()
        return self.metrics.registry.get_sample_value(f"poller_{name}", {"mapping": self.facts.name, **labels})


class Courier(Trouble):
    """The way to the failure destination; notes what has arrived."""

    def __init__(self, journal: list[tuple[str, tuple[str, ...]]]) -> None:
        super().__init__()
        self._journal = journal

    async def after(self, operation: str) -> None:
        """See `Faults.after`."""
        self._journal.append(("send", ()))
        await super().after(operation)


class Scene:
    """A lane, a function that follows a script, a failure destination, and the journal of all that happens."""

    def __init__(
        self,
        script: Callable[[Call], Answer] = lambda _: ACCEPTS,
        *,
        seconds: float = 0.0,
        policy: Policy | None = None,
        limits: BatchLimits | None = None,
        partial_answers: bool = False,
    ) -> None:
        def noted(call: Call) -> Answer:
            self.journal.append(("invoke", tuple(str(record["n"]) for record in call.records)))
            return script(call)

        self.journal: list[tuple[str, tuple[str, ...]]] = []
        self.stage = Stage(executor=ScriptedExecutor(noted, seconds=seconds), concurrency=1)
        self.drain: Drain = self.stage.drain
        self.lane = ListLane(self.drain, self.journal)
        self.courier = Courier(self.journal)
        self._sqs = MemorySqs(self.stage.clock, self.courier)
        self._queue = self._sqs.queues.create_queue("dead-letters")
        self.work = self.stage.work(
            policy=policy,
            limits=limits,
            partial_answers=partial_answers,
            destination=SqsDestination(api=self._sqs, queue_arn=self._queue),
        )

    async def run(self, some: Iterable[Record]) -> float:
        """Works these off, and says how long it took."""
        self.lane.put(tuple(some), end=True)
        await run_lane(self.lane, self.work, self.drain)
        return now()

    @property
    def events(self) -> list[str]:
        """The journal, without the reads: `invoke 1 2`."""
        return [" ".join((what, *ids)) for what, ids in self.journal if what != "read"]

    @property
    def documents(self) -> list[dict[str, dict[str, object]]]:
        """What the failure destination has."""
        return [orjson.loads(message.body) for message in self._sqs.queues.messages(self._queue)]


class Buffer:
    """The read-ahead of one shard, whose checkpoints nobody writes."""

    def __init__(self, budget: MemoryBudget | None = None, **limits: int) -> None:
        self.stage = Stage()
        lease = Lease(mapping=MAPPING, shard=SHARD, owner="me", epoch=1)
        store = MemoryStore(MemoryContents(), self.stage.clock)
        self.drain: Drain = self.stage.drain
        left = Remembered(lanes=limits.get("lanes", 1))
        self.checkpointer = Checkpointer(store, lease, self.stage.observe, self.stage.rng, left)
        self.budget = budget or MemoryBudget(10**9)
        self.ahead = ReadAhead(ReadAheadLimits(**limits), self.budget, self.checkpointer, self.drain)

    async def is_full(self) -> bool:
        """Whether the reader would have to wait."""
        before = now()
        try:
            async with asyncio.timeout(1):
                await self.ahead.space()
        except TimeoutError:
            return True
        assert now() == before
        return False

    async def settle(self, *numbers: int) -> None:
        """Settles these records."""
        await self.ahead.settle(records(*numbers))
