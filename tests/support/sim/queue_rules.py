"""What a process may ask of a queue: the rules of receiving, hiding, deleting and giving up, as a watching machine.

Written from the rules, apart from the daemon's queue code. Fed by a process's connection with what it asks, what the service then
does, and what the process comes to know of it; raises `Broken` where the rules leave no such thing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from support.sim.journal import Broken
from support.sim.queue_books import attributes
from support.sim.queue_receiving import ReceiveRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from poller.ports import EntryFailure
    from poller.services import SqsAttribute
    from support.sim.queue_books import Delivery, Message

TRIES = 3
"""How often a process tells a queue to hand a message out again, if the queue does not hear."""


class QueueRules(ReceiveRules):
    """One process and one mapping of a queue."""

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

    def _succeeded(self, receipts: Sequence[str], failures: Sequence[EntryFailure]) -> list[Delivery]:
        failed = {failure.index for failure in failures}
        return [self._books.delivery(receipt) for index, receipt in enumerate(receipts) if index not in failed]


def _same_group(one: Delivery, other: Delivery) -> bool:
    return one.message.send.group == other.message.send.group


def _now() -> float:
    return asyncio.get_running_loop().time()
