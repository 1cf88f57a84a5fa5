"""Amazon Resource Names, as far as a mapping needs to understand them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poller.config.wording import must, says

_ARN = re.compile(r"arn:(aws[a-z0-9-]*):([a-z0-9-]+):([a-z0-9-]*):([0-9]{12})?:(\S+)")
_STREAM = re.compile(r"stream/[a-zA-Z0-9_.-]{1,128}")
_CONSUMER = re.compile(r"stream/[a-zA-Z0-9_.-]{1,128}/consumer/\S+")
_QUEUE = re.compile(r"[a-zA-Z0-9_-]{1,80}")
_FIFO_QUEUE = re.compile(r"[a-zA-Z0-9_-]{1,75}\.fifo")

FIFO_SUFFIX = ".fifo"
"""Ends the names of FIFO queues, and of no others."""

_TABLE = re.compile("arn:[^:]*:dynamodb:")
_STREAM_OF_TABLE = re.compile(r"table/[a-zA-Z0-9_.-]{3,255}/stream/\S+")
_NAMES_QUEUE = re.compile("arn:[^:]*:sqs:|https?://")
_OTHER_SOURCES = {
    "kafka": "Kafka clusters",
    "mq": "Amazon MQ brokers",
    "rds": "DocumentDB clusters",
}
_TOPIC = re.compile(r"[a-zA-Z0-9_-]{1,256}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """An ARN in its parts; `region` and `account` are empty where the service leaves them out."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def of(cls, text: str) -> Arn:
        """The parts of what is known to be an ARN. Raises `ValueError` where it is not."""
        arn = cls.parse(text)
        if arn is None:
            raise ValueError("not an ARN")
        return arn

    @classmethod
    def parse(cls, text: str) -> Arn | None:
        """The parts of an ARN, or None for text that is none."""
        found = _ARN.fullmatch(text)
        if found is None:
            return None
        partition, service, region, account, resource = found.groups(default="")
        return cls(partition=partition, service=service, region=region, account=account, resource=resource)


def stream_arn(text: str) -> str:
    """The ARN of a Kinesis stream, or of the stream of a DynamoDB table; any other is refused by name."""
    arn = Arn.parse(text)
    if arn is not None and arn.service == "dynamodb":
        return _stream_of_table(arn, text)
    if arn is not None and arn.service in _OTHER_SOURCES:
        raise must(
            f"names a source that is not supported yet: {_OTHER_SOURCES[arn.service]}; use a Kinesis stream or an SQS queue"
        )
    if arn is not None and arn.service == "kinesis" and _CONSUMER.fullmatch(arn.resource):
        raise must("names an enhanced fan-out consumer, which is not supported yet: use the ARN of its stream")
    if arn is None or arn.service != "kinesis" or not (arn.region and arn.account and _STREAM.fullmatch(arn.resource)):
        raise says(
            'Unrecognized event source. "event_source_arn" must be the ARN of a Kinesis stream,'
            " arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, of a DynamoDB table's stream,"
            " arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/TIME, or of an SQS queue, arn:aws:sqs:REGION:ACCOUNT:NAME"
        )
    return text


def _stream_of_table(arn: Arn, text: str) -> str:
    if not (arn.region and arn.account and _STREAM_OF_TABLE.fullmatch(arn.resource)):
        raise says(
            "Unrecognized event source. Of DynamoDB it is the ARN of a table's stream,"
            " arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/TIME, not of the table: `aws dynamodb describe-table` tells it"
            " as LatestStreamArn"
        )
    return text


def names_table(text: str) -> bool:
    """Whether a source means a DynamoDB table or its stream."""
    return _TABLE.match(text) is not None


def names_queue(text: str) -> bool:
    """Whether a source means a queue, even if it is no ARN that can be used: a URL does, since streams have none."""
    return _NAMES_QUEUE.match(text) is not None


def queue_arn(text: str) -> str:
    """The ARN of an SQS queue, standard or FIFO."""
    arn = Arn.parse(text)
    if arn is None or arn.service != "sqs" or not (arn.region and arn.account and _is_queue(arn.resource)):
        raise says(
            'Unrecognized event source. "event_source_arn" must be the ARN of an SQS queue, arn:aws:sqs:REGION:ACCOUNT:NAME'
            + (", not its URL" if "://" in text else "")
        )
    return text


def _is_queue(name: str) -> bool:
    return (_QUEUE.fullmatch(name) or _FIFO_QUEUE.fullmatch(name)) is not None


def takes_reports(arn: Arn) -> bool:
    """Whether it names an SQS queue, an SNS topic, a Kinesis stream or an S3 bucket."""
    if arn.service == "s3":
        return not (arn.region or arn.account) and _BUCKET.fullmatch(arn.resource) is not None
    if not (arn.region and arn.account):
        return False
    if arn.service == "sqs":
        return _is_queue(arn.resource)
    form = {"sns": _TOPIC, "kinesis": _STREAM}.get(arn.service)
    return form is not None and form.fullmatch(arn.resource) is not None
