"""Whole processes on one virtual loop: what they share outlives them; each has its own connections, to trouble and to cut."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import orjson

from poller.apis.memory_kinesis import MemoryKinesis
from poller.apis.memory_sqs import MemoryQueues, MemorySqs
from poller.apis.memory_streams import DAY, LENIENT, Behaviour, MemoryStreams
from poller.core.model import Start, position
from poller.core.policy import StreamPolicy
from poller.destinations.sqs import SqsDestination
from poller.mapping import StreamMapping, run_mapping
from poller.readahead import MemoryBudget, ReadAheadLimits
from poller.services import KinesisPage
from poller.shard import HeldShard
from poller.sources.kinesis import KinesisShape, KinesisSource
from poller.sources.pace import ReadPace
from poller.stores.memory import MemoryContents, MemoryStore
from support.doubles import ScriptedExecutor, Trouble
from support.stage import FUNCTION_ARN, MAPPING, SHARD, STREAM_ARN, Stage, now
from support.virtual import EPOCH, VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from poller.core.batching import BatchLimits
    from poller.core.model import ShardId, ShardState, StartType
    from poller.ports import Page, ShardReader
    from poller.services import KinesisApi
    from support.doubles import Call

STARTS: tuple[StartType, ...] = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "AFTER_SEQUENCE_NUMBER")

SHAPE = KinesisShape(stream_arn=STREAM_ARN, region="us-east-1", role_arn=FUNCTION_ARN)


class World:
    """What outlives a process: the stream `orders`, a store's contents, and a queue for what is given up."""

    def __init__(self, *, shards: int = 1, behaviour: Behaviour = LENIENT, retention: float = DAY) -> None:
        self.clock = VirtualClock()
        self.streams = MemoryStreams(self.clock, behaviour)
        self.streams.create_stream("orders", shards=shards, retention=retention)
        self.contents = MemoryContents()
        self.queues = MemoryQueues(self.clock)
        self.dead_letters = self.queues.create_queue("dead-letters")

    def put(self, *names: str) -> list[str]:
        """A record for each name, which is its partition key and its data. Returns the sequence numbers."""
        return [self.streams.put_record(STREAM_ARN, name, name.encode())[1] for name in names]

    @property
    def shards(self) -> dict[ShardId, ShardState]:
        """What the store knows."""
        return self.contents.shards(MAPPING, now())

    @property
    def documents(self) -> list[dict[str, dict[str, object]]]:
        """What was given up."""
        return [orjson.loads(message.body) for message in self.queues.messages(self.dead_letters)]


@dataclass(kw_only=True)
class Process:
    """One process with one mapping of the world's stream.

    Attributes:
        owner: its name on leases.
        kinesis: what goes wrong between it and the stream; `storing` between it and the store, `sending` to the queue.
    """

    world: World
    owner: str = "one"
    executor: ScriptedExecutor = field(default_factory=ScriptedExecutor)
    start: Start = field(default_factory=lambda: Start(type="TRIM_HORIZON"))
    resume: Literal["fail", "latest", "trim_horizon"] = "fail"
    on_trimmed: Literal["trim_horizon", "fail"] = "trim_horizon"
    lease_ttl: float = 30.0
    policy: StreamPolicy = field(default_factory=StreamPolicy)
    limits: BatchLimits | None = None
    read_ahead: ReadAheadLimits = field(default_factory=ReadAheadLimits)
    reading: Trouble = field(default_factory=Trouble)
    storing: Trouble = field(default_factory=Trouble)
    sending: Trouble = field(default_factory=Trouble)

    def __post_init__(self) -> None:
        world = self.world
        self.stage = Stage(executor=self.executor, clock=world.clock)
        self.drain = self.stage.drain
        self.count = self.stage.count
        self.api = MemoryKinesis(world.clock, self.reading, streams=world.streams)
        self.store = MemoryStore(world.contents, world.clock, self.storing)
        self.source = KinesisSource(api=self.api, shape=SHAPE, pace=ReadPace(world.clock), clock=world.clock)
        self.budget = MemoryBudget(10**9)
        sqs = MemorySqs(world.clock, self.sending, queues=world.queues)
        destination = SqsDestination(api=sqs, queue_arn=world.dead_letters)
        self.work = self.stage.work(policy=self.policy, limits=self.limits, destination=destination)

    async def run(self) -> None:
        """Until the drain is done."""
        await run_mapping(self.mapping(), self.drain)

    def mapping(self) -> StreamMapping:
        """The mapping, for `run_mapping`."""
        return StreamMapping(
            id=MAPPING,
            start=self.start,
            resume=self.resume,
            on_trimmed=self.on_trimmed,
            owner=self.owner,
            lease_ttl=self.lease_ttl,
            source=self.source,
            store=self.store,
            limits=self.read_ahead,
            budget=self.budget,
            work=self.work,
            work_for=lambda shard: replace(self.work, place=shard),
        )

    async def hold(self, shard: ShardId = SHARD) -> HeldShard:
        """A shard whose lease was just taken, for `run_shard`; it begins at the oldest record."""
        asked_at = now()
        await self.store.enroll(MAPPING, (await self.api.describe_stream(STREAM_ARN)).id, {})
        lease = await self.store.acquire(MAPPING, shard, self.owner, self.lease_ttl)
        assert lease is not None, f"{self.owner} did not get {shard}"
        return HeldShard(
            lease=lease,
            ttl=self.lease_ttl,
            asked_at=asked_at,
            store=self.store,
            reader=self.source.reader(shard, Start(type="TRIM_HORIZON")),
            limits=self.read_ahead,
            budget=self.budget,
            work=self.work,
        )

    def cut(self) -> None:
        """From now on nothing that it does reaches the world: it has crashed, whatever its tasks still do."""
        self.api.cut()
        self.store.cut()

    @property
    def seen(self) -> list[list[str]]:
        """The records of every invocation, by name."""
        return [names(call) for call in self.executor.calls]

    @property
    def all_seen(self) -> list[str]:
        """The same, as one list."""
        return [name for some in self.seen for name in some]


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs processes for as long as the context lasts; then they are drained, and all must end by that."""
    async with asyncio.TaskGroup() as group:
        yield [group.create_task(process.run()) for process in processes]
        for process in processes:
            process.drain.start()


def names(call: Call) -> list[str]:
    """The records of one invocation, by name."""
    return [base64.b64decode(record["kinesis"]["data"]).decode() for record in call.records]


class Reading:
    """A stream of one shard, and a reader of it. Records 1 and 2 were there before the start; 3 is the first that counts."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.world = World(behaviour=behaviour or Behaviour())
        self.trouble = Trouble()
        self.source = source(self.world, MemoryKinesis(self.world.clock, self.trouble, streams=self.world.streams))

    async def begin(self, kind: StartType) -> ShardReader:
        """A reader from one of STARTS, with two records before it unless it begins at the oldest."""
        if kind == "TRIM_HORIZON":
            return self.source.reader(SHARD, Start(type=kind))
        old = self.world.put("1", "2")
        await asyncio.sleep(10)
        match kind:
            case "LATEST":
                start = await self.source.boundary(SHARD)
            case "AT_TIMESTAMP":
                start = Start(type="AT_TIMESTAMP", timestamp=EPOCH + 10)
            case _:
                start = Start(type="AFTER_SEQUENCE_NUMBER", position=position(old[1]))
        self.trouble.calls.clear()
        return self.source.reader(SHARD, start)

    @property
    def iterators(self) -> int:
        """How often a new iterator was asked for."""
        return len(self.trouble.calls["GetShardIterator"])


def source(world: World, api: KinesisApi, pace: ReadPace | None = None) -> KinesisSource:
    """The world's stream, over this connection."""
    return KinesisSource(api=api, shape=SHAPE, pace=pace or ReadPace(world.clock), clock=world.clock)


def names_of(page: Page) -> list[str]:
    """The partition keys, which the world makes the same as the data."""
    return [record.group for record in page.records]


async def read_all(reader: ShardReader) -> list[str]:
    """Reads on until a page is empty. Nothing may come twice."""
    read: list[str] = []
    while (page := await reader.read()).records:
        read += names_of(page)
        assert page.repeated == 0
    return read


def put_everywhere(world: World, count: int) -> dict[ShardId, list[str]]:
    """So many records at least for each shard that is open, by shard: where a record goes is up to the hash of its key."""
    found: dict[ShardId, list[str]] = {}
    wanted = sum(1 for shard in world.streams._streams[STREAM_ARN].shards.values() if shard.closed_at is None)
    for number in range(1000):
        name = f"{now():.0f}-{number}"
        shard, _ = world.streams.put_record(STREAM_ARN, name, name.encode())
        found.setdefault(shard, []).append(name)
        if len(found) == wanted and all(len(some) >= count for some in found.values()):
            break
    return found


class RepeatingKinesis(MemoryKinesis):
    """Hands out the last two records of each page again at the front of the next, as a source that is at least once may."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock, streams=world.streams)
        self._last: tuple[object, ...] = ()

    async def get_records(self, stream_arn: str, iterator: str, limit: int) -> KinesisPage:
        """See `KinesisApi.get_records`."""
        page = await super().get_records(stream_arn, iterator, limit)
        again, self._last = self._last, tuple(page.records[-2:])
        return KinesisPage(records=[*again, *page.records], next_iterator=page.next_iterator, behind=page.behind)  # type: ignore[list-item]
