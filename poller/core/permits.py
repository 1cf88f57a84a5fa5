"""Who may invoke now: permits of every function, under its own limit, its reservation and the limit of the process.

What a function reserves is a cap and a guarantee, as in AWS Lambda (developer guide, "Configuring reserved concurrency"): it
never has more, and all functions that reserve nothing share what is left, so that they never take any of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Shortage = Literal["function", "process", "reserved_zero"]
"""What there is too little of: permits of the `function` (its own limit, or what it reserves), or of the `process` (its limit, or
what reservations leave of it); `reserved_zero`: the function reserves 0, which stops it."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One wish to invoke `function` once, on behalf of `mapping`. Compared by identity.

    Attributes:
        priority: higher goes first.
    """

    mapping: str
    function: str
    priority: int = 0


class PermitLedger:
    """Permits taken, and who waits.

    A permit goes to the highest priority that can use it, and within a priority to the mappings in turn: one that has just been
    served stands last, and of its tickets the one that has waited longest goes first. A mapping whose function can have no permit
    is passed over, so that it delays nobody else. Nobody waits who could run.
    """

    def __init__(self, limits: Mapping[str, int], total: int, reserved: Mapping[str, int] | None = None) -> None:
        """`limits`: of every function. `reserved`: of those that reserve; no more than `total` together."""
        self._held: dict[Ticket, None] = {}
        self._in_use: dict[str, int] = {}
        self._waiting: dict[int, dict[tuple[str, str], deque[Ticket]]] = {}
        self._allow(limits, total, reserved or {})

    def resize(self, limits: Mapping[str, int], total: int, reserved: Mapping[str, int] | None = None) -> list[Ticket]:
        """Other limits from now on. Who holds a permit keeps it; returns the tickets that hold one because of the change.

        What is held beyond new limits is not taken back. Until it is given back the process starts nothing above its own limit,
        so that a reservation may have to wait.
        """
        self._allow(limits, total, reserved or {})
        return self._serve()

    def in_use(self, function: str) -> int:
        """Permits of this function that are held now."""
        return self._in_use.get(function, 0)

    def free(self, function: str) -> bool:
        """Whether one more invocation of this function could start now."""
        if self._in_use.get(function, 0) >= self._limits.get(function, 0) or len(self._held) >= self._total:
            return False
        return function in self._reserved or self._shared < self._unreserved

    def shortage(self, function: str) -> Shortage:
        """Why there is no free permit for this function."""
        if self._reserved.get(function) == 0:
            return "reserved_zero"
        return "function" if self._in_use.get(function, 0) >= self._limits.get(function, 0) else "process"

    def ask(self, ticket: Ticket) -> bool:
        """True: the ticket holds a permit now. False: it waits, until `give_back` names it."""
        if self.free(ticket.function):  # so nobody waits who could have it
            self._grant(ticket)
            return True
        lines = self._waiting.setdefault(ticket.priority, {})
        lines.setdefault((ticket.mapping, ticket.function), deque()).append(ticket)
        return False

    def give_back(self, ticket: Ticket) -> list[Ticket]:
        """The ticket's permit is free, or it waits no longer. Returns the tickets that hold a permit because of that."""
        if ticket not in self._held:
            self._withdraw(ticket)
            return []
        del self._held[ticket]
        self._in_use[ticket.function] -= 1
        self._shared -= ticket.function not in self._reserved
        return self._serve(at_most=1)

    def _allow(self, limits: Mapping[str, int], total: int, reserved: Mapping[str, int]) -> None:
        self._limits = {name: min(limit, reserved.get(name, limit)) for name, limit in limits.items()}
        self._total = total
        self._reserved = dict(reserved)
        self._unreserved = total - sum(reserved.values())
        self._in_use = {name: count for name, count in self._in_use.items() if count}
        self._shared = sum(count for name, count in self._in_use.items() if name not in reserved)

    def _serve(self, at_most: int | None = None) -> list[Ticket]:
        served: list[Ticket] = []
        while len(served) != at_most and (ticket := self._next()) is not None:
            self._grant(ticket)
            served.append(ticket)
        return served

    def _next(self) -> Ticket | None:
        for lines in self._by_priority():
            for key, line in lines.items():
                if self.free(key[1]):
                    ticket = line.popleft()
                    del lines[key]
                    if line:
                        lines[key] = line
                    return ticket
        return None

    def _by_priority(self) -> Iterator[dict[tuple[str, str], deque[Ticket]]]:
        """Who waits, the highest priority first."""
        for priority in sorted(self._waiting, reverse=True):
            yield self._waiting[priority]

    def _grant(self, ticket: Ticket) -> None:
        self._held[ticket] = None
        self._in_use[ticket.function] = self._in_use.get(ticket.function, 0) + 1
        self._shared += ticket.function not in self._reserved

    def _withdraw(self, ticket: Ticket) -> None:
        lines = self._waiting.get(ticket.priority, {})
        key = (ticket.mapping, ticket.function)
        line = lines.get(key)
        if line is not None and ticket in line:
            line.remove(ticket)
            if not line:
                del lines[key]
