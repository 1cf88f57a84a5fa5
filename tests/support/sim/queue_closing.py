"""What must be true of queues once a process has drained, and once everything is over."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from support.sim.figures import DROPS, OUTCOMES, REASONS, figures
from support.sim.journal import Broken
from support.sim.queue_books import attributes
from support.sim.queue_rules import TRIES
from support.sim.queue_scenario import GIVEN_UP
from support.sim.scenario import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.apis.memory_sqs import MemoryQueues
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.queue_books import Delivery, Message, QueueTally
    from support.sim.queue_scenario import QueueMappingPlan
    from support.sim.scenario import Scenario

POLLS = ("records", "empty", "error")


# ----------------------------------------------------------------------------------------------------------- one process drained


def check_drained(scenario: Scenario, process: Process) -> None:
    """Nothing that it had is kept from others, and its metrics say what it did."""
    for delivery in process.ledger.queues.deliveries():
        if delivery.process is process and _kept_back(delivery):
            process.ledger.fail(f"{process.name} has drained, and {delivery} ({delivery.fate}) stays hidden")
    found = figures(process)
    for plan in scenario.queue_mappings:
        for name, labels, expected in _expected(plan, process.ledger.queues.tallies[process.name, plan.name]):
            value = found.get((name, frozenset({"mapping": plan.name, **labels}.items())), 0.0)
            if value != expected:
                process.ledger.fail(f"{process.name}: {name} {plan.name} {labels} is {value}, not {expected}")


def _kept_back(delivery: Delivery) -> bool:
    """It is hidden although nobody works on it, and nothing excuses that."""
    stored = delivery.message.stored
    hidden = stored.state == "in_flight" and stored.receipt == delivery.receipt and delivery.until > _now()
    if not hidden or delivery.told is None or delivery.excused or delivery.unheard >= TRIES:
        return False
    return not (delivery.let_go or (delivery.process.impatient and delivery.deleting))


def _expected(plan: QueueMappingPlan, tally: QueueTally) -> Iterable[tuple[str, dict[str, str], float]]:
    yield "poller_events_polled_total", {}, tally.polled
    yield "poller_events_redelivered_total", {}, tally.repeated
    yield "poller_events_filtered_total", {}, tally.filtered
    yield "poller_events_invoked_total", {}, tally.invoked
    yield "poller_events_deleted_total", {}, tally.deleted
    yield "poller_batch_retries_total", {}, 0
    yield "poller_in_flight_events", {}, 0
    yield "poller_buffered_bytes", {}, 0
    yield "poller_pollers", {}, 0
    yield "poller_supervised_restarts_total", {}, 0
    for poll in POLLS:
        yield "poller_polls_total", {"outcome": poll}, tally.polls[poll]
    for outcome in OUTCOMES:
        yield "poller_invocations_total", {"outcome": outcome}, tally.outcomes[outcome]
    for reason in REASONS:
        yield "poller_events_failed_total", {"reason": reason}, tally.failed[reason]
    if not tally.breaker.vague:
        closed = plan.breaker is not None and tally.began is not None and tally.breaker.opened_at is None
        yield "poller_circuit_breaker", {"state": "closed"}, closed
    if plan.destination:
        yield "poller_events_sent_to_destination_total", {"destination": "sqs"}, tally.sent
    else:
        yield "poller_events_dropped_total", {"reason": DROPS[1]}, tally.dropped


# ------------------------------------------------------------------------------------------------------------ everything is over


def waiting(ledger: Ledger) -> list[str]:
    """Messages that are still in their queues, and do not belong there."""
    back = {plan.queue for plan in ledger.scenario.queue_mappings if plan.filtered and plan.on_filtered == "release"}
    messages = [each for each in ledger.queues.messages() if each.send.wanted or each.send.queue not in back]
    left = [message for message in messages if not message.moved and message.stored.state != "gone"]
    return [f"{message} {[each.fate for each in message.deliveries]} {message.stored.state}" for message in left]


def check_messages(ledger: Ledger, queues: MemoryQueues) -> None:
    """Nothing is lost: each message was accepted, or is where it belongs, as it was sent, or was given up by right."""
    plans = {plan.queue: plan for plan in ledger.scenario.queue_mappings}
    arrived = Counter(message.body for message in queues.messages(f"arn:aws:sqs:{ACCOUNT}:{GIVEN_UP}"))
    with ledger.checking():
        for message in ledger.queues.messages():
            plan = plans[message.send.queue]
            unwanted = not plan.wants(message.send)
            if unwanted and (message.accepted or any(each.invoked for each in message.deliveries)):
                raise Broken(f"{message} was invoked, though the filter keeps it out")
            out = unwanted and (
                plan.on_filtered == "delete" or (plan.on_filtered == "release" and message.stored.state != "gone")
            )
            if not (out or message.accepted or message.moved or message.documented or message.dropped):
                raise Broken(f"{message} is lost: {[each.fate for each in message.deliveries]}")
            if arrived[message.body] != message.documented:
                raise Broken(f"{message} was reported {message.documented} times, and is there {arrived[message.body]} times")
            _check_given_up(message, queues)
    if running := [str(call) for call in ledger.running]:
        ledger.fail(f"{running} run for ever")


def _check_given_up(message: Message, queues: MemoryQueues) -> None:
    """By the queue only after as many receives as its policy says, and unchanged; and not without anybody's verdict.

    A delivery of which nobody made anything must have slipped out of hand; if that was not by right the rules have said so.
    """
    queue = message.send.queue
    if not message.moved:
        return
    dead = next(each for each in queues.messages(f"arn:aws:sqs:{ACCOUNT}:{queue.dead_letters}") if each.id == message.stored.id)
    if (dead.body, dead.attributes) != (message.body, attributes(message.send)) or dead.receives != queue.redrive:
        raise Broken(f"{message} is in its dead-letter queue as {dead}")


def _now() -> float:
    return asyncio.get_running_loop().time()
