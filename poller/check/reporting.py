"""Questions about topics, buckets and streams as failure destinations. Nothing is published or put there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poller.check.asking import explained
from poller.errors import PollerError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from poller.check.asking import Service
    from poller.check.finding import Finding, Subject


async def ask_topic(arn: str, service: Service, about: Subject) -> list[Finding]:
    """Whether a topic is there. That it can be published to only a message could show."""
    name = arn.rpartition(":")[2]
    return await _ask(
        f"topic {name}",
        service,
        about,
        lambda: service.ask("GetTopicAttributes", arn, lambda each: each.get_topic_attributes(TopicArn=arn)),
    )


async def ask_bucket(arn: str, service: Service, about: Subject) -> list[Finding]:
    """Whether a bucket is there. That it can be written to only an object could show."""
    name = arn.rpartition(":")[2]
    return await _ask(
        f"bucket {name}", service, about, lambda: service.ask("HeadBucket", arn, lambda each: each.head_bucket(Bucket=name))
    )


async def ask_target(arn: str, service: Service, about: Subject) -> list[Finding]:
    """Whether a stream is there. That it can be written to only a record could show."""
    name = arn.rpartition("/")[2]
    return await _ask(
        f"stream {name}",
        service,
        about,
        lambda: service.ask("DescribeStreamSummary", arn, lambda each: each.describe_stream_summary(StreamARN=arn)),
    )


async def _ask(thing: str, service: Service, about: Subject, ask: Callable[[], Awaitable[object]]) -> list[Finding]:
    try:
        await ask()
    except Unavailable as error:
        if error.kind == "auth":  # to look at it is another permission than to write to it, and not needed
            return [about.ok(f"destination {thing} cannot be looked at, and need not be; sending is not tried")]
        return [explained(error, about, service, f"destination {thing}")]
    except PollerError as error:
        return [explained(error, about, service, f"destination {thing}")]
    return [about.ok(f"destination {thing} exists; sending is not tried")]
