"""A message that fails: how often it comes again, who else does, and where it ends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.aws import encoded, until

if TYPE_CHECKING:
    from e2e.scene import Scene

    from poller.services import SqsAttribute

DELIVERIES = 3

ATTRIBUTES: dict[str, SqsAttribute] = {
    "Author": {"DataType": "String", "StringValue": "Jürgen"},
    "Weeks.On": {"DataType": "Number", "StringValue": "6.50"},
    "Blob": {"DataType": "Binary", "BinaryValue": "AAEC/w=="},
}

POISON = '{"id": "%s",   "do": "%s", "note": "\\u00fc ü"}'
"""Spelled as no serializer would: it must arrive as it is."""


@pytest.mark.parametrize("giver", ["redrive policy", "maximum_receive_count"])
@pytest.mark.rule("queue.redrive.queue-policy")
@pytest.mark.rule("queue.redrive.own-limit")
@pytest.mark.rule("queue.redrive.unchanged")
@pytest.mark.rule("queue.release.at-once")
@pytest.mark.rule("queue.outcome.failure")
@pytest.mark.rule("queue.outcome.success")
async def test_a_message_that_always_fails_is_given_up_unchanged_after_so_many_deliveries(scene: Scene, giver: str) -> None:
    """As the queue itself has it, or, where it has no say, as the mapping does; whether the function raises or reports it."""
    by_us = giver == "maximum_receive_count"
    if by_us:
        queue, dead_letters = await scene.queue(VisibilityTimeout="1"), await scene.queue("-dead")
        mapping = scene.queue_mapping(queue, release="at_once", batch_size=1, maximum_receive_count=DELIVERIES)
        mapping["destination_config"] = {"on_failure": {"destination": dead_letters}}
    else:
        queue, dead_letters = await scene.redriven(DELIVERIES, VisibilityTimeout="1")
        mapping = scene.queue_mapping(queue, release="at_once", batch_size=1)
    await scene.send(queue, 1, 2)
    for poison in ("raise", "report"):
        await scene.queues.send(queue, POISON % (poison, poison), ATTRIBUTES)
    await scene.send(queue, 3, 4)
    daemon = await scene.running(mapping)

    await until(lambda depth: depth == 2, lambda: scene.queues.depth(dead_letters))
    await scene.emptied(queue)

    messages = await scene.queues.receive(dead_letters)
    assert {message["Body"] for message in messages} == {POISON % (poison, poison) for poison in ("raise", "report")}
    assert [_attributes(message) for message in messages] == [ATTRIBUTES] * 2
    assert Counter(scene.ledger.ids) == {1: 1, 2: 1, 3: 1, 4: 1, "raise": DELIVERIES, "report": DELIVERIES}
    assert _receives(scene, "raise") == _receives(scene, "report") == list(range(1, DELIVERIES + 1))
    deleted = 4 + 2 * by_us
    now = await daemon.measured(
        lambda now: now.value("poller_events_deleted_total", mapping="orders") == deleted, "all is counted"
    )
    assert now.value("poller_events_sent_to_destination_total", mapping="orders", destination="sqs") == 2 * by_us
    assert now.value("poller_events_redelivered_total", mapping="orders") == 2 * (DELIVERIES - 1)
    assert now.value("poller_events_dropped_total", mapping="orders") == 0
    assert len(daemon.lines("discarded", reason="RetryAttemptsExhausted", invoke_count=DELIVERIES)) == 2 * by_us
    assert await daemon.stopped() == 0


@pytest.mark.rule("queue.partial.valid-identifiers")
async def test_only_the_messages_that_are_reported_come_again(scene: Scene) -> None:
    queue = await scene.queue()
    await scene.send(queue, "one", "two")
    await scene.send(queue, "bad once", do="report", times=1)
    await scene.send(queue, "three")
    await scene.send(queue, "bad twice", do="report", times=2)
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once"))

    await scene.emptied(queue)

    assert Counter(scene.ledger.ids) == {"one": 1, "two": 1, "three": 1, "bad once": 2, "bad twice": 3}
    now = await daemon.measured(lambda now: now.value("poller_events_deleted_total", mapping="orders") == 5, "all is deleted")
    assert now.value("poller_events_failed_total", mapping="orders", reason="batch_item") == 3
    assert {line["outcome"] for line in daemon.lines("batch")} <= {"partial", "success"}
    assert await daemon.stopped() == 0


INVALID: dict[str, Any] = {
    "no such id": {"batchItemFailures": [{"itemIdentifier": "nobody"}]},
    "empty": {"batchItemFailures": [{"itemIdentifier": ""}]},
    "null": {"batchItemFailures": [{"itemIdentifier": None}]},
    "number": {"batchItemFailures": [{"itemIdentifier": 7}]},
    "wrong key": {"batchItemFailures": [{"foo": "notvalid"}]},
    "no key": {"batchItemFailures": [{}]},
    "no list": {"batchItemFailures": "all"},
}


@pytest.mark.slow
@pytest.mark.rule("queue.partial.unknown-identifier")
@pytest.mark.rule("queue.partial.bad-identifier")
@pytest.mark.rule("queue.partial.numeric-identifier")
@pytest.mark.rule("queue.partial.wrong-key")
@pytest.mark.rule("queue.partial.empty-entry")
@pytest.mark.rule("queue.partial.not-a-list")
async def test_an_answer_that_is_not_valid_fails_all_messages_of_the_batch(scene: Scene) -> None:
    """Of each kind of answer a batch of two, which is delivered twice; then the queue gives both messages up."""
    queue, dead_letters = await scene.redriven(2)
    for name, answer in INVALID.items():
        await scene.send(queue, name, answer=answer)
        await scene.send(queue, f"beside {name}")
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once", batch_size=2))

    await scene.emptied(queue)

    assert Counter(map(tuple, scene.ledger.batches)) == {(name, f"beside {name}"): 2 for name in INVALID}
    assert await scene.queues.depth(dead_letters) == 2 * len(INVALID)
    assert [line["kind"] for line in daemon.lines("batch", outcome="failed")] == ["batch_item"] * 2 * len(INVALID)
    assert (await daemon.metrics()).value("poller_events_deleted_total", mapping="orders") == 0
    assert await daemon.stopped() == 0


@pytest.mark.slow
@pytest.mark.rule("queue.partial.off")
async def test_without_the_feature_an_answer_is_success_whatever_it_says(scene: Scene) -> None:
    queue, dead_letters = await scene.redriven(2)
    await scene.send(queue, "reported", do="report")
    for name, answer in INVALID.items():
        await scene.send(queue, name, answer=answer)
    daemon = await scene.running(scene.queue_mapping(queue, release="at_once", batch_size=1, function_response_types=[]))

    await scene.emptied(queue)

    assert Counter(scene.ledger.ids) == dict.fromkeys(["reported", *INVALID], 1)
    assert await scene.queues.depth(dead_letters) == 0
    assert {line["outcome"] for line in daemon.lines("batch")} == {"success"}
    assert await daemon.stopped() == 0


@pytest.mark.parametrize("release", ["backoff", pytest.param("lapse", marks=pytest.mark.slow)])
@pytest.mark.rule("queue.release.backoff")
@pytest.mark.rule("queue.release.lapse")
@pytest.mark.rule("queue.visibility.of-the-queue")
async def test_a_failed_message_comes_again_when_its_release_says_so(scene: Scene, release: str) -> None:
    """After a back-off, which the queue keeps, or when the time-out of its receive (five seconds at the least) ends."""
    queue = await scene.queue(VisibilityTimeout="1" if release == "lapse" else "300")
    await scene.send(queue, "once", do="raise", times=1)
    daemon = await scene.running(scene.queue_mapping(queue, release=release))

    await scene.emptied(queue, patience=20)

    first, second = (entry["at"] for entry in scene.ledger.entries)
    earliest, latest = (0.9, 5.0) if release == "backoff" else (4.5, 12.0)
    assert earliest <= second - first <= latest
    assert await daemon.stopped() == 0


def _attributes(message: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Those that the sender gave it, in the spelling of `SqsAttribute`: the SDK decodes binary values."""
    return {
        name: {key: encoded(value) if isinstance(value, bytes) else value for key, value in given.items()}
        for name, given in message["MessageAttributes"].items()
    }


def _receives(scene: Scene, name: str) -> list[int]:
    """The receive count of each delivery of this message, in order."""
    mine = [entry["record"] for entry in scene.ledger.entries if entry["id"] == name]
    return [int(record["attributes"]["ApproximateReceiveCount"]) for record in mine]
