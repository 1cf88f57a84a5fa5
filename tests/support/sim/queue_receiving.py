"""What a process may receive of a queue, and what a queue may hand out to it: a part of the rules of queues."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING

from support.sim.journal import Broken
from support.sim.queue_books import Delivery
from support.sim.queue_breaker import check_receive, received
from support.sim.shares import has_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.ports import EntryFailure
    from poller.services import Receive, SqsMessage
    from support.sim.process import Process
    from support.sim.queue_scenario import QueueMappingPlan

LAG = 0.1
"""A part of the time for which messages are hidden: an answer that takes longer may come too late."""

IDLE = 1.0 - 1e-5
"""Seconds from one receive of an empty queue to the next, of one slot."""


class ReceiveRules:
    """One process and one mapping of a queue."""

    def __init__(self, process: Process, plan: QueueMappingPlan) -> None:
        self._process = process
        self._plan = plan
        self._ledger = process.ledger
        self._books = process.ledger.queues
        self._tally = self._books.tallies[process.name, plan.name]

    def __str__(self) -> str:
        return f"{self._process.name} {self._plan.name}"

    def described(self) -> None:
        """The process knows its queue. From the first time on it may gather messages."""
        if self._tally.began is None:
            self._tally.began = self._tally.idle_since = _now()

    def receive_asked(self, receive: Receive, number: int) -> None:
        """A receive starts only while nobody drains, a slot has nothing else to do, and the function has a free permit."""
        plan, process, tally = self._plan, self._process, self._tally
        tally.receiving[number] = _now() + receive.wait
        if process.drain.started:
            raise Broken(f"{self} starts a receive in a drain")
        running = [call for call in self._ledger.running if call.process is process]
        mine = sum(call.function == plan.function for call in running)
        if not has_room(self._ledger.scenario, running, plan.function):
            raise Broken(f"{self} starts a receive while no permit is free: {mine} run, {len(running)} in the process")
        busy, polls = sum(getattr(call, "plan", None) is plan for call in running), ceil(len(tally.receiving) / plan.abreast)
        if busy + polls > plan.slots or polls > (plan.most_polls or polls):
            raise Broken(f"{self} has {len(tally.receiving)} receives open, and {busy} batches run, of {plan.slots}")
        if receive.limit > plan.batch_size or receive.wait > plan.receive_wait or receive.visibility != plan.hides:
            raise Broken(f"{self} asks for {receive}, to hide for {plan.hides} s")
        check_receive(tally.breaker, process, plan, number, receive.limit)

    def handed_out(self, answer: Sequence[SqsMessage], seconds: float, number: int) -> None:
        """The service has taken these out of the queue; whether their receiver comes to know is another matter."""
        for given in answer:
            message, receipt, until = self._books.message(given["MessageId"]), given["ReceiptHandle"], _now() + seconds
            again = self._books.known(receipt)
            if again is not None:
                self._repeated(again, until)
                continue
            if message.deliveries:
                self._comes_again(message.deliveries[-1], number)
            receives = len(message.deliveries) + 1
            made = Delivery(
                message=message,
                plan=self._plan,
                process=self._process,
                receipt=receipt,
                receives=receives,
                at=_now(),
                until=until,
            )
            self._books.handed_out(made)
        if answer:
            self._note("is handed", [each["ReceiptHandle"] for each in answer])

    def _repeated(self, delivery: Delivery, until: float) -> None:
        """A receive of a FIFO queue that brought these before, and whose answer was lost."""
        if delivery.process is not self._process or delivery.plan is not self._plan or delivery.told is not None:
            raise Broken(f"{self} is handed {delivery} again, which {delivery.process.name} knows")
        delivery.until = until

    def _comes_again(self, before: Delivery, number: int) -> None:
        """Nobody else may get what a process has in hand, unless it was kept from hiding it."""
        if before.until > _now():
            before.superseded = True
        elif before.in_hand and not before.excused:
            raise Broken(f"{before} comes again, though {before.process.name} {before.plan.name} has it in hand ({before.fate})")
        ours = before.process is self._process and before.plan is self._plan and _now() <= self._tally.receiving.get(number, 0.0)
        if ours and before.late and not before.excused:
            raise Broken(f"{self} gets {before} again, which it hands back in its drain")

    def told(self, answer: Sequence[SqsMessage], number: int) -> None:
        """The receive is over for the process."""
        tally = self._tally
        del tally.receiving[number]
        tally.polls["records" if answer else "empty"] += 1
        tally.polled += len(answer)
        for given in answer:
            delivery = self._books.delivery(given["ReceiptHandle"])
            tally.repeated += delivery.receives > 1
            delivery.told = _now()
            delivery.vague |= _now() - delivery.at > LAG * self._plan.hides
            if not self._plan.wants(delivery.message.send):
                self._filtered(delivery)
        received(tally.breaker, number, [self._books.delivery(given["ReceiptHandle"]) for given in answer])
        if answer:
            self._note("got", [each["ReceiptHandle"] for each in answer])
        else:
            self._check_pace()

    def _filtered(self, delivery: Delivery) -> None:
        """It is deleted, or goes back as if it had failed, or is given up."""
        self._tally.filtered += 1
        match self._plan.on_filtered:
            case "delete":
                delivery.fate = "unwanted"
            case "release":
                delivery.fate, delivery.wait = "failed", self._plan.wait_after(delivery.receives)
                delivery.let_go = delivery.wait is None
            case "destination":
                delivery.fate = "spent"

    def _check_pace(self) -> None:
        """An empty queue is asked once a second by each of the slots that are left while it is quiet.

        Each receive that is not in vain brings up to two others, and those go on once they have a batch of their own.
        """
        tally, seconds = self._tally, _now() - (self._tally.began or 0.0)
        quiet = min(self._plan.quiet, self._plan.slots)
        allowed = quiet * (seconds / IDLE + 2) + 4 * tally.polls["records"] + 2 * tally.polls["error"]
        if tally.polls["empty"] > allowed:
            raise Broken(f"{self} asked an empty queue {tally.polls['empty']} times in {seconds:.1f} s")

    def receive_failed(self, number: int, *, gone: bool) -> None:
        """The process knows of no message. Where the queue is `gone` its slot starts again, and leaves to it what it has."""
        del self._tally.receiving[number]
        received(self._tally.breaker, number)
        self._tally.polls["error"] += not gone
        for delivery in self._mine() if gone else ():
            if delivery.fate == "open" and not delivery.invoked:
                delivery.vague = True

    def receive_cut(self, number: int) -> None:
        """A receive was cut short, whose messages nobody will know of."""
        del self._tally.receiving[number]
        received(self._tally.breaker, number)
        if self._process.alive and not self._process.impatient:
            raise Broken(f"{self} cuts a receive short")

    # ------------------------------------------------------------------------------------------------------------- inside

    def _mine(self) -> list[Delivery]:
        mine = self._process, self._plan
        return [each for each in self._books.deliveries() if (each.process, each.plan) == mine and each.told is not None]

    def _note(self, what: str, receipts: Sequence[str], failures: Sequence[EntryFailure] = ()) -> None:
        told = " ".join(str(self._books.delivery(receipt)) for receipt in receipts)
        failed = f", not {' '.join(str(failure.index) for failure in failures)}" if failures else ""
        self._ledger.trace.note(f"{self} {what}: {told}{failed}")


def _now() -> float:
    return asyncio.get_running_loop().time()
