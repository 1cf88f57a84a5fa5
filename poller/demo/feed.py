"""Orders at a steady rate. Which of them fail is fixed, so that every run shows something."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.demo.sources import Source
    from poller.ports import Clock

TICK: Final = 0.25
MOST_AT_ONCE: Final = 500
"""After a pause, such as a suspended laptop, what was missed is not made up for all at once."""

GOODS: Final = ("coffee", "tea", "sugar", "flour", "salt", "rice", "olive oil")
CUSTOMERS: Final = 97
POISON_EACH, POISON_AT = 60, 7
SLOW_EACH, SLOW_AT = 15, 3


class Taker(Protocol):
    """Takes orders into a stream or queue."""

    async def put(self, source: Source, orders: Sequence[Order]) -> int:
        """Returns how many it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, as JSON, and its customer, whose orders a stream keeps in their order."""

    customer: str
    body: str


def order(number: int) -> Order:
    """The order of this number: every 60th can never be taken, every 15th not always at the first try."""
    customer = f"customer-{number % CUSTOMERS}"
    poison, slow = number % POISON_EACH == POISON_AT, number % SLOW_EACH == SLOW_AT
    content = {
        "id": number,
        "customer": customer,
        "item": GOODS[number % len(GOODS)],
        "quantity": -1 if poison else 1 + number % 5,
        "bank": "slow" if slow else "quick",
    }
    return Order(customer=customer, body=json.dumps(content))


@dataclass(slots=True, kw_only=True)
class Feed:
    """Puts orders into every source.

    Attributes:
        rate: orders a second for each source.
        fed: how many each mapping's source has taken.
    """

    taker: Taker
    sources: Sequence[Source]
    rate: float
    clock: Clock
    fed: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Until it is cancelled."""
        started, made = self.clock.monotonic(), 0
        while True:
            due = int((self.clock.monotonic() - started) * self.rate)
            orders = [order(number) for number in range(max(made, due - MOST_AT_ONCE), due)]
            made = due
            for source in self.sources if orders else ():
                self.fed[source.mapping] += await self.taker.put(source, orders)
            await asyncio.sleep(TICK)
