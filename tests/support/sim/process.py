"""One incarnation of the daemon: `poller.daemon.serve` between watched ends, which can drain, and die."""

from __future__ import annotations

import asyncio
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from poller.compose import World
from poller.daemon import serve
from poller.drain import Drain
from poller.observe.metrics import Metrics
from poller.wiring import Wiring
from support.sim.books import Moment, Tally
from support.sim.executor import SimExecutor
from support.sim.letters import SimSqs
from support.sim.queue_api import SimQueue
from support.sim.scenario import MappingPlan
from support.sim.store import SimStore
from support.sim.stream import SimDynamoDb, SimKinesis
from support.sim.weather import Trouble
from support.sim.written import configuration
from support.virtual import EPOCH, Freezer, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from poller.config import Connection, StoreConfig
    from poller.core.model import ShardId
    from poller.ports import Executor, Store
    from poller.services import DynamoDbStreamsApi, KinesisApi, SqsApi
    from poller.wiring import Worker
    from support.sim.hold import Hold
    from support.sim.queue_scenario import QueueMappingPlan
    from support.sim.surroundings import Surroundings
    from support.sim.weather import Service

T = TypeVar("T")

COMES_TO = 0.05
"""Seconds after a thaw in which a process stops what it should not do any more."""

ROUNDING = 1e-5
"""Seconds by which the loop may be early."""

GRACE = 2.0
"""Seconds beyond its time-out by which a drain is over."""


async def _not_here(_: Connection) -> NoReturn:
    """Of a service that no run has."""
    raise AssertionError("no mapping of a run reports anywhere but to a queue")


class JumpingClock(VirtualClock):
    """The wall clock of one process.

    Attributes:
        highest: the latest Unix time that it has shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self._highest = 0.0

    def jump(self, seconds: float) -> None:
        self._highest = self.highest
        super().jump(seconds)

    def right(self) -> None:
        """Somebody has set it right."""
        self.jump(EPOCH - self.skew)

    @property
    def highest(self) -> float:
        return max(self._highest, self.time())


class Process:
    """An incarnation of the daemon.

    Attributes:
        alive: false from its crash on: nothing that it does counts.
        holds: by mapping and shard, the lease that it got last.
        kinesis: by mapping, its connections.
        read_at: when it read a shard of a stream last, by the loop's clock; `reads`: when for one of its mappings.
        unanswered: shards, by mapping, of which the last read has failed, or goes on.
        late_writes: a checkpoint of it has been written, or will be, after it had given the write up.
        frozen_at, thawed_at: when it was frozen last, and until when.
    """

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.ledger = around.ledger
        self.clock = JumpingClock()
        self.drain = Drain()
        self.freezer = Freezer()
        self._patient_until = inf
        self.frozen_at, self.thawed_at = -inf, -COMES_TO
        self.metrics = Metrics()
        self.alive = True
        self.holds: dict[tuple[str, ShardId], Hold] = {}
        self.kinesis: dict[str, SimKinesis | SimDynamoDb] = {}
        self.read_at: dict[tuple[str, ShardId], float] = {}
        self.reads: dict[tuple[str, ShardId], float] = {}
        self.unanswered: set[tuple[str, ShardId]] = set()
        self.late_writes = False
        self._letters: list[SimSqs] = []
        self._queues: list[SimQueue] = []
        self._store: SimStore | None = None
        self._around = around
        self._scenario = around.scenario
        self._unread = iter(around.scenario.mappings)
        self._unpolled = self._sqs_users()
        self.ledger.processes[name] = self
        world = World(clock=self.clock, rng=self._chance("daemon"), wiring=self._wiring(), owner=name)
        running = serve(configuration(self._scenario), world, self.drain, self.metrics)
        self.task = asyncio.get_running_loop().create_task(running, name=name, context=self.freezer.inside())
        self.task.add_done_callback(self._over)
        self.ledger.trace.note(f"{name} starts")

    @property
    def now(self) -> Moment:
        """What time it is for this process."""
        return Moment(at=self.clock.monotonic(), unix=self.clock.time(), highest=self.clock.highest, draining=self.drain.started)

    def tally(self, plan: MappingPlan) -> Tally:
        """Its figures for one mapping."""
        return self.ledger.tallies[self.name, plan.name]

    def linger(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A call that goes on whatever becomes of who waits for it."""
        return self._around.linger(call)

    async def freeze(self, seconds: float) -> None:
        """Stands still for so long."""
        self.ledger.trace.note(f"{self.name} is frozen for {seconds:.1f} s")
        self.freezer.freeze()
        self.frozen_at = self.clock.monotonic()
        await asyncio.sleep(seconds)
        self._thaw()

    @property
    def stands_still(self) -> bool:
        """Frozen, or so shortly ago that it cannot have stopped what it has to stop."""
        return self.freezer.frozen or self.clock.monotonic() <= self.thawed_at + COMES_TO

    @property
    def impatient(self) -> bool:
        """Its drain has taken too long: what still runs is cancelled."""
        return self.clock.monotonic() >= self._patient_until - ROUNDING

    def _thaw(self) -> None:
        if self.freezer.frozen:
            self.ledger.trace.note(f"{self.name} is thawed")
            self.thawed_at = self.clock.monotonic()
            self.freezer.thaw()

    async def crash(self, *, loose: bool) -> None:
        """Cut off from the world, then dropped: no `finally` can save it. `loose`: what it had sent may still take effect."""
        self.alive = False
        self._thaw()
        self.ledger.trace.note(f"{self.name} crashes{', loose' if loose else ''}")
        for stream in self.kinesis.values():
            stream.cut()
        for letters in self._letters:
            letters.cut()
        for queue in self._queues if not loose else ():
            queue.cut()
        if self._store is not None and not loose:
            self._store.cut()
        self.task.cancel()
        await asyncio.wait([self.task], timeout=GRACE)
        if not self.task.done():
            self.ledger.fail(f"{self.name} does not end when it is cancelled")

    async def stop(self) -> None:
        """Drains, in time."""
        self._thaw()
        self.ledger.trace.note(f"{self.name} drains")
        self._patient_until = self.clock.monotonic() + self._scenario.drain
        self.drain.start()
        await asyncio.wait([self.task], timeout=self._scenario.drain + GRACE)
        if not self.task.done() and self.alive:
            self.ledger.fail(f"{self.name} has not drained within {self._scenario.drain + GRACE} s")

    def _over(self, task: asyncio.Task[None]) -> None:
        """A process that is not told to ends neither well nor badly."""
        error = None if task.cancelled() else task.exception()
        self.ledger.trace.note(f"{self.name} ended")
        if self.alive and (error is not None or not self.drain.started):
            self.ledger.fail(f"{self.name} ended by itself: {error!r}")

    # ------------------------------------------------------------------------------------------------------------- wiring

    def _wiring(self) -> Wiring:
        return Wiring(
            kinesis=self._connect,
            dynamodb=self._connect_table,
            sqs=self._connect_queue,
            sns=_not_here,
            s3=_not_here,
            store=self._open_store,
            executor=self._executor,
        )

    async def _connect(self, _: Connection) -> KinesisApi:
        """One for each mapping, in their order."""
        plan = next(self._unread)
        faults = self._trouble("kinesis", plan.name)
        self.kinesis[plan.name] = api = SimKinesis(self, plan, self._around.streams, faults)
        return api

    async def _connect_table(self, _: Connection) -> DynamoDbStreamsApi:
        plan = next(self._unread)
        self.kinesis[plan.name] = api = SimDynamoDb(self, plan, self._around.tables, self._trouble("kinesis", plan.name))
        return api

    async def _connect_queue(self, _: Connection) -> SqsApi:
        """Of mappings of streams that with a destination has one, of queues each, and one with a destination another."""
        plan, service = next(self._unpolled)
        faults = self._trouble(service, plan.name)
        if isinstance(plan, MappingPlan):
            self._letters.append(SimSqs(self, plan, self._around.queues, faults))
            return self._letters[-1]
        self._queues.append(SimQueue(self, plan, self._around.queues, faults))
        return self._queues[-1]

    def _sqs_users(self) -> Iterator[tuple[MappingPlan | QueueMappingPlan, Service]]:
        """In the order in which they are made: as they are written."""
        for stream in self._scenario.mappings:
            yield from ((stream, "sqs"),) if stream.destination else ()
        for queue in self._scenario.queue_mappings:
            yield queue, "sqs"
            yield from ((queue, "destination"),) if queue.destination else ()

    def _open_store(self, _: StoreConfig) -> Store:
        self._store = SimStore(self, self._around.contents, self.clock, self._trouble("store", ""))
        return self._store

    def _executor(self, worker: Worker) -> Executor:
        plan = next(each for each in self._scenario.functions if each.name == worker.name)
        return SimExecutor(self, plan, self._around.moods, self._chance(f"kill {worker.name}"))

    def _trouble(self, service: Service, of: str) -> Trouble:
        chance = self._chance(f"{service} {of}")
        return Trouble(weather=self._around.weather, service=service, process=self.name, chance=chance)

    def _chance(self, what: str) -> Random:
        return Random(f"{self._scenario.seed} {self.name} {what}")
