"""Permits: never too many, never fewer than could be, what is reserved at once, and in turn over the mappings of a priority."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from poller.core.permits import PermitLedger, Ticket

FUNCTION_OF = {"a": "f", "b": "f", "c": "g", "d": "g", "e": "h"}
PRIORITY_OF = {"a": 0, "b": 0, "c": 0, "d": 1, "e": -1}
FUNCTIONS = sorted(set(FUNCTION_OF.values()))
MAPPINGS = sorted(FUNCTION_OF)

Sizes = tuple[dict[str, int], int, dict[str, int]]


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Limits of functions and of the process, and reservations that it can afford."""
    limits = {name: draw(st.integers(1, 3)) for name in FUNCTIONS}
    reserved = {name: draw(st.integers(0, 3)) for name in FUNCTIONS if draw(st.booleans())}
    return limits, max(1, sum(reserved.values()) + draw(st.integers(0, 4))), reserved


class PermitMachine(RuleBasedStateMachine):
    """Asks, gives back, withdraws and resizes at will, and keeps its own account of who holds and who waits since when."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0
        self.held: list[Ticket] = []
        self.waiting: dict[Ticket, int] = {}  # since when
        self.served: dict[str, int] = {}  # a mapping's last grant
        self.surplus: set[str] = set()  # what holds more than its limit since a resize; "" is the process, "shared" what is left

    @initialize(sizes=sizes())
    def begin(self, sizes: Sizes) -> None:
        self.limits, self.total, self.reserved = sizes
        self.ledger = PermitLedger(*sizes)

    @rule(mapping=st.sampled_from(MAPPINGS))
    def ask(self, mapping: str) -> None:
        ticket = Ticket(mapping, FUNCTION_OF[mapping], PRIORITY_OF[mapping])
        self.moment += 1
        self.waiting[ticket] = self.moment
        if self.ledger.ask(ticket):
            self.granted(ticket)
        elif not self.surplus:
            guaranteed = min(self.limits[ticket.function], self.reserved.get(ticket.function, 0))
            assert self.in_use(ticket.function) >= guaranteed, "what it reserves is not there at once"

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

    @rule(sizes=sizes())
    def resize(self, sizes: Sizes) -> None:
        self.limits, self.total, self.reserved = sizes
        self.surplus = {what for what, count, most in self.account() if count > most}
        for served in self.ledger.resize(*sizes):
            self.granted(served)

    @precondition(lambda self: self.held and not self.waiting)
    @rule()
    def give_all_back(self) -> None:
        for ticket in self.held:
            assert self.ledger.give_back(ticket) == []
        self.held = []

    def granted(self, ticket: Ticket) -> None:
        """It waited, there was room for it, and of those who could run nobody has been passed over."""
        assert ticket in self.waiting, "a ticket that is gone, or was served before"
        assert self.free(ticket.function)
        first = min(self.waiting[other] for other in self.waiting if other.mapping == ticket.mapping)
        assert self.waiting[ticket] == first, "a later ticket of the same mapping went first"
        before = self.served.get(ticket.mapping, 0)
        for other in self.waiting:
            if not self.free(other.function):
                continue
            assert other.priority <= ticket.priority, f"{ticket} was served before {other}"
            passed_over = max(self.waiting[other], self.served.get(other.mapping, 0)) < before
            same = other.mapping != ticket.mapping and other.priority == ticket.priority
            assert not (same and passed_over), f"{ticket} was served twice, {other} not at all"
        del self.waiting[ticket]
        self.held.append(ticket)
        self.moment += 1
        self.served[ticket.mapping] = self.moment

    def free(self, function: str) -> bool:
        mine = {function, ""} if function in self.reserved else {function, "", "shared"}
        return all(count < most for what, count, most in self.account() if what in mine)

    def account(self) -> list[tuple[str, int, int]]:
        """What is counted, how much of it is in use, and how much may be."""
        functions = [(name, self.in_use(name), min(self.limits[name], self.reserved.get(name, 9))) for name in FUNCTIONS]
        shared = sum(self.in_use(name) for name in FUNCTIONS if name not in self.reserved)
        return [*functions, ("shared", shared, self.total - sum(self.reserved.values())), ("", len(self.held), self.total)]

    def in_use(self, function: str) -> int:
        return sum(ticket.function == function for ticket in self.held)

    @invariant()
    def no_limit_is_exceeded_but_by_what_a_smaller_one_has_found(self) -> None:
        over = {what for what, count, most in self.account() if count > most}
        assert over <= self.surplus
        self.surplus = over
        for function in FUNCTIONS:
            assert self.ledger.in_use(function) == self.in_use(function)

    @invariant()
    def nobody_waits_who_could_run(self) -> None:
        assert not [ticket for ticket in self.waiting if self.free(ticket.function)]

    @invariant()
    def it_says_what_is_free_and_what_is_short(self) -> None:
        for name, count, most in self.account()[:-2]:
            assert self.ledger.free(name) == self.free(name)
            stopped = self.reserved.get(name) == 0
            assert self.ledger.shortage(name) == ("reserved_zero" if stopped else "function" if count >= most else "process")


PermitMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_permits_are_within_the_limits_in_use_where_they_can_be_and_given_in_turn = PermitMachine.TestCase


def test_mappings_that_always_want_are_served_by_turns() -> None:
    ledger = PermitLedger({"f": 1}, total=1)
    first = Ticket("a", "f")
    assert ledger.ask(first)
    for name in "abcaabc":
        assert not ledger.ask(Ticket(name, "f"))
    assert order(ledger, first) == "abcabca"


def test_a_higher_priority_always_goes_first_and_equals_by_turns() -> None:
    ledger = PermitLedger({"f": 1}, total=1)
    first = Ticket("a", "f")
    assert ledger.ask(first)
    for name, priority in (("a", 0), ("low", -5), ("b", 0), ("high", 7), ("b", 0), ("high", 7), ("a", 0), ("low", -5)):
        assert not ledger.ask(Ticket(name, "f", priority))
    assert order(ledger, first, " ") == "high high a b a b low low"


def test_a_priority_takes_nothing_from_what_another_function_reserves() -> None:
    ledger = PermitLedger({"f": 5, "kept": 5}, total=3, reserved={"kept": 1})
    held = [Ticket("high", "f", 9) for _ in range(3)]
    assert [ledger.ask(ticket) for ticket in held] == [True, True, False]
    assert ledger.free("kept")
    assert ledger.ask(low := Ticket("low", "kept", -9))
    assert ledger.give_back(low) == [], "what is given back to a reservation is no help to others"
    assert ledger.shortage("f") == "process"


def order(ledger: PermitLedger, holder: Ticket, between: str = "") -> str:
    """Who is served one after the other."""
    names: list[str] = []
    while served := ledger.give_back(holder):
        (holder,) = served
        names.append(holder.mapping)
    return between.join(names)


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


@pytest.mark.parametrize(
    ("reserved", "reason"),
    [
        pytest.param({"f": 0}, "reserved_zero", id="it reserves none"),
        pytest.param({"f": 1}, "function", id="it has all that it reserves"),
        pytest.param({"g": 1}, "process", id="others reserve the rest"),
    ],
)
def test_it_is_known_what_there_is_too_little_of(reserved: dict[str, int], reason: str) -> None:
    ledger = PermitLedger({"f": 2, "g": 1}, total=2, reserved=reserved)
    while ledger.ask(Ticket("a", "f")):
        pass
    assert ledger.shortage("f") == reason


def test_a_reservation_that_comes_while_all_is_in_use_waits_for_the_first_permit_that_is_given_back() -> None:
    ledger = PermitLedger({"f": 3, "g": 3}, total=3)
    held = [Ticket("a", "f") for _ in range(3)]
    assert all(ledger.ask(ticket) for ticket in held)
    assert ledger.resize({"f": 3, "g": 3}, 3, {"g": 2}) == []
    assert not ledger.ask(more := Ticket("a", "f", 5))
    assert not ledger.ask(kept := Ticket("b", "g"))
    assert ledger.give_back(held[0]) == [kept], "although the other has the higher priority"
    assert ledger.give_back(held[1]) == []
    assert ledger.give_back(held[2]) == [more]


def test_tickets_are_told_apart_by_identity() -> None:
    assert Ticket("a", "f") != Ticket("a", "f")


@pytest.mark.parametrize("function", ["f", "g"])
def test_nothing_is_in_use_at_first(function: str) -> None:
    assert PermitLedger({"f": 1, "g": 2}, total=2).in_use(function) == 0
