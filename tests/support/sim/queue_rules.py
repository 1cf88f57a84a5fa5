"""What a process may ask of a queue: the rules of receiving, hiding, deleting and giving up, as a watching machine.

Written from the rules, apart from the daemon's queue code. Fed by a process's connection with what it asks, what the service then
does, and what the process comes to know of it; raises `Broken` where the rules leave no such thing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from support.sim.journal import Broken
from support.sim.queue_books import Delivery, attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.ports import EntryFailure
    from poller.services import Receive, SqsAttribute, SqsMessage
    from support.sim.process import Process
    from support.sim.queue_books import Message
    from support.sim.queue_scenario import QueueMappingPlan

LAG = 0.1
"""A part of the time for which messages are hidden: an answer that takes longer may come too late."""

IDLE = 1.0 - 1e-5
"""Seconds from one receive of an empty queue to the next, of one slot."""

TRIES = 3
"""How often a process tells a queue to hand a message out again, if the queue does not hear."""


class QueueRules:
    """One process and one mapping of a queue."""

    def __init__(self, process: Process, plan: QueueMappingPlan) -> None:
        self._process = process
        self._plan = plan
        self._ledger = process.ledger
        self._books = process.ledger.queues
        self._tally = self._books.tallies[process.name, plan.name]

    def __str__(self) -> str:
        return f"{self._process.name} {self._plan.name}"

    # ---------------------------------------------------------------------------------------------------------- receiving

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
        if len(running) >= self._ledger.scenario.concurrency or mine >= plan.function.concurrency:
            raise Broken(f"{self} starts a receive while no permit is free: {mine} run, {len(running)} in the process")
        busy = sum(getattr(call, "plan", None) is plan for call in running) + len(tally.receiving)
        if busy > plan.slots:
            raise Broken(f"{self} has {len(tally.receiving)} receives open, and {busy} slots at work of {plan.slots}")
        if receive.limit > plan.batch_size or receive.wait > plan.receive_wait or receive.visibility != plan.hides:
            raise Broken(f"{self} asks for {receive}, to hide for {plan.hides} s")

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
            if self._plan.filtered and not delivery.message.send.wanted:
                delivery.fate = "unwanted"
                tally.filtered += 1
        if answer:
            self._note("got", [each["ReceiptHandle"] for each in answer])
        else:
            self._check_pace()

    def _check_pace(self) -> None:
        """An empty queue is asked once a second by each slot, the time at the start and around what was not empty left aside."""
        tally, seconds = self._tally, _now() - (self._tally.began or 0.0)
        allowed = self._plan.slots * (seconds / IDLE + 2) + tally.polls["records"] + tally.polls["error"]
        if tally.polls["empty"] > allowed:
            raise Broken(f"{self} asked an empty queue {tally.polls['empty']} times in {seconds:.1f} s")

    def receive_failed(self, number: int, *, gone: bool) -> None:
        """The process knows of no message. Where the queue is `gone` its slot starts again, and leaves to it what it has."""
        del self._tally.receiving[number]
        self._tally.polls["error"] += not gone
        for delivery in self._mine() if gone else ():
            if delivery.fate == "open" and not delivery.invoked:
                delivery.vague = True

    def receive_cut(self, number: int) -> None:
        """A receive was cut short, whose messages nobody will know of."""
        del self._tally.receiving[number]
        if self._process.alive and not self._process.impatient:
            raise Broken(f"{self} cuts a receive short")

    # ------------------------------------------------------------------------------------------------------------- hiding

    def hide_asked(self, receipts: Sequence[str], seconds: int) -> None:
        """To keep what is in hand, or to give it back when it may come again."""
        for delivery in self._own("hides", receipts):
            if delivery.confirmed:
                raise Broken(f"{self} hides {delivery} for {seconds} s, which is deleted")
            if delivery.fate == "failed" and (delivery.let_go or seconds != self._plan.hides):
                self._given_back(delivery, seconds)
            elif seconds != self._plan.hides:
                self._handed_back(delivery, seconds)
            elif delivery.let_go:
                raise Broken(f"{self} hides {delivery}, which it had let go")
            else:
                delivery.vague |= self._process.drain.started and delivery.running is None

    def _given_back(self, delivery: Delivery, seconds: int) -> None:
        """What failed waits as the mapping says."""
        if delivery.let_go and seconds == delivery.asked:
            return
        self._let_go(delivery, seconds)
        if delivery.wait is not None and self._process.impatient and seconds == 0:  # in haste everything goes back at once
            return
        if delivery.wait is None or not delivery.wait <= seconds <= max(delivery.wait, self._shelter()):
            raise Broken(f"{self} hides {delivery}, which failed, for {seconds} s, not {delivery.wait}")

    def _let_go(self, delivery: Delivery, seconds: int) -> None:
        delivery.let_go, delivery.late, delivery.asked = True, self._process.drain.started, seconds

    def _shelter(self) -> int:
        """Seconds for which a drain may hide what it hands back: while it still has receives open, which would get it again."""
        if not (self._process.drain.started and self._tally.receiving):
            return 0
        return max(0, int(max(self._tally.receiving.values()) - _now()) + 1)

    def _handed_back(self, delivery: Delivery, seconds: int) -> None:
        """Nothing goes back without having failed, but in a drain, or after an earlier one of its group was lost."""
        if delivery.let_go and seconds == delivery.asked:
            return
        self._let_go(delivery, seconds)
        if not 0 <= seconds <= self._shelter():
            raise Broken(f"{self} hides {delivery} for {seconds} s, neither {self._plan.hides} nor {self._shelter()} at the most")
        lost = self._plan.queue.fifo and any(each.excused for each in self._mine() if _same_group(each, delivery))
        if not (self._process.drain.started or lost):
            raise Broken(f"{self} hands {delivery} back, {delivery.fate}")
        if delivery.fate == "accepted" and not self._process.impatient:
            raise Broken(f"{self} hands {delivery} back, which is accepted")

    def hidden(self, receipts: Sequence[str], failures: Sequence[EntryFailure], seconds: float) -> None:
        """The service has done that."""
        for delivery in self._succeeded(receipts, failures):
            delivery.until = _now() + seconds
        self._note(f"hid for {seconds} s", receipts, failures)

    def hide_answered(self, receipts: Sequence[str], failures: Sequence[EntryFailure]) -> None:
        """The process knows."""
        for delivery in self._succeeded(receipts, failures):
            delivery.misses = delivery.unheard = 0
        self._missed([receipts[failure.index] for failure in failures])

    def hide_unanswered(self, receipts: Sequence[str]) -> None:
        """The process knows nothing, and the call may have its effect some day."""
        self._missed(receipts)
        for receipt in receipts:
            self._books.delivery(receipt).vague |= self._books.delivery(receipt).let_go

    def _missed(self, receipts: Sequence[str]) -> None:
        for delivery in map(self._books.delivery, receipts):
            delivery.misses += 1
            delivery.unheard += delivery.let_go

    # ----------------------------------------------------------------------------------------------------------- deleting

    def delete_asked(self, receipts: Sequence[str]) -> None:
        """Only what was accepted, or is not wanted, or was given up, and its report has arrived."""
        for delivery in self._own("deletes", receipts):
            delivery.deleting = True
            if delivery.confirmed:
                raise Broken(f"{self} deletes {delivery} again, which is deleted")
            if delivery.fate in ("accepted", "unwanted"):
                continue
            if not self._exhausted(delivery):
                raise Broken(f"{self} deletes {delivery}, which is {delivery.fate}")
            if self._plan.destination:
                self._check_reported(delivery)
            else:
                self._drop(delivery)

    def _exhausted(self, delivery: Delivery) -> bool:
        """It failed for the last time, or nobody came to a verdict on it often enough."""
        limit = self._plan.limit
        if delivery.fate == "open" and limit is not None and delivery.receives > limit and not delivery.invoked:
            delivery.fate = "spent"
        return delivery.fate == "spent"

    def _check_reported(self, delivery: Delivery) -> None:
        """Of two deliveries of one message that a process has at once, either may be the one that was reported."""
        if not any(each.reported for each in self._mine() if each.message is delivery.message):
            raise Broken(f"{self} deletes {delivery}, whose report has not arrived")

    def _drop(self, delivery: Delivery) -> None:
        """Nobody is told of it, which counts once."""
        if delivery.reported:
            return
        delivery.reported = delivery.message.dropped = True
        self._tally.dropped += 1
        self._note("drops", [delivery.receipt])

    def deleted(self, receipts: Sequence[str], failures: Sequence[EntryFailure]) -> None:
        """The service has done that."""
        self._note("deleted", receipts, failures)

    def delete_answered(self, receipts: Sequence[str], failures: Sequence[EntryFailure]) -> None:
        """The process knows."""
        for delivery in self._succeeded(receipts, failures):
            delivery.confirmed = delivery.let_go = True
            self._tally.deleted += 1

    # ---------------------------------------------------------------------------------------------------------- giving up

    def report_asked(self, text: str, given: Mapping[str, SqsAttribute]) -> Message:
        """Of a message as it was sent, that is given up by right and not yet reported."""
        message = self._books.told_of(text)
        if given != attributes(message.send):
            raise Broken(f"{self} reports {message} with the attributes {given}")
        several = len([each for each in self._mine() if each.message is message]) > 1  # then any of them may be meant
        if not self._plan.destination or not (several or self._unreported(message)):
            fates = [(each.process.name, each.fate, each.reported) for each in message.deliveries]
            raise Broken(f"{self} reports {message}, which it has not to give up: {fates}")
        return message

    def _unreported(self, message: Message) -> list[Delivery]:
        """Its deliveries of this message that have to be reported."""
        mine = [each for each in self._mine() if each.message is message]
        return [each for each in mine if self._exhausted(each) and not each.reported and not each.let_go]

    def report_arrived(self, message: Message) -> None:
        """The destination has it."""
        message.documented += 1
        self._ledger.trace.note(f"{self} report of {message}")

    def report_answered(self, message: Message) -> None:
        """The process knows."""
        for delivery in self._unreported(message)[:1]:
            delivery.reported = True
        self._tally.sent += 1

    # ------------------------------------------------------------------------------------------------------------- inside

    def _own(self, does: str, receipts: Sequence[str]) -> list[Delivery]:
        """Deliveries that the process knows of."""
        found = [self._books.delivery(receipt) for receipt in receipts]
        for delivery in found:
            if delivery.process is not self._process or delivery.plan is not self._plan or delivery.told is None:
                raise Broken(f"{self} {does} {delivery}, of which {delivery.process.name} {delivery.plan.name} should know")
        return found

    def _mine(self) -> list[Delivery]:
        mine = self._process, self._plan
        return [each for each in self._books.deliveries() if (each.process, each.plan) == mine and each.told is not None]

    def _succeeded(self, receipts: Sequence[str], failures: Sequence[EntryFailure]) -> list[Delivery]:
        failed = {failure.index for failure in failures}
        return [self._books.delivery(receipt) for index, receipt in enumerate(receipts) if index not in failed]

    def _note(self, what: str, receipts: Sequence[str], failures: Sequence[EntryFailure] = ()) -> None:
        told = " ".join(str(self._books.delivery(receipt)) for receipt in receipts)
        failed = f", not {' '.join(str(failure.index) for failure in failures)}" if failures else ""
        self._ledger.trace.note(f"{self} {what}: {told}{failed}")


def _same_group(one: Delivery, other: Delivery) -> bool:
    return one.message.send.group == other.message.send.group


def _now() -> float:
    return asyncio.get_running_loop().time()
