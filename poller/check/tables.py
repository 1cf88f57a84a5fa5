"""Questions about the stream of a DynamoDB table. Its records are not read: two readers of a shard are as many as AWS advises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from poller.check.asking import explained
from poller.errors import PollerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.apis.sdk import Json
    from poller.check.asking import Service
    from poller.check.finding import Finding, Subject
    from poller.config import StreamMappingConfig

RETENTION: Final = 86_400.0
"""Seconds for which DynamoDB keeps the records of a stream, always."""

IMAGES: Final = {
    "KEYS_ONLY": "the key alone",
    "NEW_IMAGE": "all after the change",
    "OLD_IMAGE": "all before the change",
    "NEW_AND_OLD_IMAGES": "all before and after the change",
}
"""What records show of an item that was changed, by the view type of the stream."""


async def ask_table(mapping: StreamMappingConfig, service: Service, about: Subject) -> list[Finding]:
    """What the stream is like, and whether a position in it can be had."""
    arn, thing = mapping.event_source_arn, f"stream of table {mapping.stream_name}"
    try:
        answer = await service.ask("DescribeStream", arn, lambda client: client.describe_stream(StreamArn=arn))
        described = answer["StreamDescription"]
        findings = [
            about.ok(f"credentials: DynamoDB Streams accepts them ({service.where})"),
            *judge_table(mapping, described, about),
        ]
    except PollerError as error:
        return [explained(error, about, service, thing)]
    try:
        await _position(service, arn, described)
    except PollerError as error:
        return [*findings, explained(error, about, service, thing)]
    return [*findings, about.ok(f"{thing}: positions can be had; reading is not tried")]


async def _position(service: Service, arn: str, described: Json) -> None:
    """What comes before a first read. Consumes nothing, counts as no read."""
    if shards := described["Shards"]:
        asked = {"StreamArn": arn, "ShardId": shards[-1]["ShardId"], "ShardIteratorType": "LATEST"}
        await service.ask("GetShardIterator", arn, lambda client: client.get_shard_iterator(**asked))


def judge_table(mapping: StreamMappingConfig, described: Json, about: Subject) -> Iterator[Finding]:
    """What is to be said of a stream, as DescribeStream describes it."""
    name, status = f"stream of table {mapping.stream_name}", str(described.get("StreamStatus", "?"))
    view = str(described.get("StreamViewType", "?"))
    if status == "ENABLED":
        images = IMAGES.get(view, "what that means")
        yield about.ok(f"{name}: {status}, keeps records for 24 h; of items it shows {images} ({view})")
    elif status == "ENABLING":
        yield about.warning(f"{name} is being enabled", "check again when it is ENABLED; poller waits for it")
    else:
        yield about.failed(
            f"{name}: {status}: nothing new comes, and what it holds is gone within 24 h",
            "use the ARN of the table's latest stream (LatestStreamArn), or enable one; another stream needs a new mapping",
        )
    if mapping.max_age is not None and mapping.max_age > RETENTION:
        yield about.warning(
            f"maximum_record_age_in_seconds {mapping.max_age:g} is longer than DynamoDB keeps records ({RETENTION:g} s)",
            "records that fail for so long are lost unreported: lower it",
        )
