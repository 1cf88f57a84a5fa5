"""Questions about a Kinesis stream. Its records are not read: that would take from the five reads a second of others."""

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

HOUR: Final = 3600.0
USABLE: Final = frozenset({"ACTIVE", "UPDATING"})


async def ask_stream(mapping: StreamMappingConfig, service: Service, about: Subject, now: float) -> list[Finding]:
    """What the stream is like, and whether its shards can be found. `now` is in Unix seconds."""
    arn = mapping.event_source_arn
    thing = f"stream {mapping.arn.resource.partition('/')[2]}"
    try:
        answer = await service.ask("DescribeStreamSummary", arn, lambda client: client.describe_stream_summary(StreamARN=arn))
        findings = [
            about.ok(f"credentials: Kinesis accepts them ({service.where})"),
            *judge_stream(mapping, answer["StreamDescriptionSummary"], about, now),
        ]
    except PollerError as error:
        return [explained(error, about, service, thing)]
    try:
        await _position(service, arn)
    except PollerError as error:
        return [*findings, explained(error, about, service, thing)]
    return [*findings, about.ok(f"{thing}: shards can be listed and positions had; reading is not tried")]


async def _position(service: Service, arn: str) -> None:
    """What comes before a first read. Consumes nothing, counts as no read."""
    shards = (await service.ask("ListShards", arn, lambda client: client.list_shards(StreamARN=arn, MaxResults=1)))["Shards"]
    if shards:
        asked = {"StreamARN": arn, "ShardId": shards[0]["ShardId"], "ShardIteratorType": "LATEST"}
        await service.ask("GetShardIterator", arn, lambda client: client.get_shard_iterator(**asked))


def judge_stream(mapping: StreamMappingConfig, summary: Json, about: Subject, now: float) -> Iterator[Finding]:
    """What is to be said of a stream, as DescribeStreamSummary describes it."""
    name, status = summary.get("StreamName", mapping.arn.resource), str(summary.get("StreamStatus", "?"))
    retention = float(summary["RetentionPeriodHours"]) * HOUR
    number = summary.get("OpenShardCount")
    shards = "" if number is None else ", 1 open shard" if number == 1 else f", {number} open shards"
    if status in USABLE:
        yield about.ok(f"stream {name}: {status}{shards}, keeps records for {retention / HOUR:g} h")
    elif status == "CREATING":
        yield about.warning(f"stream {name} is being created", "check again when it is ACTIVE; poller waits for it")
    else:
        yield about.failed(f"stream {name}: {status}", "create it anew; a new stream needs a new mapping, or `resume`")
    if mapping.max_age is not None and mapping.max_age > retention:
        yield about.warning(
            f"maximum_record_age_in_seconds {mapping.max_age:g} is longer than the stream keeps records ({retention:g} s)",
            "records that fail for so long are lost unreported: lower it, or raise the stream's retention",
        )
    start = mapping.starting_position_timestamp
    if start is not None and start < now - retention:
        yield about.warning(
            "starting_position_timestamp is before all that the stream keeps",
            "a new mapping begins at the oldest record: if that is meant, TRIM_HORIZON says so",
        )
    if summary.get("EncryptionType", "NONE") != "NONE":
        key = summary.get("KeyId", "?")
        yield about.ok(f"stream {name} is encrypted with {key}: reading also needs kms:Decrypt on it, which is not tried")
