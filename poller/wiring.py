"""Kind to constructor, one dict per port: the only place that names adapters.

A new source, executor, destination or store is a new file beside its siblings and one line here. Adapters are imported when the
first of their kind is made, so that nobody waits for what is not used.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from poller.config import (
    HttpFunctionConfig,
    InlineFunctionConfig,
    LambdaFunctionConfig,
    PluginFunctionConfig,
    ProcessFunctionConfig,
)
from poller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from poller.apis.client import AwsClients, AwsSettings, Transport
    from poller.config import Connection, FunctionConfig, QueueMappingConfig, StoreConfig, StreamMappingConfig
    from poller.config.destination import OnFailure
    from poller.edits import EditableStore
    from poller.executors.http import HttpSpec
    from poller.executors.memory import MemoryWatch
    from poller.ports import Clock, Destination, Executor, QueueSource, Rng, Store, StreamSource, WorkerEvents
    from poller.services import DynamoDbStreamsApi, KinesisApi, LambdaApi, S3Api, SnsApi, SqsApi
    from poller.sources.pace import ReadPace


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One function as its executor needs to know it.

    Attributes:
        name: as configured.
        arn: what its environment and context call it.
        events: where its output and its workers' lives are told.
        connection: how to reach the service that runs it; None: none of AWS does.
        memory: who looks after the memory of all workers of this process; None: the function's own are alone.
    """

    name: str
    arn: str
    config: FunctionConfig
    events: WorkerEvents
    clock: Clock
    connection: Connection | None = None
    memory: MemoryWatch | None = None


class Around(NamedTuple):
    """What all streams of a process share."""

    pace: ReadPace
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The ends of the program: what a simulation replaces. Everything between them is the same code.

    Attributes:
        kinesis: its Api, for an endpoint.
        dynamodb: that of DynamoDB Streams, for an endpoint.
        sqs: its Api, for an endpoint; and so the others.
        store: opens nothing yet; the daemon enters it.
        executor: starts nothing yet; the daemon enters it.
    """

    kinesis: Callable[[Connection], Awaitable[KinesisApi]]
    dynamodb: Callable[[Connection], Awaitable[DynamoDbStreamsApi]]
    sqs: Callable[[Connection], Awaitable[SqsApi]]
    sns: Callable[[Connection], Awaitable[SnsApi]]
    s3: Callable[[Connection], Awaitable[S3Api]]
    store: Callable[[StoreConfig], Store]
    executor: Callable[[Worker], Executor]


def production(clients: AwsClients, clock: Clock) -> Wiring:
    """The real ends: AWS or what speaks its protocols, a store by the scheme of its URL, an executor by its kind."""
    from poller.executors.cgroup import delegated
    from poller.executors.memory import MemoryWatch

    memory = MemoryWatch(groups=delegated())
    return Wiring(
        kinesis=lambda connection: _kinesis(clients, connection, clock),
        dynamodb=lambda connection: _dynamodb(clients, connection, clock),
        sqs=lambda connection: _sqs(clients, connection),
        sns=lambda connection: _sns(clients, connection),
        s3=lambda connection: _s3(clients, connection),
        store=lambda config: STORES[config.scheme](config, clock),
        executor=lambda worker: executor(replace(worker, memory=memory)),
    )


async def stream_source(
    config: StreamMappingConfig, wiring: Wiring, connection: Connection, around: Around, role_arn: str
) -> StreamSource:
    """The stream that a mapping reads; `role_arn` is what Kinesis's events carry as `invokeIdentityArn`."""
    arn, region = config.event_source_arn, config.arn.region
    if config.reads_table:
        from poller.sources.dynamodb import DynamoDbShape, DynamoDbSource

        of_table = DynamoDbShape(stream_arn=arn, region=region)
        return DynamoDbSource(api=await wiring.dynamodb(connection), shape=of_table, pace=around.pace, clock=around.clock)
    from poller.sources.kinesis import KinesisShape, KinesisSource

    shape = KinesisShape(stream_arn=arn, region=region, role_arn=role_arn)
    return KinesisSource(api=await wiring.kinesis(connection), shape=shape, pace=around.pace, clock=around.clock)


def queue_source(config: QueueMappingConfig, api: SqsApi, clock: Clock, rng: Rng) -> QueueSource:
    """The queue that a mapping polls."""
    from poller.sources.sqs import SqsShape, SqsSource

    windowed = config.maximum_batching_window_in_seconds > 0
    shape = SqsShape(queue_arn=config.event_source_arn, region=config.arn.region, windowed=windowed)
    return SqsSource(api=api, shape=shape, clock=clock, rng=rng)


async def destination(config: OnFailure, wiring: Wiring, connection: Connection | None, clock: Clock) -> Destination:
    """Where a mapping reports what it gives up; `config` names one. Raises `ConfigError` where it can never work."""
    if connection is not None:
        return await _of_aws(config, wiring, connection)
    return _file(config) if config.kind == "file" else _url(config, clock)


async def _of_aws(config: OnFailure, wiring: Wiring, connection: Connection) -> Destination:
    from poller.destinations.kinesis import KinesisDestination
    from poller.destinations.s3 import S3Destination
    from poller.destinations.sns import SnsDestination
    from poller.destinations.sqs import SqsDestination

    arn, payload = config.named, config.include_payload
    match config.kind:
        case "sqs":
            return SqsDestination(api=await wiring.sqs(connection), queue_arn=arn, include_payload=payload)
        case "sns":
            return SnsDestination(api=await wiring.sns(connection), topic_arn=arn, include_payload=payload)
        case "s3":
            return S3Destination(api=await wiring.s3(connection), bucket=arn.rpartition(":")[2])
        case "kinesis":
            return KinesisDestination(api=await wiring.kinesis(connection), stream_arn=arn, include_payload=payload)
        case "http" | "file":
            raise AssertionError(arn)
    assert_never(config.kind)


def _file(config: OnFailure) -> Destination:
    from poller.destinations.file import FileDestination, Rotation

    rotation = Rotation(size=config.maximum_file_size, kept=config.rotated_files)
    return FileDestination(path=config.path, rotation=rotation, include_payload=config.include_payload)


def _url(config: OnFailure, clock: Clock) -> Destination:
    from poller.destinations.http import HttpDestination, Target

    target = Target(
        url=config.named,
        headers=config.headers,
        ca_file=config.ca_file,
        allow_link_local=config.allow_link_local,
        timeout=config.timeout,
    )
    return HttpDestination(target, clock, include_payload=config.include_payload)


def executor(worker: Worker) -> Executor:
    """What runs a function: one of ours, or a plug-in's. Raises `ConfigError` where it can never work."""
    return EXECUTORS.get(worker.config.executor, _plugin)(worker)


async def _kinesis(clients: AwsClients, connection: Connection, clock: Clock) -> KinesisApi:
    from poller.apis.kinesis import BotoKinesisApi

    return BotoKinesisApi(await clients.client("kinesis", _settings(connection)), clock)


async def _dynamodb(clients: AwsClients, connection: Connection, clock: Clock) -> DynamoDbStreamsApi:
    from poller.apis.dynamodb_streams import BotoDynamoDbStreamsApi

    return BotoDynamoDbStreamsApi(await clients.client("dynamodbstreams", _settings(connection)), clock)


async def _sqs(clients: AwsClients, connection: Connection) -> SqsApi:
    from poller.apis.sqs import BotoSqsApi

    settings = _settings(connection)
    return BotoSqsApi(await clients.client("sqs", settings), polls=await clients.client("sqs", settings, "polls"))


async def _sns(clients: AwsClients, connection: Connection) -> SnsApi:
    from poller.apis.sns import BotoSnsApi

    return BotoSnsApi(await clients.client("sns", _settings(connection)))


async def _s3(clients: AwsClients, connection: Connection) -> S3Api:
    from poller.apis.s3 import BotoS3Api

    return BotoS3Api(await clients.client("s3", _settings(connection)))


def _settings(connection: Connection) -> AwsSettings:
    from poller.apis.client import AwsSettings

    return AwsSettings(region=connection.region, endpoint_url=connection.endpoint_url, profile=connection.profile)


def _memory(_: StoreConfig, clock: Clock) -> EditableStore:
    from poller.stores.memory import MemoryContents, MemoryStore

    return MemoryStore(MemoryContents(), clock)


def _sqlite(config: StoreConfig, clock: Clock) -> EditableStore:
    from poller.stores.sqlite import SqliteStore

    assert config.path is not None  # noqa: S101  the scheme says so
    return SqliteStore(config.path, clock)


def _redis(config: StoreConfig, _: Clock) -> EditableStore:
    from poller.stores.redis import RedisStore

    return RedisStore(config.url)


def _inline(worker: Worker) -> Executor:
    from poller.executors.inline import InlineExecutor, InlineSpec, load

    config = worker.config
    assert isinstance(config, InlineFunctionConfig)  # noqa: S101  the kind says so
    spec = InlineSpec(name=worker.name, arn=worker.arn, maximum_concurrency=config.capacity)
    return InlineExecutor(load(config.handler, config.code), spec, worker.clock)


def _process(worker: Worker) -> Executor:
    from poller.executors.process import Lifecycle, ProcessExecutor, ProcessSpec

    config = worker.config
    assert isinstance(config, ProcessFunctionConfig)  # noqa: S101  the kind says so
    spec = ProcessSpec(
        name=worker.name,
        arn=worker.arn,
        handler=config.handler,
        code=config.code,
        runtime=config.runtime,
        runtime_client=config.runtime_client,
        python=config.python,
        node=config.node,
        environment=config.environment,
        timeout=config.timeout,
        memory_size=config.memory_size,
        maximum_concurrency=config.capacity,
        credentials=config.credentials,
    )
    lifecycle = Lifecycle(
        maximum_concurrency=config.capacity,
        provisioned_concurrency=config.provisioned_concurrency,
        idle_timeout=config.idle_timeout,
        maximum_invocations=config.maximum_invocations,
        maximum_age=config.maximum_age,
        memory_size=config.memory_size,
    )
    return ProcessExecutor(spec, worker.events, worker.clock, lifecycle, worker.memory)


def _http(worker: Worker) -> Executor:
    from poller.executors.http import HttpExecutor

    assert isinstance(worker.config, HttpFunctionConfig)  # noqa: S101  the kind says so
    return HttpExecutor(http_spec(worker.config, worker.arn), worker.clock)


def http_spec(config: HttpFunctionConfig, arn: str) -> HttpSpec:
    """How a function is asked over HTTP; `arn`: what it is called."""
    from poller.executors.http import HttpSpec

    return HttpSpec(
        url=config.url,
        arn=arn,
        protocol=config.spoken,
        headers=config.headers,
        ca_file=config.ca_file,
        allow_link_local=config.allow_link_local,
        maximum_concurrency=config.capacity,
    )


def _lambda(worker: Worker) -> Executor:
    from poller.apis.client import Transport
    from poller.executors.invoke_api import GRACE, LambdaExecutor, LambdaSpec

    config = worker.config
    assert isinstance(config, LambdaFunctionConfig)  # noqa: S101  the kind says so
    assert worker.connection is not None  # noqa: S101  the same
    spec = LambdaSpec(function_name=config.function_name, qualifier=config.qualifier, tail=config.log_type == "Tail")
    transport = Transport(connections=config.capacity, read_timeout=config.timeout + 2 * GRACE)
    return LambdaExecutor(spec, partial(lambda_api, _settings(worker.connection), transport), worker.events, worker.clock)


@asynccontextmanager
async def lambda_api(settings: AwsSettings, transport: Transport) -> AsyncIterator[LambdaApi]:
    """Lambda's Api over connections of its own: a function may take as long as it likes, so they wait longer than others."""
    from poller.apis.client import AwsClients
    from poller.apis.lambda_ import BotoLambdaApi

    async with AwsClients(transport) as clients:
        yield BotoLambdaApi(await clients.client("lambda", settings))


def _plugin(worker: Worker) -> Executor:
    from poller.config.plugin_function import plugin
    from poller.plugins import PluginFunction
    from poller.ports import Executor

    config = worker.config
    assert isinstance(config, PluginFunctionConfig)  # noqa: S101  the kind says so
    function = PluginFunction(
        name=worker.name,
        arn=worker.arn,
        timeout=config.timeout,
        maximum_concurrency=config.capacity,
        folder=config.folder,
        options=config.options,
        events=worker.events,
        clock=worker.clock,
    )
    try:
        made: object = plugin(config.executor).make(function)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"function {worker.name}: executor {config.executor} cannot be made: {error!r}") from error
    if not isinstance(made, Executor):
        raise ConfigError(f"function {worker.name}: what executor {config.executor} makes is no executor: {type(made).__name__}")
    return made


STORES: Final[Mapping[str, Callable[[StoreConfig, Clock], EditableStore]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    **dict.fromkeys(("redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix"), _redis),
}
EXECUTORS: Final[Mapping[str, Callable[[Worker], Executor]]] = {
    "inline": _inline,
    "process": _process,
    "http": _http,
    "lambda": _lambda,
}
