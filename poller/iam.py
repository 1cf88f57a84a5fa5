"""The least IAM policy for the calls that a configuration makes: one statement for each kind of use, its resources by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.config import QueueMappingConfig, StreamMappingConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from poller.config import Config, MappingConfig

ACTIONS: Final[Mapping[str, str]] = {
    "DescribeStreamSummary": "kinesis:DescribeStreamSummary",
    "ListShards": "kinesis:ListShards",
    "GetShardIterator": "kinesis:GetShardIterator",
    "GetRecords": "kinesis:GetRecords",
    "GetQueueUrl": "sqs:GetQueueUrl",
    "GetQueueAttributes": "sqs:GetQueueAttributes",
    "ReceiveMessage": "sqs:ReceiveMessage",
    "DeleteMessageBatch": "sqs:DeleteMessage",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "SendMessage": "sqs:SendMessage",
}
"""By operation, the action that allows it. The batch calls of SQS have none of their own.

Source: service authorization reference of Kinesis Data Streams and of SQS.
"""

STREAM: Final = ("DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords")
QUEUE: Final = ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")
DESTINATION: Final = ("GetQueueUrl", "SendMessage")
"""The operations that a mapping makes on what it reads, and on where it reports."""

LONGEST_MANAGED_POLICY: Final = 6_144
"""Characters, white space not counted."""


def policy(mappings: Iterable[MappingConfig]) -> dict[str, object]:
    """A policy document: all that these mappings do, disabled ones too, and nothing else."""
    streams, queues, destinations = set[str](), set[str](), set[str]()
    for mapping in mappings:
        match mapping:
            case StreamMappingConfig():
                streams.add(mapping.event_source_arn)
            case QueueMappingConfig():
                queues.add(mapping.event_source_arn)
        if (destination := mapping.destination_config.on_failure.destination) is not None:
            destinations.add(destination)
    statements = (("ReadStreams", STREAM, streams), ("PollQueues", QUEUE, queues), ("ReportFailures", DESTINATION, destinations))
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(name, operations, resources) for name, operations, resources in statements if resources],
    }


def _statement(name: str, operations: tuple[str, ...], resources: set[str]) -> dict[str, object]:
    return {
        "Sid": name,
        "Effect": "Allow",
        "Action": [ACTIONS[each] for each in operations],
        "Resource": sorted(resources),
    }


def profiles(config: Config) -> dict[str | None, list[MappingConfig]]:
    """The mappings by the profile whose credentials they use; None: the usual ones."""
    found: dict[str | None, list[MappingConfig]] = {}
    for mapping in config.event_source_mappings:
        found.setdefault(config.source_connection(mapping).profile, []).append(mapping)
    return found
