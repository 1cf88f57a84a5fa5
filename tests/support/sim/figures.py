"""A process's metrics, against what was seen of it at its ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.sim.books import Tally
    from support.sim.process import Process
    from support.sim.scenario import MappingPlan, Scenario

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]

ITERATOR_AGE = "poller_iterator_age_seconds"
OUTCOMES = ("success", "partial", "function_error", "timeout", "throttled", "invoke_error", "crash", "oom", "cancelled")
REASONS = ("function_error", "timeout", "throttled", "invoke_error", "batch_item", "crash", "oom")
DROPS = ("max_age", "max_retries")
ROUNDING = 0.001


def figures(process: Process) -> Figures:
    """Every figure of a process, as a scrape would see it now."""
    process.metrics.snapshot()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in process.metrics.registry.collect()
        if family.name.startswith("poller_")
        for sample in family.samples
    }


def iterator_ages(process: Process) -> dict[tuple[str, str], float]:
    """By mapping and shard, as a scrape would see them now."""
    process.metrics.snapshot()
    (family,) = process.metrics.instrument(ITERATOR_AGE).collect()
    return {(sample.labels["mapping"], sample.labels["shard"]): sample.value for sample in family.samples}


def leases_owned(process: Process) -> dict[str, float]:
    """By mapping, as a scrape would see them now."""
    (family,) = process.metrics.instrument("poller_leases_owned").collect()
    return {sample.labels["mapping"]: sample.value for sample in family.samples}


def check_ages(process: Process) -> None:
    """An iterator age is that of the oldest record read and not settled, or more; never negative.

    Where records may be given up without a document the ledger learns of it too late to say.
    """
    ages = iterator_ages(process)
    for (name, shard), hold in process.holds.items():
        age = ages.get((name, str(shard)))
        if age is None or hold.last_read is None or hold.cursor > hold.last_read or hold.returned or hold.silent_drops:
            continue
        oldest = max(0.0, process.clock.time() - hold.book.entries[hold.cursor].arrived_at)
        if age < oldest - ROUNDING:
            process.ledger.fail(
                f"{process.name}: the iterator age of {name} {shard} is {age}, but record {hold.cursor} is {oldest} s old"
            )
    if any(age < 0 for age in ages.values()):
        process.ledger.fail(f"{process.name}: iterator ages are {ages}")


def check_figures(scenario: Scenario, process: Process) -> None:
    """The metrics of a process that has drained say what it did."""
    found = figures(process)
    for plan in scenario.mappings:
        for name, labels, expected in _expected(plan, process.tally(plan)):
            value = found.get((name, frozenset({"mapping": plan.name, **labels}.items())), 0.0)
            if not expected - _unsure(process, plan, name) <= value <= expected:
                process.ledger.fail(f"{process.name}: {name} {plan.name} {labels} is {value}, not {expected}")
        _check_dropped(process, plan, found)
    for function in scenario.functions:
        if found["poller_in_flight_invocations", frozenset({("function", function.name)})] != 0:
            process.ledger.fail(f"{process.name}: invocations of {function.name} are in flight for ever")


def _expected(plan: MappingPlan, tally: Tally) -> Iterable[tuple[str, dict[str, str], float]]:
    yield "poller_events_polled_total", {}, tally.polled
    yield "poller_events_redelivered_total", {}, tally.repeated
    yield "poller_events_invoked_total", {}, tally.invoked
    yield "poller_batch_retries_total", {}, tally.retries
    yield "poller_batch_bisections_total", {}, tally.splits
    yield "poller_in_flight_events", {}, 0
    yield "poller_leases_owned", {}, 0
    yield "poller_supervised_restarts_total", {}, 0
    for outcome in OUTCOMES:
        yield "poller_invocations_total", {"outcome": outcome}, tally.outcomes[outcome]
    for reason in REASONS:
        yield "poller_events_failed_total", {"reason": reason}, tally.failed[reason]
    if plan.destination:
        yield "poller_events_sent_to_destination_total", {"destination": "sqs"}, tally.sent


def _unsure(process: Process, plan: MappingPlan, name: str) -> int:
    """By how much a figure may be smaller than what was seen: a page of a shard that is not listed may be read only to look."""
    if name != "poller_events_polled_total":
        return 0
    holds = [hold for hold in process.ledger.holds.values() if hold.owner == process.name and hold.plan == plan]
    return sum(hold.polled for hold in holds if not hold.used)


def _check_dropped(process: Process, plan: MappingPlan, found: Figures) -> None:
    """What a process gave up just before it lost a lease, say, nobody else could know of: it may count more than was seen."""
    holds = [hold for hold in process.ledger.holds.values() if hold.owner == process.name and hold.plan == plan]
    seen = sum(len(hold.silent) for hold in holds)
    labels = (frozenset({("mapping", plan.name), ("reason", reason)}) for reason in DROPS)
    told = sum(found.get(("poller_events_dropped_total", each), 0.0) for each in labels)
    if told < seen or (told > seen and all(hold.returned and not hold.vague for hold in holds)):
        process.ledger.fail(f"{process.name}: {told} events of {plan.name} are counted as dropped, {seen} were")
