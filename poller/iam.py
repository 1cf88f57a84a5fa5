"""The least IAM policy for the calls that a configuration makes: one statement for each kind of use, its resources by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.config import LambdaFunctionConfig, QueueMappingConfig, StreamMappingConfig

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
    "SendMessageBatch": "sqs:SendMessage",
    "ListDeadLetterSourceQueues": "sqs:ListDeadLetterSourceQueues",
    "PurgeQueue": "sqs:PurgeQueue",
    "StartMessageMoveTask": "sqs:StartMessageMoveTask",
    "ListMessageMoveTasks": "sqs:ListMessageMoveTasks",
    "CancelMessageMoveTask": "sqs:CancelMessageMoveTask",
    "Publish": "sns:Publish",
    "PutObject": "s3:PutObject",
    "PutRecord": "kinesis:PutRecord",
    "Invoke": "lambda:InvokeFunction",
}
"""By operation, the action that allows it. The batch calls of SQS have none of their own.

Source: service authorization reference of Kinesis Data Streams, of SQS, SNS, S3 and Lambda.
"""

OF_TABLES: Final[Mapping[str, str]] = {
    "DescribeStream": "dynamodb:DescribeStream",
    "GetShardIterator": "dynamodb:GetShardIterator",
    "GetRecords": "dynamodb:GetRecords",
}
"""The same for DynamoDB Streams, whose operations Kinesis has too. Source: service authorization reference of DynamoDB."""

STREAM: Final = ("DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords")
TABLE: Final = ("DescribeStream", "GetShardIterator", "GetRecords")
QUEUE: Final = ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")
DESTINATION: Final = ("GetQueueUrl", "SendMessage")
TOPIC: Final = ("Publish",)
BUCKET: Final = ("PutObject",)
TARGET: Final = ("PutRecord",)
FUNCTION: Final = ("Invoke",)
"""The operations that a mapping makes on what it reads, on where it reports, and on what it feeds."""

LONGEST_MANAGED_POLICY: Final = 6_144
"""Characters, white space not counted."""


def policy(mappings: Iterable[MappingConfig], functions: Iterable[str] = ()) -> dict[str, object]:
    """A policy document: all that these mappings do, disabled ones too, with these functions of Lambda, and nothing else."""
    streams, tables, queues = set[str](), set[str](), set[str]()
    destinations: dict[str, set[str]] = {"sqs": set(), "sns": set(), "s3": set(), "kinesis": set()}
    for mapping in mappings:
        match mapping:
            case StreamMappingConfig():
                (tables if mapping.reads_table else streams).add(mapping.event_source_arn)
            case QueueMappingConfig():
                queues.add(mapping.event_source_arn)
        if (target := mapping.destination_config.on_failure).of_aws:
            destinations[target.kind].add(f"{target.named}/*" if target.kind == "s3" else target.named)
    statements = (
        ("ReadStreams", STREAM, streams),
        ("ReadTables", TABLE, tables),
        ("PollQueues", QUEUE, queues),
        ("ReportFailures", DESTINATION, destinations["sqs"]),
        ("ReportFailuresToTopics", TOPIC, destinations["sns"]),
        ("ReportFailuresToBuckets", BUCKET, destinations["s3"]),
        ("ReportFailuresToStreams", TARGET, destinations["kinesis"]),
        ("InvokeFunctions", FUNCTION, set(functions)),
    )
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(name, operations, resources) for name, operations, resources in statements if resources],
    }


def _statement(name: str, operations: tuple[str, ...], resources: set[str]) -> dict[str, object]:
    return {
        "Sid": name,
        "Effect": "Allow",
        "Action": [(OF_TABLES if operations is TABLE else ACTIONS)[each] for each in operations],
        "Resource": sorted(resources),
    }


def profiles(config: Config) -> dict[str | None, list[MappingConfig]]:
    """The mappings by the profile whose credentials they use; None: the usual ones."""
    found: dict[str | None, list[MappingConfig]] = {}
    for mapping in config.event_source_mappings:
        found.setdefault(config.source_connection(mapping).profile, []).append(mapping)
    return found


def functions(config: Config) -> dict[str | None, list[str]]:
    """The functions that Lambda runs, as a policy names them, by the profile that invokes them; None: the usual credentials."""
    found: dict[str | None, list[str]] = {}
    for name, function in config.functions.items():
        connection = config.function_connection(name)
        if isinstance(function, LambdaFunctionConfig) and connection is not None:
            found.setdefault(connection.profile, []).append(function.resource(connection.region))
    return found
