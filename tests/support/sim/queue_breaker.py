"""The circuit breaker of a mapping of a queue, as its rules have it: a watching machine, apart from the daemon's own.

After too many failed batches nothing is received for a while; then what makes up one batch, and nothing else until the function
has come to a verdict on that.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.sim.journal import Broken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.sim.process import Process
    from support.sim.queue_books import Delivery, QueueCall
    from support.sim.queue_scenario import QueueMappingPlan

ROUNDING = 1e-5


@dataclass(slots=True, kw_only=True)
class Trial:
    """What is received while the breaker is open.

    Attributes:
        began: with its first receive.
        receiving: its receives under way, by number, and how many messages each may bring.
        deliveries: what they brought.
    """

    began: float
    receiving: dict[int, int] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BreakerBook:
    """What is known of one process's breaker.

    Attributes:
        opened_at: when it opened, or its last trial failed; None: it is closed.
        row: failed batches in a row; `last`: of all, whether they failed.
        vague: it cannot be said any more what it is.
    """

    opened_at: float | None = None
    trial: Trial | None = None
    row: int = 0
    last: list[bool] = field(default_factory=list)
    vague: bool = False

    @property
    def watched(self) -> bool:
        """It is open, and it is known since when."""
        return self.opened_at is not None and not self.vague


def check_receive(book: BreakerBook, process: Process, plan: QueueMappingPlan, number: int, limit: int) -> None:
    """While it is open there is one batch on trial, once its time has come, and before the function has seen any of that."""
    breaker, now = plan.breaker, _now()
    if breaker is None or not book.watched or book.opened_at is None or now <= book.opened_at + ROUNDING:
        return
    if process.stands_still:  # it may have had its verdict later than we know
        book.vague = True
        return
    if now < book.opened_at + breaker.interval - ROUNDING:
        raise Broken(f"{process.name} {plan.name} receives {now - book.opened_at:.3f} s after its breaker has opened")
    trial = book.trial = book.trial or Trial(began=now)
    in_hand = [each for each in trial.deliveries if _is_to_be_invoked(each)]
    if any(each.invoked for each in in_hand):
        raise Broken(f"{process.name} {plan.name} receives while {in_hand[0]} is on trial")
    if sum(trial.receiving.values()) + len(in_hand) + limit > plan.batch_size:
        raise Broken(f"{process.name} {plan.name} receives {limit} beside {len(in_hand)} and {trial.receiving} on trial")
    trial.receiving[number] = limit


def received(book: BreakerBook, number: int, deliveries: Iterable[Delivery] = ()) -> None:
    """A receive is over; what it brought."""
    if book.trial is not None and book.trial.receiving.pop(number, None) is not None:
        book.trial.deliveries.extend(deliveries)


def judged(book: BreakerBook, call: QueueCall, *, failed: bool) -> None:
    """The function has come to a verdict on a batch; `failed`: on all of its messages."""
    breaker = call.plan.breaker
    if breaker is None or book.vague:
        return
    if book.opened_at is None:
        book.row = book.row + 1 if failed else 0
        book.last.append(failed)
        if _too_many(book, breaker.failures, breaker.error_rate, breaker.batches):
            book.opened_at = _now()
    elif book.trial is not None and not set(call.deliveries).isdisjoint(book.trial.deliveries):
        _tried(book, failed=failed)
    elif book.trial is not None and call.began >= book.trial.began:  # who tries had gathered these before
        book.vague = True


def _tried(book: BreakerBook, *, failed: bool) -> None:
    book.trial = None
    if failed:
        book.opened_at = _now()
    else:
        book.opened_at, book.row, book.last = None, 0, []


def _too_many(book: BreakerBook, failures: int | None, rate: float | None, batches: int) -> bool:
    if failures is not None and book.row >= failures:
        return True
    last: Sequence[bool] = book.last[-batches:]
    return rate is not None and len(last) == batches and sum(last) / batches >= rate


def _is_to_be_invoked(delivery: Delivery) -> bool:
    """It is in hand, and the function's turn has come or will."""
    limit = delivery.plan.limit
    given_up = limit is not None and delivery.receives > limit
    return delivery.fate == "open" and delivery.in_hand and not (given_up or delivery.excused)


def _now() -> float:
    return asyncio.get_running_loop().time()
