"""What must be true once a process has drained, and once everything is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.sim.documents import read_document
from support.sim.scenario import ACCOUNT, QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from poller.apis.memory_sqs import MemoryQueues
    from support.sim.books import Line, Tally
    from support.sim.ledger import Ledger
    from support.sim.process import Process
    from support.sim.scenario import MappingPlan, Scenario
    from support.sim.store import SimContents

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(process: Process) -> Samples:
    """Every figure of a process, as a scrape would see it now."""
    process.metrics.snapshot()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in process.metrics.registry.collect()
        if family.name.startswith("poller_")
        for sample in family.samples
    }


def iterator_ages(process: Process) -> dict[str, float]:
    """Of the shards that it reads, those that are not 0."""
    found = {}
    for (name, labels), value in samples(process).items():
        if name == "poller_iterator_age_seconds" and value != 0:
            found[" ".join(sorted(value for _, value in labels))] = value
    return found


def unowned(ledger: Ledger, contents: SimContents, living: Sequence[str]) -> list[str]:
    """Unfinished shards that nobody reads."""
    owners = {str(line): contents.owner(line) for line in ledger.lines() if not line.finished}
    return [f"{line} is held by {owner}" for line, owner in owners.items() if owner not in living]


# -------------------------------------------------------------------------------------------------------------------- figures


def check_figures(scenario: Scenario, process: Process) -> None:
    """The metrics of a process that has drained say what it did."""
    found = samples(process)
    for plan in scenario.mappings:
        tally = process.tally(plan)
        for name, labels, expected in _expected(plan, tally):
            value = found.get((name, frozenset({"mapping": plan.name, **labels}.items())), 0.0)
            if value != expected:
                process.ledger.fail(f"{process.name}: {name} {plan.name} {labels} is {value}, not {expected}")
        _check_dropped(process, plan, found)
    for plan in scenario.functions:
        if found["poller_in_flight_invocations", frozenset({("function", plan.name)})] != 0:
            process.ledger.fail(f"{process.name}: invocations of {plan.name} are in flight for ever")


def _expected(plan: MappingPlan, tally: Tally) -> Iterable[tuple[str, dict[str, str], float]]:
    yield "poller_events_polled_total", {}, tally.polled
    yield "poller_events_invoked_total", {}, tally.invoked
    yield "poller_batch_retries_total", {}, tally.retries
    yield "poller_batch_bisections_total", {}, tally.splits
    yield "poller_in_flight_events", {}, 0
    yield "poller_leases_owned", {}, 0
    yield "poller_supervised_restarts_total", {}, 0
    for outcome in ("success", "partial", "function_error", "timeout", "throttled", "invoke_error", "crash", "cancelled"):
        yield "poller_invocations_total", {"outcome": outcome}, tally.outcomes[outcome]
    for reason in ("function_error", "timeout", "throttled", "invoke_error", "batch_item", "crash"):
        yield "poller_events_failed_total", {"reason": reason}, tally.failed[reason]
    if plan.destination:
        yield "poller_events_sent_to_destination_total", {"destination": "sqs"}, tally.sent


def _check_dropped(process: Process, plan: MappingPlan, found: Samples) -> None:
    """A process that lost a lease may have given up what nobody else could know of yet."""
    holds = [hold for hold in process.ledger.holds.values() if hold.owner == process.name and hold.plan == plan]
    seen = sum(len(hold.silent) for hold in holds)
    labels = (frozenset({("mapping", plan.name), ("reason", reason)}) for reason in ("max_age", "max_retries"))
    told = sum(found.get(("poller_events_dropped_total", each), 0.0) for each in labels)
    if told < seen or (told > seen and all(hold.returned for hold in holds)):
        process.ledger.fail(f"{process.name}: {told} events of {plan.name} are counted as dropped, {seen} were")


# -------------------------------------------------------------------------------------------------------------------- the end


def check_outcome(ledger: Ledger, contents: SimContents, queues: MemoryQueues) -> None:
    """Nothing is lost: each record was accepted, or is covered by a document in the queue, or was given up by right."""
    documents = [read_document(message.body) for message in queues.messages(f"arn:aws:sqs:{ACCOUNT}:{QUEUE}")]
    for line in ledger.lines():
        covered = line.accepted | line.silent
        for document in documents:
            if (document.function_arn, document.stream_arn) == (line.plan.function.arn, line.book.stream) and document.shard == line.book.shard:
                covered |= set(range(line.book.index(document.first), line.book.index(document.last) + 1))
        _check_line(ledger, line, covered)
        if (owner := contents.owner(line)) and line.epoch in {hold.epoch for hold in ledger.processes[owner].holds.values() if hold.book is line.book and hold.plan is line.plan}:
            ledger.fail(f"everybody has drained, and {owner} has not given {line} back")


def _check_line(ledger: Ledger, line: Line, covered: set[int]) -> None:
    lost = set(range(line.begin, len(line.book.entries))) - covered
    if lost:
        ledger.fail(f"{line}: records {sorted(lost)} are lost")
    if not line.done:
        ledger.fail(f"{line}: {line.reached} of {len(line.book.entries)} are durably done")
    if line.running is not None:
        ledger.fail(f"{line.running} runs for ever")
