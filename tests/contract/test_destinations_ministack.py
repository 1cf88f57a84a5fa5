"""SNS topics and S3 buckets as failure destinations, against ministack."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support import aws
from support.build import records
from support.queueing import messages
from support.stage import MAPPING, SHARD

from poller.apis.client import AwsClients, AwsSettings
from poller.apis.s3 import BotoS3Api
from poller.apis.sns import BotoSnsApi
from poller.core.report import FailureReport, MessageReport
from poller.destinations.s3 import S3Destination, object_key
from poller.destinations.sns import SnsDestination
from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
rule = pytest.mark.rule

DOCUMENT = {"requestContext": {"requestId": "r1", "condition": "RetryAttemptsExhausted"}, "version": "1.0"}
STREAM = FailureReport(mapping=MAPPING, shard=SHARD, at=1_700_000_000.5, document=DOCUMENT, records=records(1, 2))
MESSAGE = MessageReport(
    mapping=MAPPING,
    at=1_700_000_000.5,
    body="Grüße",
    attributes={
        "Author": {"DataType": "String", "StringValue": "J"},
        "Blob": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
    },
    records=messages(1),
    source="mails",
    document=DOCUMENT,
)
EVENT = {"Records": [json.loads(each.payload) for each in STREAM.records]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(ministack: Server) -> AsyncIterator[AwsClients]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.AWS_ENVIRONMENT.items():
            patch.setenv(name, value)
        async with AwsClients() as made:
            yield made


def settings(ministack: Server) -> AwsSettings:
    return AwsSettings(region=aws.REGION, endpoint_url=ministack.url)


class Topic:
    """A topic and a queue that gets what is published there, as it was."""

    def __init__(self, sns: Any, sqs: Any) -> None:
        self._sns, self._sqs = sns, sqs
        self.arn = ""

    async def make(self) -> None:
        self.arn = (await self._sns.create_topic(Name="given-up"))["TopicArn"]
        self._url = (await self._sqs.create_queue(QueueName="subscriber"))["QueueUrl"]
        target = f"arn:aws:sqs:{aws.REGION}:{aws.ACCOUNT}:subscriber"
        raw = {"RawMessageDelivery": "true"}
        await self._sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=target, Attributes=raw)

    async def next(self) -> dict[str, Any]:
        answer = await self._sqs.receive_message(QueueUrl=self._url, WaitTimeSeconds=5, MessageAttributeNames=["All"])
        (message,) = answer["Messages"]
        await self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        found: dict[str, Any] = message
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def topic(ministack: Server) -> AsyncIterator[Topic]:
    async with aws.client("sns", ministack.url) as sns, aws.client("sqs", ministack.url) as sqs:
        made = Topic(sns, sqs)
        await made.make()
        yield made


@rule("stream.destination.sns")
@pytest.mark.parametrize("payload", [False, True])
async def test_a_topic_gets_the_document_of_a_stream(
    topic: Topic, clients: AwsClients, ministack: Server, *, payload: bool
) -> None:
    api = BotoSnsApi(await clients.client("sns", settings(ministack)))
    destination = SnsDestination(api=api, topic_arn=topic.arn, include_payload=payload)
    await destination.send(STREAM)
    told = json.loads((await topic.next())["Body"])
    assert (json.loads(told.pop("payload")) == EVENT) if payload else "payload" not in told
    assert told == DOCUMENT
    assert destination.kind == "sns"


@rule("queue.redrive.unchanged")
async def test_a_topic_gets_a_message_of_a_queue_as_it_was(topic: Topic, clients: AwsClients, ministack: Server) -> None:
    api = BotoSnsApi(await clients.client("sns", settings(ministack)))
    await SnsDestination(api=api, topic_arn=topic.arn).send(MESSAGE)
    received = await topic.next()
    assert received["Body"] == "Grüße"
    found = received["MessageAttributes"]
    assert (found["Author"]["StringValue"], found["Blob"]["BinaryValue"]) == ("J", b"\x00\x01\x02\xff")


async def test_a_topic_that_is_not_there_is_named(clients: AwsClients, ministack: Server) -> None:
    arn = f"arn:aws:sns:{aws.REGION}:{aws.ACCOUNT}:none"
    api = BotoSnsApi(await clients.client("sns", settings(ministack)))
    with pytest.raises(SourceGone, match=arn):
        await SnsDestination(api=api, topic_arn=arn).send(STREAM)


@rule("stream.destination.s3")
@pytest.mark.parametrize("report", [STREAM, MESSAGE], ids=["of a stream", "of a queue"])
async def test_a_bucket_gets_an_object_with_the_payload_as_text(
    report: FailureReport | MessageReport, clients: AwsClients, ministack: Server
) -> None:
    destination = S3Destination(api=BotoS3Api(await clients.client("s3", settings(ministack))), bucket="given-up")
    async with aws.client("s3", ministack.url) as s3:
        await s3.create_bucket(Bucket="given-up")
        await destination.send(report)
        await destination.send(report)  # its answer was lost
        place = SHARD if report is STREAM else "mails"
        listed = await s3.list_objects_v2(Bucket="given-up", Prefix=f"aws/lambda/{MAPPING}/{place}/")
        (key,) = [each["Key"] for each in listed["Contents"]]
        found = await s3.get_object(Bucket="given-up", Key=key)
        told = json.loads(await found["Body"].read())
    assert found["ContentType"] == "application/octet-stream"
    assert len(json.loads(told.pop("payload"))["Records"]) == len(report.records)
    assert told == DOCUMENT
    assert destination.kind == "s3"


async def test_a_bucket_that_is_not_there_is_named(clients: AwsClients, ministack: Server) -> None:
    destination = S3Destination(api=BotoS3Api(await clients.client("s3", settings(ministack))), bucket="there-is-none")
    with pytest.raises(SourceGone, match="there-is-none"):
        await destination.send(STREAM)


async def test_a_server_that_is_not_there_is_unavailable(clients: AwsClients) -> None:
    nowhere = AwsSettings(region=aws.REGION, endpoint_url="http://127.0.0.1:9")
    for destination in (
        S3Destination(api=BotoS3Api(await clients.client("s3", nowhere)), bucket="b"),
        SnsDestination(api=BotoSnsApi(await clients.client("sns", nowhere)), topic_arn="arn:aws:sns:us-east-1:000000000000:t"),
    ):
        with pytest.raises(Unavailable) as caught:
            await destination.send(STREAM)
        assert caught.value.kind == "connection"


@rule("stream.destination.s3")
async def test_the_key_is_lambdas() -> None:
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    pattern = rf"aws/lambda/{uuid}/{SHARD}/2023/11/14/2023-11-14T22\.13\.20-{uuid}"
    assert re.fullmatch(pattern, object_key(STREAM))
    closing = replace(STREAM, records=())  # of a window that closed without records
    assert re.fullmatch(pattern, object_key(closing))
    assert object_key(closing) != object_key(STREAM)
