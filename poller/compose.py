"""From configuration to the objects that run: one function for each noun."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NotRequired, TypedDict, Unpack, assert_never

from poller.config import QueueMappingConfig, StreamMappingConfig
from poller.core.batching import BatchLimits
from poller.core.filters import compile_filter
from poller.core.model import Errored, ShardId, Start
from poller.core.policy import StreamPolicy
from poller.core.queue_policy import FifoPolicy, QueuePolicy
from poller.core.report import StreamFacts, message_report, stream_report
from poller.core.response import error_text
from poller.core.unwanted import unwanted
from poller.core.windows import Tumbling
from poller.function import Function, Permits
from poller.lane import Work
from poller.mapping import StreamMapping
from poller.observe.function import FunctionObserver
from poller.observe.mapping import MappingFacts
from poller.observe.standing import StandingObserver
from poller.ports import Provisioned
from poller.queue import QueueMapping
from poller.readahead import ReadAheadLimits
from poller.wiring import Around, Worker, destination, queue_source, stream_source

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from poller.config import Config, MappingConfig
    from poller.core.model import Answer, Decision, Discard, Record
    from poller.core.policy import Policy
    from poller.core.report import Report
    from poller.observe.mapping import MappingObserver
    from poller.observe.metrics import Metrics
    from poller.ports import Clock, Destination, Executor, Rng, Store
    from poller.readahead import MemoryBudget
    from poller.sources.pace import ReadPace
    from poller.wiring import Wiring

NO_SHARD = ShardId("")

READ_AHEAD_RECORDS = 10_000
SOON_RECORDS = 500
READ_AHEAD_BATCHES = 2
"""A shard holds 10,000 records at the most, and reads on while a lane has fewer than its part of 500; two full batches for each
lane where that is more. What bounds memory is bytes: of a hundred lanes with batches of 10,000 it is never all that is held."""

LEVELLING = 5.0
LEVELLING_PART = 1 / 6
"""Seconds of a drain in which lanes catch up with each other, and the part of its time-out that this may take at the most."""


class OfSource(TypedDict):
    """What of a mapping's work depends on the kind of its source."""

    limits: BatchLimits
    policy: Policy
    report: Callable[[Discard, float], Report]
    unwanted: NotRequired[Callable[[tuple[Record, ...]], Decision]]
    jitter: NotRequired[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Time, chance, a name, and the two ends of the program: all that a simulation replaces.

    Attributes:
        owner: this process, as leases name it.
    """

    clock: Clock
    rng: Rng
    wiring: Wiring
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What all mappings of a process share."""

    config: Config
    world: World
    metrics: Metrics
    store: Store
    permits: Permits
    budget: MemoryBudget
    pace: ReadPace
    functions: dict[str, Function] = field(default_factory=dict)
    observers: dict[str, FunctionObserver] = field(default_factory=dict)


def make_executor(name: str, config: Config, parts: Parts) -> Executor:
    """What runs a configured function. Starts nothing yet. Raises `ConfigError` where it cannot be made."""
    arn = function_arn(name, config)
    observe = parts.observers.setdefault(name, FunctionObserver(parts.metrics, name))
    return parts.world.wiring.executor(
        Worker(
            name=name,
            arn=arn,
            config=config.functions[name],
            events=observe,
            clock=parts.world.clock,
            connection=config.function_connection(name),
        )
    )


async def make_function(name: str, executor: Executor, parts: Parts, stack: AsyncExitStack) -> Function:
    """A function, open until the stack is closed."""
    settings, observe = parts.config.functions[name], parts.observers[name]
    observe.limit(settings.concurrency)
    observe.memory(settings.memory_limit)
    await stack.enter_async_context(executor)
    if isinstance(executor, Provisioned):  # all functions at the same time; each mapping waits for its own
        executor.warm().add_done_callback(partial(tell_if_not_warm, observe))
    return Function(
        name=name,
        timeout=settings.timeout,
        executor=executor,
        permits=parts.permits,
        clock=parts.world.clock,
        observe=observe,
    )


def tell_if_not_warm(observe: FunctionObserver, tried: Future[Answer | None]) -> None:
    """Says what was wrong with workers that were to be ready before the function's mappings are."""
    if tried.cancelled() or (answer := tried.result()) is None:
        return
    observe.not_provisioned(error_text(answer.payload) if isinstance(answer, Errored) else str(answer))


def permit_limits(config: Config) -> tuple[dict[str, int], int, dict[str, int]]:
    """What permits depend on: the limit of each function, that of the process, and what functions reserve of it."""
    functions = config.functions.items()
    reserved = {name: each.reserved_concurrency for name, each in functions if each.reserved_concurrency is not None}
    return {name: each.concurrency for name, each in functions}, config.concurrency_limit, reserved


async def make_mapping(config: MappingConfig, parts: Parts) -> StreamMapping | QueueMapping:
    """One mapping, ready to run."""
    match config:
        case StreamMappingConfig():
            return await make_stream_mapping(config, parts)
        case QueueMappingConfig():
            return await make_queue_mapping(config, parts)
    assert_never(config)


async def make_stream_mapping(config: StreamMappingConfig, parts: Parts) -> StreamMapping:
    """One mapping of a stream."""
    world, wiring, function_arn = parts.world, parts.world.wiring, arn_of(config)
    facts = stream_facts(config)
    connection, around = parts.config.source_connection(config), Around(parts.pace, world.clock)
    max_age = config.max_age
    work = make_work(
        config,
        parts,
        await make_destination(config, parts),
        limits=BatchLimits(count=config.batch_size, window=config.maximum_batching_window_in_seconds, max_age=max_age),
        policy=stream_policy(config),
        jitter=config.retry_backoff.jitter,
        report=partial(stream_report, facts, NO_SHARD),
    )

    def work_for(shard: ShardId) -> Work:
        windows = tumbling(config, shard)
        return replace(work, place=shard, tumbling=windows, report=partial(stream_report, facts, shard))

    return StreamMapping(
        id=config.uuid,
        start=Start(type=config.starting_position, timestamp=config.starting_position_timestamp),
        resume=config.resume,
        on_trimmed=config.on_trimmed,
        owner=world.owner,
        lease_ttl=parts.config.store.lease_duration,
        source=await stream_source(config, wiring, connection, around, function_arn),
        store=parts.store,
        limits=read_ahead(config.batch_size, config.parallelization_factor, parts.config.drain_timeout),
        budget=parts.budget,
        work=work,
        work_for=work_for,
    )


def stream_facts(config: StreamMappingConfig) -> StreamFacts:
    """What documents of the mapping say of it, each kind of stream in its own way."""
    facts = StreamFacts(mapping=config.uuid, stream_arn=config.event_source_arn, function_arn=arn_of(config))
    return replace(facts, batch_info="DDBStreamBatchInfo", seconds_only=True) if config.reads_table else facts


def tumbling(config: StreamMappingConfig, shard: ShardId) -> Tumbling | None:
    """The windows of one shard of the mapping; None: it has none."""
    seconds = config.tumbling_window_in_seconds
    return Tumbling(seconds=seconds, shard=shard, stream_arn=config.event_source_arn) if seconds else None


def stream_policy(config: StreamMappingConfig) -> StreamPolicy:
    """What becomes of records that fail."""
    return StreamPolicy(
        max_retries=config.max_retries,
        max_age=config.max_age,
        bisect=config.bisect_batch_on_function_error,
        backoff=config.retry_backoff.waits,
        non_retryable=config.non_retryable_errors,
        on_exhausted=config.on_exhausted,
    )


def read_ahead(batch_size: int, lanes: int, drain_timeout: float = math.inf) -> ReadAheadLimits:
    """How far a shard is read ahead that feeds so many lanes. What they do in a drain has to end well within its time-out."""
    batches = READ_AHEAD_BATCHES * batch_size
    return ReadAheadLimits(
        records=max(READ_AHEAD_RECORDS, batches * lanes),
        soon=max(SOON_RECORDS // lanes, batches),
        lanes=lanes,
        levelling=min(LEVELLING, LEVELLING_PART * drain_timeout),
    )


async def make_queue_mapping(config: QueueMappingConfig, parts: Parts) -> QueueMapping:
    """One mapping of a queue."""
    world = parts.world
    sqs = await world.wiring.sqs(parts.config.source_connection(config))
    window, fifo = config.maximum_batching_window_in_seconds, config.is_fifo

    def policy_for(redriven_after: int | None) -> Policy:
        each = QueuePolicy(release=config.release, max_receives=config.maximum_receive_count if redriven_after is None else None)
        return FifoPolicy(each=each, guard=config.fifo_group_guard) if fifo else each

    work = make_work(
        config,
        parts,
        await make_destination(config, parts),
        limits=BatchLimits(count=config.batch_size, window=window),
        policy=policy_for(None),
        report=partial(message_report, config.uuid),
        unwanted=partial(unwanted, mode=config.on_filtered, policy=QueuePolicy(release=config.release)),
    )
    return QueueMapping(
        source=queue_source(config, sqs, world.clock, world.rng),
        scaling=config.pollers(parts.config.functions[config.function_name].capacity),
        in_flight=config.maximum_in_flight,
        breaker=config.breaker,
        receive_wait=config.receive_wait,
        fifo=fifo,
        work=work,
        policy_for=policy_for,
    )


async def make_destination(config: MappingConfig, parts: Parts) -> Destination | None:
    """Where the mapping reports what it gives up; None where nothing is configured."""
    target, connection = config.destination_config.on_failure, parts.config.destination_connection(config)
    if target.destination is None:
        return None
    return await destination(target, parts.world.wiring, connection, parts.world.clock)


def function_arn(name: str, config: Config) -> str:
    """What the function is called, in the account and region of the first mapping that names it."""
    return next((arn_of(each) for each in config.event_source_mappings if each.function_name == name), "")


def arn_of(config: MappingConfig) -> str:
    """What the mapping's function is called: its name, in the account and region of the source."""
    arn = config.arn
    return f"arn:{arn.partition}:lambda:{arn.region}:{arn.account}:function:{config.function_name}"


def make_work(config: MappingConfig, parts: Parts, target: Destination | None, **of_source: Unpack[OfSource]) -> Work:
    """What the mapping does with records, whatever shard or slot they come from."""
    observe = make_observer(config, parts, target)
    return Work(
        mapping=config.name,
        priority=config.priority,
        place="",
        report_batch_item_failures=config.reports_batch_item_failures,
        function=parts.functions[config.function_name],
        function_arn=arn_of(config),
        destination=target,
        on_destination_error=config.on_destination_error,
        observe=observe,
        clock=parts.world.clock,
        rng=parts.world.rng,
        wants=make_filter(config, observe),
        **of_source,
    )


def make_filter(config: MappingConfig, observe: MappingObserver) -> Callable[[Record], bool] | None:
    """What the mapping wants; None: everything. The configuration has been checked, so the patterns can be compiled."""
    if not config.patterns:
        return None
    wanted = compile_filter(config.patterns, config.shape)
    if wanted.unknown:
        observe.filter_names_unknown(wanted.unknown)
    if config.filter_criteria.dry_run:
        return lambda record: wanted.wants(record) or observe.would_filter(record)
    return wanted.wants


def make_observer(config: MappingConfig, parts: Parts, target: Destination | None) -> MappingObserver:
    """What the mapping tells, under its own labels."""
    queue = isinstance(config, QueueMappingConfig)
    facts = MappingFacts(
        name=config.name,
        source_type=config.source_type,
        source=config.stream_name if isinstance(config, StreamMappingConfig) else config.arn.resource,
        function=config.function_name,
        destination=target.kind if target is not None else None,
        unit="slot" if queue else "shard",
        memory_size=parts.config.functions[config.function_name].memory_limit,
    )
    return StandingObserver(parts.metrics, facts, parts.world.clock)
