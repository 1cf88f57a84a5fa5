"""From configuration to the objects that run: one function for each noun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from poller.core.batching import BatchLimits
from poller.core.model import ShardId, Start
from poller.core.policy import StreamPolicy
from poller.core.report import StreamFacts, stream_report
from poller.function import Function, Permits
from poller.lane import Work
from poller.mapping import StreamMapping
from poller.observe.function import FunctionObserver
from poller.observe.mapping import MappingFacts, MappingObserver
from poller.readahead import ReadAheadLimits
from poller.wiring import Worker, destination, source

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from poller.config import Config, MappingConfig
    from poller.observe.metrics import Metrics
    from poller.ports import Clock, Destination, Rng, Store
    from poller.readahead import MemoryBudget
    from poller.sources.pace import ReadPace
    from poller.wiring import Wiring

NO_SHARD = ShardId("")

READ_AHEAD_RECORDS = 10_000
SOON_RECORDS = 500
READ_AHEAD_BATCHES = 2
"""A shard holds 10,000 records at the most, and reads on while a lane has fewer than 500; two full batches where that is more."""


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
    functions: dict[str, Function]
    budget: MemoryBudget
    pace: ReadPace


async def make_functions(config: Config, world: World, metrics: Metrics, stack: AsyncExitStack) -> dict[str, Function]:
    """Every configured function, its executor entered on the stack."""
    limits = {name: function.concurrency for name, function in config.functions.items()}
    permits = Permits(limits, config.concurrency_limit)
    functions = {}
    for name, settings in config.functions.items():
        observe = FunctionObserver(metrics, name)
        observe.limit(settings.concurrency)
        arn = next((arn_of(each) for each in config.event_source_mappings if each.function_name == name), "")
        worker = Worker(name=name, arn=arn, config=settings, events=observe, clock=world.clock)
        executor = await stack.enter_async_context(world.wiring.executor(worker))
        functions[name] = Function(
            name=name, timeout=settings.timeout, executor=executor, permits=permits, clock=world.clock, observe=observe
        )
    return functions


async def make_mapping(config: MappingConfig, parts: Parts) -> StreamMapping:
    """One stream mapping, ready to run."""
    world, wiring, function_arn = parts.world, parts.world.wiring, arn_of(config)
    facts = StreamFacts(mapping=config.uuid, stream_arn=config.event_source_arn, function_arn=function_arn)
    kinesis = await wiring.kinesis(parts.config.source_connection(config))
    work = make_work(config, parts, facts, await make_destination(config, parts))
    return StreamMapping(
        id=config.uuid,
        start=Start(type=config.starting_position, timestamp=config.starting_position_timestamp),
        resume=config.resume,
        owner=world.owner,
        lease_ttl=parts.config.store.lease_duration,
        source=source(config, kinesis, function_arn, parts.pace, world.clock),
        store=parts.store,
        limits=ReadAheadLimits(
            records=max(READ_AHEAD_RECORDS, READ_AHEAD_BATCHES * config.batch_size),
            soon=max(SOON_RECORDS, READ_AHEAD_BATCHES * config.batch_size),
        ),
        budget=parts.budget,
        work=work,
        work_for=lambda shard: replace(work, place=shard, report=partial(stream_report, facts, shard)),
    )


async def make_destination(config: MappingConfig, parts: Parts) -> Destination | None:
    """Where the mapping reports what it gives up; None where nothing is configured."""
    target, connection = config.destination_config.on_failure.destination, parts.config.destination_connection(config)
    if target is None or connection is None:
        return None
    return destination(target, await parts.world.wiring.sqs(connection))


def arn_of(config: MappingConfig) -> str:
    """What the mapping's function is called: its name, in the account and region of the source."""
    arn = config.arn
    return f"arn:{arn.partition}:lambda:{arn.region}:{arn.account}:function:{config.function_name}"


def make_work(config: MappingConfig, parts: Parts, facts: StreamFacts, target: Destination | None) -> Work:
    """What the mapping does with records, whatever shard they come from."""
    window, max_age = config.maximum_batching_window_in_seconds, config.max_age
    return Work(
        mapping=config.name,
        place="",
        limits=BatchLimits(count=config.batch_size, window=window, max_age=max_age),
        report_batch_item_failures=config.reports_batch_item_failures,
        policy=StreamPolicy(max_retries=config.max_retries, max_age=max_age, bisect=config.bisect_batch_on_function_error),
        function=parts.functions[config.function_name],
        function_arn=facts.function_arn,
        destination=target,
        report=partial(stream_report, facts, NO_SHARD),
        observe=make_observer(config, parts, target),
        clock=parts.world.clock,
        rng=parts.world.rng,
    )


def make_observer(config: MappingConfig, parts: Parts, target: Destination | None) -> MappingObserver:
    """What the mapping tells, under its own labels."""
    facts = MappingFacts(
        name=config.name,
        source_type=config.source_type,
        source=config.arn.resource.partition("/")[2],
        function=config.function_name,
        destination=target.kind if target is not None else None,
    )
    return MappingObserver(parts.metrics, facts, parts.world.clock)
