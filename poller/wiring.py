"""Kind to constructor, one dict per port: the only place that names adapters.

A new source, executor, destination or store is a new file beside its siblings and one line here. Adapters are imported when the
first of their kind is made, so that nobody waits for what is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from poller.config import InlineFunctionConfig, ProcessFunctionConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from poller.apis.client import AwsClients, AwsSettings
    from poller.config import Connection, FunctionConfig, QueueMappingConfig, StoreConfig, StreamMappingConfig
    from poller.ports import Clock, Destination, Executor, QueueSource, Rng, Store, StreamSource, WorkerEvents
    from poller.services import KinesisApi, SqsApi
    from poller.sources.pace import ReadPace


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One function as its executor needs to know it.

    Attributes:
        name: as configured.
        arn: what its environment and context call it.
        events: where its output and its workers' lives are told.
    """

    name: str
    arn: str
    config: FunctionConfig
    events: WorkerEvents
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The ends of the program: what a simulation replaces. Everything between them is the same code.

    Attributes:
        kinesis: its Api, for an endpoint.
        sqs: its Api, for an endpoint.
        store: opens nothing yet; the daemon enters it.
        executor: starts nothing yet; the daemon enters it.
    """

    kinesis: Callable[[Connection], Awaitable[KinesisApi]]
    sqs: Callable[[Connection], Awaitable[SqsApi]]
    store: Callable[[StoreConfig], Store]
    executor: Callable[[Worker], Executor]


def production(clients: AwsClients, clock: Clock) -> Wiring:
    """The real ends: AWS or what speaks its protocols, a store by the scheme of its URL, an executor by its kind."""
    return Wiring(
        kinesis=lambda connection: _kinesis(clients, connection, clock),
        sqs=lambda connection: _sqs(clients, connection),
        store=lambda config: STORES[config.scheme](config, clock),
        executor=lambda worker: EXECUTORS[worker.config.executor](worker),
    )


def stream_source(config: StreamMappingConfig, api: KinesisApi, role_arn: str, pace: ReadPace, clock: Clock) -> StreamSource:
    """The stream that a mapping reads; `role_arn` is what its events carry as `invokeIdentityArn`."""
    from poller.sources.kinesis import KinesisShape, KinesisSource

    shape = KinesisShape(stream_arn=config.event_source_arn, region=config.arn.region, role_arn=role_arn)
    return KinesisSource(api=api, shape=shape, pace=pace, clock=clock)


def queue_source(config: QueueMappingConfig, api: SqsApi, clock: Clock, rng: Rng) -> QueueSource:
    """The queue that a mapping polls."""
    from poller.sources.sqs import SqsShape, SqsSource

    windowed = config.maximum_batching_window_in_seconds > 0
    shape = SqsShape(queue_arn=config.event_source_arn, region=config.arn.region, windowed=windowed)
    return SqsSource(api=api, shape=shape, clock=clock, rng=rng)


def destination(queue_arn: str, api: SqsApi) -> Destination:
    """Where a mapping reports what it gives up."""
    from poller.destinations.sqs import SqsDestination

    return SqsDestination(api=api, queue_arn=queue_arn)


async def _kinesis(clients: AwsClients, connection: Connection, clock: Clock) -> KinesisApi:
    from poller.apis.kinesis import BotoKinesisApi

    return BotoKinesisApi(await clients.client("kinesis", _settings(connection)), clock)


async def _sqs(clients: AwsClients, connection: Connection) -> SqsApi:
    from poller.apis.sqs import BotoSqsApi

    settings = _settings(connection)
    return BotoSqsApi(await clients.client("sqs", settings), polls=await clients.client("sqs", settings, "polls"))


def _settings(connection: Connection) -> AwsSettings:
    from poller.apis.client import AwsSettings

    return AwsSettings(region=connection.region, endpoint_url=connection.endpoint_url, profile=connection.profile)


def _memory(_: StoreConfig, clock: Clock) -> Store:
    from poller.stores.memory import MemoryContents, MemoryStore

    return MemoryStore(MemoryContents(), clock)


def _sqlite(config: StoreConfig, clock: Clock) -> Store:
    from poller.stores.sqlite import SqliteStore

    assert config.path is not None  # noqa: S101  the scheme says so
    return SqliteStore(config.path, clock)


def _redis(config: StoreConfig, _: Clock) -> Store:
    from poller.stores.redis import RedisStore

    return RedisStore(config.url)


def _inline(worker: Worker) -> Executor:
    from poller.executors.inline import InlineExecutor, InlineSpec, load

    config = worker.config
    assert isinstance(config, InlineFunctionConfig)  # noqa: S101  the kind says so
    spec = InlineSpec(name=worker.name, arn=worker.arn, maximum_concurrency=config.concurrency)
    return InlineExecutor(load(config.handler, config.code), spec, worker.clock)


def _process(worker: Worker) -> Executor:
    from poller.executors.process import ProcessExecutor, ProcessSpec

    config = worker.config
    assert isinstance(config, ProcessFunctionConfig)  # noqa: S101  the kind says so
    spec = ProcessSpec(
        name=worker.name,
        arn=worker.arn,
        handler=config.handler,
        code=config.code,
        python=config.python,
        environment=config.environment,
        timeout=config.timeout,
        memory_size=config.memory_size,
        maximum_concurrency=config.concurrency,
        credentials=config.credentials,
    )
    return ProcessExecutor(spec, worker.events, worker.clock)


STORES: Final[Mapping[str, Callable[[StoreConfig, Clock], Store]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    **dict.fromkeys(("redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix"), _redis),
}
EXECUTORS: Final[Mapping[str, Callable[[Worker], Executor]]] = {"inline": _inline, "process": _process}
