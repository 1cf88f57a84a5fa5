"""Permits: never too many, never fewer than could be, and in turn over the mappings."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from poller.core.permits import PermitLedger, Ticket

FUNCTION_OF = {"a": "f", "b": "f", "c": "g", "d": "g", "e": "h"}
FUNCTIONS = sorted(set(FUNCTION_OF.values()))
MAPPINGS = sorted(FUNCTION_OF)


class PermitMachine(RuleBasedStateMachine):
    """Asks, gives back and withdraws at will, and keeps its own account of who holds and who waits since when."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0
        self.held: list[Ticket] = []
        self.waiting: dict[Ticket, int] = {}  # since when
        self.served: dict[str, int] = {}  # a mapping's last grant

    @initialize(limits=st.fixed_dictionaries({name: st.integers(1, 3) for name in FUNCTIONS}), total=st.integers(1, 6))
    def begin(self, limits: dict[str, int], total: int) -> None:
        self.limits, self.total = limits, total
        self.ledger = PermitLedger(limits, total)

    @rule(mapping=st.sampled_from(MAPPINGS))
    def ask(self, mapping: str) -> None:
        ticket = Ticket(mapping, FUNCTION_OF[mapping])
        self.moment += 1
        self.waiting[ticket] = self.moment
        if self.ledger.ask(ticket):
            self.granted(ticket)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.held))
        self.held.remove(ticket)
        for served in self.ledger.give_back(ticket):
            self.granted(served)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(list(self.waiting)))
        del self.waiting[ticket]
        assert self.ledger.give_back(ticket) == []  # a wish that is gone frees no permit

    @precondition(lambda self: self.held and not self.waiting)
    @rule()
    def give_all_back(self) -> None:
        for ticket in self.held:
            assert self.ledger.give_back(ticket) == []
        self.held = []

    def granted(self, ticket: Ticket) -> None:
        """It waited, and of those who could run nobody has been passed over."""
        assert ticket in self.waiting
        first = min(self.waiting[other] for other in self.waiting if other.mapping == ticket.mapping)
        assert self.waiting[ticket] == first, "a later ticket of the same mapping went first"
        before = self.served.get(ticket.mapping, 0)
        for other in self.waiting:
            passed_over = other.mapping != ticket.mapping and max(self.waiting[other], self.served.get(other.mapping, 0)) < before
            assert not (passed_over and self.free(other.function)), f"{ticket} was served twice, {other} not at all"
        del self.waiting[ticket]
        self.held.append(ticket)
        self.moment += 1
        self.served[ticket.mapping] = self.moment

    def free(self, function: str) -> bool:
        return len(self.held) < self.total and self.in_use(function) < self.limits[function]

    def in_use(self, function: str) -> int:
        return sum(ticket.function == function for ticket in self.held)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        assert len(self.held) <= self.total
        for function in FUNCTIONS:
            assert self.in_use(function) <= self.limits[function]
            assert self.ledger.in_use(function) == self.in_use(function)

    @invariant()
    def nobody_waits_who_could_run(self) -> None:
        assert not [ticket for ticket in self.waiting if self.free(ticket.function)]


PermitMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_permits_are_within_the_limits_in_use_where_they_can_be_and_given_in_turn = PermitMachine.TestCase


def test_mappings_that_always_want_are_served_by_turns() -> None:
    ledger = PermitLedger({"f": 1}, total=1)
    first = Ticket("a", "f")
    assert ledger.ask(first)
    for name in "abcaabc":
        assert not ledger.ask(Ticket(name, "f"))
    order, holder = [], first
    while served := ledger.give_back(holder):
        (holder,) = served
        order.append(holder.mapping)
    assert "".join(order) == "abcabca"


def test_a_mapping_whose_function_is_busy_keeps_its_place_and_delays_nobody() -> None:
    ledger = PermitLedger({"f": 1, "g": 2}, total=2)
    busy, other = Ticket("a", "f"), Ticket("b", "g")
    assert ledger.ask(busy)
    assert ledger.ask(other)
    waits_for_f, waits_for_g = Ticket("a", "f"), Ticket("b", "g")
    assert not ledger.ask(waits_for_f)
    assert not ledger.ask(waits_for_g)
    assert ledger.give_back(other) == [waits_for_g]  # passed over: f has one permit, and it is taken
    assert ledger.give_back(busy) == [waits_for_f]


def test_one_permit_that_is_given_back_can_serve_only_one() -> None:
    ledger = PermitLedger({"f": 5}, total=2)
    held = [Ticket("a", "f"), Ticket("b", "f")]
    assert all(ledger.ask(ticket) for ticket in held)
    waiting = [Ticket("a", "f"), Ticket("b", "f")]
    assert not any(ledger.ask(ticket) for ticket in waiting)
    assert ledger.give_back(held[0]) == waiting[:1]
    assert ledger.in_use("f") == 2


def test_giving_back_twice_frees_no_second_permit() -> None:
    ledger = PermitLedger({"f": 1}, total=1)
    ticket = Ticket("a", "f")
    assert ledger.ask(ticket)
    assert ledger.give_back(ticket) == []
    assert ledger.give_back(ticket) == []
    assert ledger.ask(Ticket("a", "f"))
    assert not ledger.ask(Ticket("a", "f"))


def test_tickets_are_told_apart_by_identity() -> None:
    assert Ticket("a", "f") != Ticket("a", "f")


@pytest.mark.parametrize("function", ["f", "g"])
def test_nothing_is_in_use_at_first(function: str) -> None:
    assert PermitLedger({"f": 1, "g": 2}, total=2).in_use(function) == 0
