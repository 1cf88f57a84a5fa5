"""Watches a process's invocations of one function with messages of queues, and says what has to become of each of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from support.sim.journal import Broken
from support.sim.queue_books import QueueCall, attributes
from support.sim.queue_breaker import judged
from support.sim.verdict import verdict
from support.sim.watching import check_invocation, check_room

if TYPE_CHECKING:
    from collections.abc import Container

    from poller.core.model import Answer, Invocation
    from support.sim.process import Process
    from support.sim.queue_books import Delivery, Message
    from support.sim.queue_scenario import QueueMappingPlan
    from support.sim.scenario import FunctionPlan

RESOLUTION = 1e-5


class QueueWatch:
    """One function in one process."""

    def __init__(self, process: Process, function: FunctionPlan) -> None:
        self._process = process
        self._function = function
        self._ledger = process.ledger
        self._books = process.ledger.queues

    @staticmethod
    def named(record: dict[str, Any]) -> tuple[int, str]:
        """A message's number, and what a partial answer calls it."""
        return orjson.loads(record["body"])["n"], record["messageId"]

    # ---------------------------------------------------------------------------------------------------------- it begins

    def began(self, invocation: Invocation, event: dict[str, Any]) -> QueueCall:
        """These are invoked. Raises `Broken` where they may not be."""
        records: list[dict[str, Any]] = event["Records"]
        ledger, process = self._ledger, self._process
        plan = self._addressed(records)
        call = QueueCall(
            process=process,
            plan=plan,
            deliveries=[self._books.delivery(each["receiptHandle"]) for each in records],
            began=asyncio.get_running_loop().time(),
        )
        ledger.trace.note(f"invoked {call} {invocation.request_id[:8]}")
        check_room(ledger, call)
        check_invocation(process, self._function, invocation)
        for delivery, record in zip(call.deliveries, records, strict=True):
            self._check_delivery(call, delivery, record)
        self._check_request(call, invocation.request_id)
        self._check_batch(call)
        if plan.ordered:
            self._check_groups(call)
        for delivery in call.deliveries:
            delivery.running, delivery.invoked = call, True
        ledger.running[call] = None
        self._books.tallies[process.name, plan.name].invoked += len(records)
        return call

    def _addressed(self, records: list[dict[str, Any]]) -> QueueMappingPlan:
        """Whose messages these are: one mapping's."""
        arns = {record["eventSourceARN"] for record in records}
        plans = [each for each in self._ledger.scenario.queue_mappings if each.function == self._function]
        found = [each for each in plans if {each.queue.arn} == arns]
        if len(found) != 1:
            raise Broken(f"{self._function.name} is invoked with messages of {arns}")
        return found[0]

    def _check_delivery(self, call: QueueCall, delivery: Delivery, record: dict[str, Any]) -> None:
        """It is the process's own, nobody else can have it, and nothing was said of it yet; and it is as it was sent."""
        owner, now = (delivery.process, delivery.plan), asyncio.get_running_loop().time()
        if owner != (self._process, call.plan) or delivery.told is None:
            raise Broken(f"{call}: {delivery} was handed to {delivery.process.name} {delivery.plan.name}")
        if delivery.until <= now or (delivery.message.stored.state == "gone" and not delivery.superseded):
            raise Broken(f"{call}: anybody may have {delivery} for {now - delivery.until:.3f} s, or nobody")
        if delivery.fate != "open" or delivery.let_go or delivery.running is not None:
            raise Broken(f"{call}: {delivery} is {delivery.fate}, let go: {delivery.let_go}, running: {delivery.running}")
        if call.plan.limit is not None and delivery.receives > call.plan.limit:
            raise Broken(f"{call}: {delivery} is invoked, and was to be given up")
        told = record["body"], int(record["attributes"]["ApproximateReceiveCount"]), len(record["messageAttributes"])
        if told != (delivery.message.body, delivery.receives, len(attributes(delivery.message.send))):
            raise Broken(f"{call}: {delivery} looks like {told}")

    def _check_request(self, call: QueueCall, request_id: str) -> None:
        """An unchanged attempt, which nobody would run, keeps its request id; any other has one of its own."""
        receipts = tuple(each.receipt for each in call.deliveries)
        before = self._books.requests.setdefault(request_id, receipts)
        if before != receipts or request_id in self._ledger.request_ids:
            raise Broken(f"{call} goes under the request id of another")
        if self._books.attempts.setdefault(receipts, request_id) != request_id:
            raise Broken(f"{call} is tried again under another request id")

    def _check_batch(self, call: QueueCall) -> None:
        """It is not too large, and went before its window was over only where it was full."""
        plan, size = call.plan, len(call.deliveries)
        if size > plan.batch_size:
            raise Broken(f"{call} has {size} messages, {plan.batch_size} are allowed")
        since = self._books.tallies[self._process.name, plan.name].idle_since
        if plan.slots > 1 or size == plan.batch_size or any(each.invoked for each in call.deliveries) or since is None:
            return
        waited = asyncio.get_running_loop().time() - since
        if waited < plan.window - RESOLUTION and not self._shrunk(call, since):
            raise Broken(f"{call} has {size} messages after {waited:.3f} s of a window of {plan.window} s")

    def _shrunk(self, call: QueueCall, since: float) -> bool:
        """Others were gathered with these, and then given up or lost."""
        mine = [each for each in self._books.deliveries() if (each.process, each.plan) == (call.process, call.plan)]
        wanted = [each for each in mine if call.plan.wants(each.message.send)]
        gathered = [each for each in wanted if each.told is not None and each.told >= since]
        return len(gathered) > len(call.deliveries)

    def _check_groups(self, call: QueueCall) -> None:
        """Everything before a message in its group is done, or goes just before it; and nothing else of the group runs."""
        ahead: set[Message] = set()
        for delivery in call.deliveries:
            self._check_order(call, delivery, ahead)
            ahead.add(delivery.message)
        groups = {each.message.send.group for each in call.deliveries}
        now = asyncio.get_running_loop().time()
        for other in self._ledger.running:
            if not isinstance(other, QueueCall) or other.plan.queue != call.plan.queue or not other.process.alive:
                continue
            shared = [each for each in other.deliveries if each.message.send.group in groups and each.until > now]
            if shared and not other.process.stands_still:
                raise Broken(f"{call} runs beside {other}, with a group in common")

    def _check_order(self, call: QueueCall, delivery: Delivery, ahead: Container[Message]) -> None:
        open_ones = [each for each in self._books.before(delivery.message) if each not in ahead and not _over(each, call.plan)]
        if open_ones:
            raise Broken(f"{call}: {delivery} goes before {', '.join(map(str, open_ones))} of its group")

    # ------------------------------------------------------------------------------------------------------------ it ends

    def ended(self, call: QueueCall, answer: Answer, ids: list[str]) -> None:
        """The function has answered. Raises `Broken` where a message is accepted before an earlier one of its group."""
        if not self._leave(call):
            return
        tally = self._books.tallies[self._process.name, call.plan.name]
        meaning = verdict(answer, ids, reports=call.plan.reports)
        self._ledger.trace.note(f"answered {call} {meaning.kind} {meaning.label} {len(meaning.names)}")
        tally.outcomes[meaning.label] += 1
        tally.failed[meaning.reason] += meaning.failed
        if meaning.kind != "refused":
            failed = frozenset(ids) if meaning.kind == "failed" else meaning.names
            judged(tally.breaker, call, failed=failed.issuperset(ids))
            self._judge(call, failed)

    def _judge(self, call: QueueCall, failed: frozenset[str]) -> None:
        """In a guarded queue what follows one that failed goes back. What goes back of a group waits as its first has to."""
        heads: dict[str, Delivery] = {}
        stopped: set[str] = set()
        for delivery in call.deliveries:
            group, fails = delivery.message.send.group, delivery.message.stored.id in failed
            behind = call.plan.queue.fifo and group in stopped and (fails or call.plan.guard)
            if not (fails or behind):
                delivery.fate, delivery.message.accepted = "accepted", True
                continue
            stopped.add(group)
            if not behind and call.plan.limit is not None and delivery.receives >= call.plan.limit:
                delivery.fate = "spent"
            else:
                self._fails(delivery, heads.setdefault(group, delivery) if call.plan.queue.fifo else delivery)

    def _fails(self, delivery: Delivery, head: Delivery) -> None:
        delivery.fate, delivery.wait = "failed", delivery.plan.wait_after(head.receives)
        delivery.let_go = delivery.wait is None

    def cut_off(self, call: QueueCall) -> None:
        """The function was stopped."""
        if self._leave(call):
            self._ledger.trace.note(f"cut off {call}")
            self._books.tallies[self._process.name, call.plan.name].outcomes["cancelled"] += 1

    def _leave(self, call: QueueCall) -> bool:
        """It runs no more. False where its process is dead: then it never counted."""
        self._ledger.running.pop(call, None)
        for delivery in call.deliveries:
            delivery.running = None
        self._books.tallies[self._process.name, call.plan.name].idle_since = asyncio.get_running_loop().time()
        return self._process.alive


def _over(message: Message, plan: QueueMappingPlan) -> bool:
    """Nothing of its group has to wait for it."""
    return message.accepted or message.given_up or not plan.wants(message.send)
