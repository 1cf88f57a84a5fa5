"""Kinesis streams as failure destinations: against kinesis-local, and in memory."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from contract.kinesis_service import Kinesis, served_by
from support.build import records
from support.queueing import message
from support.stage import MAPPING, SHARD
from support.virtual import VirtualClock

from poller.apis.memory_kinesis import MemoryKinesis
from poller.core.report import FailureReport, MessageReport, Shortened
from poller.destinations.kinesis import KinesisDestination
from poller.errors import SourceGone, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.servers import Server

    from poller.services import KinesisRecord

pytestmark = pytest.mark.asyncio(loop_scope="module")
rule = pytest.mark.rule

DOCUMENT = {"requestContext": {"requestId": "r1", "condition": "RetryAttemptsExhausted"}, "version": "1.0"}
STREAM = FailureReport(mapping=MAPPING, shard=SHARD, at=0.0, document=DOCUMENT, records=records(1, 2))
MESSAGE = MessageReport(mapping=MAPPING, at=0.0, body="x", attributes={}, records=(message(1),), document=DOCUMENT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kinesis(kinesis_local: Server) -> AsyncIterator[Kinesis]:
    async with served_by(kinesis_local) as service:
        yield service


def told(record: KinesisRecord) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.b64decode(record["Data"]))
    return found


@rule("stream.destination.kinesis")
async def test_a_stream_gets_documents_by_the_shard_that_they_come_from(kinesis: Kinesis) -> None:
    arn = await kinesis.stream(shards=4)
    destination = KinesisDestination(api=kinesis.api, stream_arn=arn)
    later = [{**DOCUMENT, "timestamp": str(number)} for number in range(5)]
    for document in later:
        assert await destination.send(replace(STREAM, document=document, records=())) is None
    found = [await kinesis.read(arn, await kinesis.horizon(arn, shard.id)) for shard in await kinesis.api.list_shards(arn)]
    (of_one,) = [each for each in found if each]
    assert [told(record) for record in of_one] == later
    assert {record.get("PartitionKey") for record in of_one} == {SHARD}
    assert destination.kind == "kinesis"


@rule("queue.destination.document")
async def test_messages_of_a_queue_go_by_their_group_or_their_id_with_their_payload(kinesis: Kinesis) -> None:
    arn = await kinesis.stream()
    destination = KinesisDestination(api=kinesis.api, stream_arn=arn)
    await destination.send(MESSAGE)
    await destination.send(replace(MESSAGE, records=(message(2, "a"),)))
    one, other = await kinesis.read(arn, await kinesis.horizon(arn))
    assert (one.get("PartitionKey"), other.get("PartitionKey")) == (MESSAGE.records[0].id, "a")
    assert [len(json.loads(str(told(each)["payload"]))["Records"]) for each in (one, other)] == [1, 1]


async def test_a_stream_that_is_not_there_is_named(kinesis: Kinesis) -> None:
    arn = await kinesis.stream() + "-not"
    with pytest.raises(SourceGone, match=arn):
        await KinesisDestination(api=kinesis.api, stream_arn=arn).send(STREAM)


@rule("stream.destination.payload")
async def test_a_payload_that_is_more_than_a_record_holds_is_left_out_and_its_size_told() -> None:
    api = MemoryKinesis(VirtualClock())
    arn = api.streams.create_stream("failed")
    destination = KinesisDestination(api=api, stream_arn=arn, include_payload=True)
    large = records(1)[0]._replace(payload=json.dumps({"data": "x" * 2**20}).encode())
    shortened = await destination.send(replace(STREAM, records=(large,)))
    iterator = (await api.get_shard_iterator(arn, SHARD, "TRIM_HORIZON")).iterator
    (record,) = (await api.get_records(arn, iterator, 10)).records
    assert shortened == Shortened(size=len(large.payload) + len('{"Records":[]}'))
    assert told(record) == {**DOCUMENT, "payload": None, "payloadSize": shortened.size}
    with pytest.raises(Unavailable):
        await destination.send(replace(MESSAGE, records=(large,)))
