"""Questions about SQS queues: sources, their dead-letter queues, and failure destinations. No message is received or sent."""

from __future__ import annotations

import json
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from poller.check.asking import explained, said
from poller.errors import PollerError, SourceGone, Unavailable
from poller.ports import QueueDescription
from poller.queue import visibility_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.apis.sdk import Json
    from poller.check.asking import Service
    from poller.check.finding import Finding, Subject
    from poller.config import QueueMappingConfig

DAY: Final = 86_400.0
LAMBDAS_ADVICE: Final = 6
"""Times the function's time-out: what AWS advises for a queue's visibility time-out."""


class Redrive(NamedTuple):
    """A queue's redrive policy."""

    receives: int
    target: str

    @classmethod
    def of(cls, attributes: Json) -> Redrive | None:
        """None where the queue has none."""
        text = attributes.get("RedrivePolicy")
        if not text:
            return None
        policy = json.loads(text)
        return cls(int(policy["maxReceiveCount"]), str(policy["deadLetterTargetArn"]))


async def ask_queue(mapping: QueueMappingConfig, service: Service, about: Subject, function_timeout: float) -> list[Finding]:
    """What the queue is like, and whether what it gives up has a place to go."""
    try:
        attributes = await _attributes(service, mapping.event_source_arn)
        redrive = Redrive.of(attributes)
    except PollerError as error:
        return [explained(error, about, service, f"queue {mapping.arn.resource}")]
    findings = [
        about.ok(f"credentials: SQS accepts them ({service.where})"),
        *judge_queue(mapping, attributes, about, function_timeout),
        *judge_redrive(mapping, redrive, about),
    ]
    if redrive is not None:
        findings.append(await _ask_dead_letters(redrive.target, attributes, service, about))
    return findings


async def ask_destination(arn: str, service: Service, about: Subject) -> list[Finding]:
    """Whether a failure destination is there. That it can be written to only a message could show."""
    name = _name(arn)
    try:
        await _url(service, arn)
    except PollerError as error:
        return [explained(error, about, service, f"destination {name}")]
    findings = [about.ok(f"destination {name} exists; sending is not tried")]
    try:
        attributes = await _attributes(service, arn)
    except PollerError:  # the mapping itself need not be allowed to look at it
        return findings
    if key := attributes.get("KmsMasterKeyId"):
        needs = "kms:GenerateDataKey and kms:Decrypt"
        findings.append(about.ok(f"destination {name} is encrypted with {key}: sending also needs {needs} on it"))
    return findings


async def _ask_dead_letters(arn: str, source: Json, service: Service, about: Subject) -> Finding:
    name = _name(arn)
    try:
        attributes = await _attributes(service, arn)
    except SourceGone:
        return about.failed(
            f"dead-letter queue {name} does not exist: what fails for good stays in the queue",
            "create it, or correct the redrive policy",
        )
    except Unavailable as error:
        if error.kind == "auth":
            return about.ok(f"dead-letter queue {name} cannot be looked at, and need not be: SQS itself moves messages there")
        return about.warning(f"dead-letter queue {name}: {said(error)}", "check again")
    kept, kept_there = (float(each["MessageRetentionPeriod"]) for each in (source, attributes))
    if kept_there <= kept and not arn.endswith(".fifo"):
        return about.warning(
            f"dead-letter queue {name} keeps messages for {kept_there / DAY:g} d, the queue itself for {kept / DAY:g} d:"
            " their age goes on counting when they move",
            "let the dead-letter queue keep them longer",
        )
    return about.ok(f"dead-letter queue {name} exists")


def judge_queue(mapping: QueueMappingConfig, attributes: Json, about: Subject, timeout: float) -> Iterator[Finding]:
    """What is to be said of a queue by its attributes, but for its redrive policy."""
    name, visibility = mapping.arn.resource, float(attributes["VisibilityTimeout"])
    kind, kept = "FIFO" if mapping.is_fifo else "standard", float(attributes["MessageRetentionPeriod"]) / DAY
    waiting = attributes.get("ApproximateNumberOfMessages", "?")
    yield about.ok(
        f"queue {name}: {kind}, visibility time-out {visibility:g} s, keeps messages for {kept:g} d, {waiting} waiting"
    )
    yield from _judge_visibility(visibility, timeout, mapping.maximum_batching_window_in_seconds, about)
    if key := attributes.get("KmsMasterKeyId"):
        yield about.ok(f"queue {name} is encrypted with {key}: receiving also needs kms:Decrypt on it, which is not tried")


def _judge_visibility(visibility: float, timeout: float, window: int, about: Subject) -> Iterator[Finding]:
    """Lambda refuses a time-out shorter than the function's; with a window a receive asks for one of its own, as Lambda's do."""
    hidden = visibility_of(QueueDescription(visibility_timeout=visibility, retention=0), window, timeout)
    own = f"messages are hidden for {hidden} s instead (window + time-out + 30 s)"
    if visibility < timeout:
        yield about.warning(
            f"visibility time-out {visibility:g} s is shorter than the function's time-out {timeout:g} s: "
            + (own if window else "only the heartbeat keeps messages from coming twice")
            + ", and AWS Lambda would refuse the mapping",
            f"raise it to {ceil(timeout)} s at least; AWS advises {ceil(LAMBDAS_ADVICE * timeout + window)} s",
        )
    elif visibility < timeout + window:
        yield about.ok(f"visibility time-out {visibility:g} s is shorter than batching window + function time-out: {own}")


def judge_redrive(mapping: QueueMappingConfig, redrive: Redrive | None, about: Subject) -> Iterator[Finding]:
    """Who gives up a message that always fails, and after how many deliveries."""
    own = mapping.maximum_receive_count
    if redrive is None and own is None:
        yield about.warning(
            "no redrive policy and no maximum_receive_count: a message that always fails comes back until its retention ends",
            "give the queue a redrive policy, or set maximum_receive_count and a destination",
        )
    elif redrive is None:
        yield about.ok(f"gives a message up after {own} deliveries (maximum_receive_count)")
    elif own is not None:
        yield about.warning(
            f"the queue's redrive policy ({redrive.receives} deliveries) wins over maximum_receive_count {own}",
            "leave maximum_receive_count and the destination out, or take the redrive policy away",
        )
    elif redrive.receives == 1:
        yield about.warning(
            "maxReceiveCount is 1: a message whose one delivery meets a restart is dead-lettered unprocessed",
            "allow 3 deliveries or more; AWS advises 5",
        )
    else:
        yield about.ok(f"redrive policy: after {redrive.receives} deliveries to {_name(redrive.target)}")


async def _url(service: Service, arn: str) -> str:
    account, name = arn.split(":")[4:6]
    answer = await service.ask(
        "GetQueueUrl", arn, lambda client: client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
    )
    return str(answer["QueueUrl"])


async def _attributes(service: Service, arn: str) -> Json:
    url = await _url(service, arn)
    answer = await service.ask(
        "GetQueueAttributes", arn, lambda client: client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    )
    attributes: Json = answer["Attributes"]
    return attributes


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
