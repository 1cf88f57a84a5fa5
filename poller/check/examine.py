"""Puts all questions at the same time, each with an end, and gathers what was found in the order of the configuration."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from poller.apis.client import AwsClients, Transport
from poller.check.asking import Service
from poller.check.finding import Subject
from poller.check.functions import ask_inline, ask_plugin, ask_process
from poller.check.outward import ask_outward
from poller.check.queues import ask_destination, ask_queue
from poller.check.remote import ask_http, ask_lambda
from poller.check.reporting import ask_bucket, ask_target, ask_topic
from poller.check.store import ask_store
from poller.check.streams import ask_stream
from poller.check.tables import ask_table
from poller.config import (
    HttpFunctionConfig,
    InlineFunctionConfig,
    LambdaFunctionConfig,
    PluginFunctionConfig,
    ProcessFunctionConfig,
    QueueMappingConfig,
    StreamMappingConfig,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from poller.check.finding import Finding
    from poller.config import Config, MappingConfig
    from poller.ports import Clock

    Asking = Coroutine[None, None, list[Finding]]

CONNECTIONS: Final = 50

CLIENTS: Final = {"dynamodb": "dynamodbstreams"}
"""What the SDK calls a source's service, where that is not its name in ARNs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something to ask.

    Attributes:
        about: whom a time-out is told of.
        ask: asks it.
        heavy: takes a processor rather than the network: only as many run at a time as there are.
    """

    about: Subject
    ask: Callable[[], Asking]
    heavy: bool = False


async def examine(config: Config, clock: Clock, patience: float) -> list[Finding]:
    """Everything that was found. No question takes longer than `patience` seconds, once it has begun."""
    processors = asyncio.Semaphore(len(os.sched_getaffinity(0)))
    transport = Transport(connections=CONNECTIONS, connect_timeout=patience, read_timeout=patience)
    async with AwsClients(transport) as clients:
        questions = list(_questions(config, clock, clients, patience))
        async with asyncio.TaskGroup() as together:
            tasks = [together.create_task(_answered(question, processors, patience)) for question in questions]
    return [finding for task in tasks for finding in task.result()]


async def _answered(question: Question, processors: asyncio.Semaphore, patience: float) -> list[Finding]:
    if question.heavy:
        async with processors:
            return await _in_time(question, patience)
    return await _in_time(question, patience)


async def _in_time(question: Question, patience: float) -> list[Finding]:
    try:
        async with asyncio.timeout(patience):
            return await question.ask()
    except TimeoutError:
        return [question.about.failed(f"no answer within {patience:g} s", "see whether it hangs, or give it longer: --timeout")]
    except (KeyError, TypeError, ValueError) as error:
        return [question.about.failed(f"unusable answer: {error!r}", "see what answers at this endpoint: it is not AWS")]


def _questions(config: Config, clock: Clock, clients: AwsClients, patience: float) -> Iterator[Question]:
    yield Question(about=Subject("store"), ask=lambda: ask_store(config, clock, Subject("store")))
    yield from _about_functions(config, clock, (clients, patience))
    for mapping in config.event_source_mappings:
        yield from _about_mapping(mapping, config, clock, (clients, patience))


def _about_functions(config: Config, clock: Clock, how: tuple[AwsClients, float]) -> Iterator[Question]:
    inline: dict[Subject, InlineFunctionConfig] = {}
    for name, function in config.functions.items():
        about = Subject(f"function {name}")
        match function:
            case InlineFunctionConfig():
                inline[about] = function
            case ProcessFunctionConfig():
                yield Question(about=about, ask=partial(ask_process, name, config, clock, about), heavy=True)
            case HttpFunctionConfig():
                yield Question(about=about, ask=partial(ask_http, function, about))
            case LambdaFunctionConfig():
                connection = config.function_connection(name)
                assert connection is not None  # noqa: S101  (the kind says so)
                there = Service(clients=how[0], name="lambda", connection=connection, patience=how[1])
                yield Question(about=about, ask=partial(ask_lambda, function, there, about))
            case PluginFunctionConfig():
                yield Question(about=about, ask=partial(ask_plugin, name, config, clock, about))
    if inline:
        yield Question(about=next(iter(inline)), ask=lambda: ask_inline(inline), heavy=True)


def _about_mapping(mapping: MappingConfig, config: Config, clock: Clock, how: tuple[AwsClients, float]) -> Iterator[Question]:
    clients, patience = how
    about = Subject(f"mapping {mapping.name}" + ("" if mapping.enabled else " (disabled)"))
    service = CLIENTS.get(mapping.source_type, mapping.source_type)
    source = Service(clients=clients, name=service, connection=config.source_connection(mapping), patience=patience)
    timeout = config.functions[mapping.function_name].timeout
    match mapping:
        case StreamMappingConfig():
            if mapping.reads_table:
                yield Question(about=about, ask=lambda: ask_table(mapping, source, about))
            else:
                yield Question(about=about, ask=lambda: ask_stream(mapping, source, about, clock.time()))
        case QueueMappingConfig():
            yield Question(about=about, ask=lambda: ask_queue(mapping, source, about, timeout))
    target, connection = mapping.destination_config.on_failure, config.destination_connection(mapping)
    if target.destination is not None and connection is None:
        yield Question(about=about, ask=lambda: ask_outward(target, about))
    elif connection is not None:
        there = Service(clients=clients, name=target.kind, connection=connection, patience=patience)
        ask = {"sqs": ask_destination, "sns": ask_topic, "s3": ask_bucket, "kinesis": ask_target}[target.kind]
        yield Question(about=about, ask=lambda: ask(target.named, there, about))
