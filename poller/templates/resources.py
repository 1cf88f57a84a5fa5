"""What resources of a template are called, and what they return: only those that mappings have to do with.

Source: AWS CloudFormation template reference, "Return values" of each type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM: Final = "AWS::Kinesis::Stream"
CONSUMER: Final = "AWS::Kinesis::StreamConsumer"
QUEUE: Final = "AWS::SQS::Queue"
TOPIC: Final = "AWS::SNS::Topic"
TABLE: Final = "AWS::DynamoDB::Table"
BUCKET: Final = "AWS::S3::Bucket"
FUNCTION: Final = "AWS::Lambda::Function"
SAM_FUNCTION: Final = "AWS::Serverless::Function"
GLOBAL_TABLE: Final = "AWS::DynamoDB::GlobalTable"
SAM_TABLE: Final = "AWS::Serverless::SimpleTable"
ALIAS: Final = "AWS::Lambda::Alias"
VERSION: Final = "AWS::Lambda::Version"
MAPPING: Final = "AWS::Lambda::EventSourceMapping"

NAMES: Final[Mapping[str, str]] = {
    STREAM: "Name",
    CONSUMER: "ConsumerName",
    QUEUE: "QueueName",
    TOPIC: "TopicName",
    TABLE: "TableName",
    GLOBAL_TABLE: "TableName",
    SAM_TABLE: "TableName",
    BUCKET: "BucketName",
    FUNCTION: "FunctionName",
    SAM_FUNCTION: "FunctionName",
}
"""The property that names a resource, by its type."""

_PLACE: Final = "{Region}:{AccountId}"
_FUNCTION_ARN: Final = f"arn:{{Partition}}:lambda:{_PLACE}:function:"
_QUEUE_URL: Final = "https://sqs.{Region}.{URLSuffix}/{AccountId}/{name}"
_TOPIC_ARN: Final = f"arn:{{Partition}}:sns:{_PLACE}:{{name}}"
STREAM_LABEL: Final = "/stream/2026-01-01T00:00:00.000"
"""Ends the ARN of a table's stream. Its time, which tells streams of a table apart, no template can know."""

_TABLE_ARN: Final = f"arn:{{Partition}}:dynamodb:{_PLACE}:table/{{name}}"
_CONSUMER_ARN: Final = "{stream}/consumer/{name}:0"

REFS: Final[Mapping[str, str]] = {
    STREAM: "{name}",
    CONSUMER: _CONSUMER_ARN,
    QUEUE: _QUEUE_URL,
    TOPIC: _TOPIC_ARN,
    TABLE: "{name}",
    GLOBAL_TABLE: "{name}",
    SAM_TABLE: "{name}",
    BUCKET: "{name}",
    FUNCTION: "{name}",
    SAM_FUNCTION: "{name}",
    ALIAS: _FUNCTION_ARN + "{function}:{alias}",
    VERSION: _FUNCTION_ARN + "{function}",
}
"""What `Ref` gives, by the type of the resource."""

ATTRIBUTES: Final[Mapping[tuple[str, str], str]] = {
    (STREAM, "Arn"): f"arn:{{Partition}}:kinesis:{_PLACE}:stream/{{name}}",
    (CONSUMER, "ConsumerARN"): _CONSUMER_ARN,
    (QUEUE, "Arn"): f"arn:{{Partition}}:sqs:{_PLACE}:{{name}}",
    (QUEUE, "QueueName"): "{name}",
    (QUEUE, "QueueUrl"): _QUEUE_URL,
    (TOPIC, "TopicArn"): _TOPIC_ARN,
    (TOPIC, "TopicName"): "{name}",
    (TABLE, "Arn"): _TABLE_ARN,
    (TABLE, "StreamArn"): _TABLE_ARN + STREAM_LABEL,
    (GLOBAL_TABLE, "Arn"): _TABLE_ARN,
    (GLOBAL_TABLE, "StreamArn"): _TABLE_ARN + STREAM_LABEL,
    (SAM_TABLE, "Arn"): _TABLE_ARN,
    (BUCKET, "Arn"): "arn:{Partition}:s3:::{name}",
    (FUNCTION, "Arn"): _FUNCTION_ARN + "{name}",
    (SAM_FUNCTION, "Arn"): _FUNCTION_ARN + "{name}",
    (SAM_FUNCTION, "Alias"): _FUNCTION_ARN + "{name}",
    (SAM_FUNCTION, "Version"): _FUNCTION_ARN + "{name}",
    (ALIAS, "AliasArn"): _FUNCTION_ARN + "{function}:{alias}",
}
"""What `GetAtt` gives, by the type of the resource and the attribute."""
