"""Which queue is the dead-letter queue: by its ARN, or by the mapping whose failures go there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poller.config import Connection, QueueMappingConfig
from poller.config.arn import Arn
from poller.dlq.desk import CannotDo
from poller.errors import PollerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.config import Config, MappingConfig
    from poller.services import DeadLetterApi


class NotFound(PollerError):
    """There is nothing of this name on the command line; the message says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A dead-letter queue.

    Attributes:
        mapping: whose failures are in it; None where the queue was named alone.
        note: what else is to be known of it; empty: nothing.
    """

    queue_arn: str
    connection: Connection
    mapping: MappingConfig | None = None
    note: str = ""

    @property
    def source(self) -> str:
        """The ARN of the mapping's queue; empty where there is none."""
        return self.mapping.event_source_arn if isinstance(self.mapping, QueueMappingConfig) else ""


async def of_mapping(mapping: MappingConfig, config: Config, apis: Callable[[Connection], Awaitable[DeadLetterApi]]) -> Place:
    """Where the failures of a mapping go: by its queue's redrive policy, else to its own destination. Raises `CannotDo`."""
    destination, connection = mapping.destination_config.on_failure.destination, config.destination_connection(mapping)
    if isinstance(mapping, QueueMappingConfig):
        source = config.source_connection(mapping)
        redriven = (await (await apis(source)).describe_queue(mapping.event_source_arn)).dead_letters
        if redriven is not None:
            other = f"what it sends to {destination} itself is not in it" if destination else ""
            return Place(queue_arn=redriven, connection=source, mapping=mapping, note=other)
    if destination is None:
        policy = "its queue has no redrive policy, and it has" if isinstance(mapping, QueueMappingConfig) else "it has"
        raise CannotDo(f"mapping {mapping.name} has no dead-letter queue: {policy} no destination_config.on_failure")
    if connection is None or mapping.destination_config.on_failure.kind != "sqs":
        raise CannotDo(f"what mapping {mapping.name} gives up goes to {destination}, which is no queue: look there")
    return Place(queue_arn=destination, connection=connection, mapping=mapping)


def of_arn(text: str, config: Config | None, given: Connection) -> Place:
    """A queue by its ARN; with a configuration the one mapping that sends its failures there counts too. Raises `NotFound`."""
    arn = Arn.parse(text)
    if arn is None or arn.service != "sqs" or not (arn.region and arn.account):
        raise NotFound(f"{text} is not the ARN of a queue, arn:aws:sqs:REGION:ACCOUNT:NAME")
    connection = Connection(region=arn.region, endpoint_url=given.endpoint_url, profile=given.profile)
    if config is None:
        return Place(queue_arn=text, connection=connection)
    connection = Connection(
        region=arn.region,
        endpoint_url=given.endpoint_url or config.aws.endpoint_url,
        profile=given.profile or config.aws.profile,
    )
    senders = [each for each in config.event_source_mappings if each.destination_config.on_failure.destination == text]
    return Place(queue_arn=text, connection=connection, mapping=senders[0] if len(senders) == 1 else None)
