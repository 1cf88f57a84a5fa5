"""From a command line to a desk: the queue is found, the clients are made, and the function is there if it is asked for."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.dead_letters import BotoDeadLetterApi
from poller.config import Connection, InlineFunctionConfig, QueueMappingConfig
from poller.dlq.desk import CannotDo, Desk
from poller.dlq.feeding import Feed
from poller.dlq.place import Place, of_arn, of_mapping
from poller.invocation import Transcript, function_arn, make_executor
from poller.sources.sqs import SqsShape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from poller.config import Config, MappingConfig
    from poller.ports import Clock, Executor, Rng
    from poller.services import DeadLetterApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line names.

    Attributes:
        mapping: None: the queue is named by its ARN.
        queue: that ARN; empty with a mapping.
        given: endpoint and profile of the command line.
        say: tells people what happens meanwhile.
    """

    config: Config | None
    mapping: MappingConfig | None
    queue: str
    given: Connection
    clock: Clock
    rng: Rng
    say: Callable[[str], None]

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[tuple[Place, Desk]]:
        """The queue, and the desk to work at."""
        async with AwsClients() as clients:

            async def api(connection: Connection) -> DeadLetterApi:
                settings = AwsSettings(region=connection.region, endpoint_url=connection.endpoint_url, profile=connection.profile)
                polls = await clients.client("sqs", settings, "polls")
                return BotoDeadLetterApi(await clients.client("sqs", settings), polls=polls)

            if self.mapping is not None and self.config is not None:
                place = await of_mapping(self.mapping, self.config, api)
            else:
                place = of_arn(self.queue, self.config, self.given)
            made = await api(place.connection)
            yield place, Desk(api=made, queue_arn=place.queue_arn, clock=self.clock, rng=self.rng, say=self.say)

    def mapping_of(self, place: Place) -> MappingConfig:
        """Whose messages these are. Raises `CannotDo` where that is not known."""
        if place.mapping is None:
            raise CannotDo("which function is not known: name the mapping, with -c FILE")
        return place.mapping

    @asynccontextmanager
    async def feed(self, place: Place) -> AsyncIterator[Feed]:
        """The mapping's function, ready to be invoked. Raises `CannotDo` where no mapping is known."""
        mapping, config = self.mapping_of(place), self.config
        assert config is not None  # noqa: S101  (the mapping is one of its)
        transcript = Transcript(self.say)
        async with AsyncExitStack() as stack:
            if isinstance(config.functions[mapping.function_name], InlineFunctionConfig):  # it shares our streams
                stack.enter_context(transcript.standing_in())
            executor = await stack.enter_async_context(make_executor(config, mapping.function_name, transcript, self.clock))
            yield feed_of(mapping, config, executor)


def shape_of(mapping: MappingConfig) -> SqsShape | None:
    """What events of a queue's mapping say of it; None: it reads a stream."""
    if not isinstance(mapping, QueueMappingConfig):
        return None
    windowed = mapping.maximum_batching_window_in_seconds > 0
    return SqsShape(queue_arn=mapping.event_source_arn, region=mapping.arn.region, windowed=windowed)


def feed_of(mapping: MappingConfig, config: Config, executor: Executor) -> Feed:
    """A function as its mapping uses it; `executor` is entered."""
    return Feed(
        executor=executor,
        arn=function_arn(config, mapping.function_name),
        timeout=config.functions[mapping.function_name].timeout,
        batch_size=mapping.batch_size,
        reports=mapping.reports_batch_item_failures,
        shape=shape_of(mapping),
        guard=mapping.fifo_group_guard if isinstance(mapping, QueueMappingConfig) else True,
    )
