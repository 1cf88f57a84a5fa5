"""Who may invoke now: permits of every function, under its own limit and that of the process, fair over mappings."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One wish to invoke `function` once, on behalf of `mapping`. Compared by identity."""

    mapping: str
    function: str


class PermitLedger:
    """Permits taken, and who waits.

    A permit goes to the mappings in turn: a mapping that has just been served stands last, and within a mapping the ticket that
    has waited longest goes first. A mapping whose function is at its own limit is passed over, so that it delays nobody else.
    """

    def __init__(self, limits: Mapping[str, int], total: int) -> None:
        self._limits = dict(limits)
        self._total = total
        self._held: dict[Ticket, None] = {}
        self._in_use = dict.fromkeys(limits, 0)
        self._waiting: dict[str, deque[Ticket]] = {}

    def resize(self, limits: Mapping[str, int], total: int) -> list[Ticket]:
        """Other limits from now on. Who holds a permit keeps it; returns the tickets that hold one because of the change."""
        self._limits = dict(limits)
        self._total = total
        self._in_use = dict.fromkeys(limits, 0) | {name: count for name, count in self._in_use.items() if count or name in limits}
        return self._serve()

    def in_use(self, function: str) -> int:
        """Permits of this function that are held now."""
        return self._in_use.get(function, 0)

    def free(self, function: str) -> bool:
        """Whether one more invocation of this function could start now."""
        return len(self._held) < self._total and self._in_use.get(function, 0) < self._limits.get(function, 0)

    def ask(self, ticket: Ticket) -> bool:
        """True: the ticket holds a permit now. False: it waits, until `give_back` names it."""
        if ticket.mapping not in self._waiting and self.free(ticket.function):
            self._grant(ticket)
            return True
        self._waiting.setdefault(ticket.mapping, deque()).append(ticket)
        return False

    def give_back(self, ticket: Ticket) -> list[Ticket]:
        """The ticket's permit is free, or it waits no longer. Returns the tickets that hold a permit because of that."""
        if ticket in self._held:
            del self._held[ticket]
            self._in_use[ticket.function] -= 1
        else:
            self._withdraw(ticket)
        return self._serve()

    def _serve(self) -> list[Ticket]:
        served: list[Ticket] = []
        while (ticket := self._next()) is not None:
            self._grant(ticket)
            served.append(ticket)
        return served

    def _next(self) -> Ticket | None:
        for mapping, line in self._waiting.items():
            if self.free(line[0].function):
                ticket = line.popleft()
                del self._waiting[mapping]
                if line:
                    self._waiting[mapping] = line
                return ticket
        return None

    def _grant(self, ticket: Ticket) -> None:
        self._held[ticket] = None
        self._in_use[ticket.function] += 1

    def _withdraw(self, ticket: Ticket) -> None:
        line = self._waiting.get(ticket.mapping)
        if line is not None and ticket in line:
            line.remove(ticket)
            if not line:
                del self._waiting[ticket.mapping]
