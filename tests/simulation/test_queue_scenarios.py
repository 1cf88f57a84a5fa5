"""The scenarios of queues that every change meets: a trouble that none of them holds would be a trouble that nothing shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.sim.bugs import QUEUE_SEEDS
from support.sim.queue_draw import draw_queues
from support.sim.scenario import Crash, Freeze, Join, Restart

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.sim.queue_scenario import QueueMappingPlan
    from support.sim.scenario import Scenario

SCENARIOS = [draw_queues(seed) for seed in range(QUEUE_SEEDS)]


def some(what: Callable[[QueueMappingPlan], bool]) -> Callable[[Scenario], bool]:
    """Whether one of its mappings is like that."""
    return lambda scenario: any(what(plan) for plan in scenario.queue_mappings)


def fails(service: str) -> Callable[[Scenario], bool]:
    """Whether this service has an outage."""
    return lambda scenario: any(outage.service == service for outage in scenario.outages)


def mixed(scenario: Scenario) -> bool:
    """Whether streams are read beside the queues."""
    return bool(scenario.mappings)


def test_a_scenario_is_drawn_from_its_seed_alone() -> None:
    assert draw_queues(5) == draw_queues(5)
    assert draw_queues(5) != draw_queues(6)


def test_every_kind_of_act_happens_in_many_scenarios() -> None:
    acts = Counter(kind for scenario in SCENARIOS for kind in {type(act) for act in scenario.acts})
    assert acts[Join] == QUEUE_SEEDS
    assert all(acts[kind] >= 10 for kind in (Crash, Freeze, Restart)), acts


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ("streams as well", mixed),
        ("two owners", lambda scenario: sum(isinstance(act, Join) for act in scenario.acts) == 2),
        ("no faulty call", lambda scenario: scenario.storm.refused == scenario.storm.lost == scenario.storm.late == 0),
        ("lost answers", lambda scenario: scenario.storm.lost > 0),
        ("late effects", lambda scenario: scenario.storm.late > 0),
        ("an outage of the queues", fails("sqs")),
        ("an outage of the destination", fails("destination")),
        ("functions that nobody runs", fails("function")),
        ("duplicates", lambda scenario: scenario.queue_habits.duplicate_every > 0),
        ("entries that fail", lambda scenario: scenario.queue_habits.fail_every > 0),
        ("too many in flight", lambda scenario: scenario.queue_habits.in_flight < 100),
        ("messages that cannot be hidden for longer", lambda scenario: scenario.queue_storm.unlucky > 0),
        ("slow answers", lambda scenario: scenario.queue_storm.slow > 0),
        ("poison", lambda scenario: any(send.failures is None for send in scenario.sends)),
        ("a message that heals", lambda scenario: any(send.failures for send in scenario.sends)),
        ("a shared function", lambda scenario: len(scenario.functions) < len(scenario.mappings) + len(scenario.queue_mappings)),
        ("a standard queue", some(lambda plan: not plan.queue.fifo)),
        ("a guarded FIFO queue", some(lambda plan: plan.ordered)),
        ("a redrive policy", some(lambda plan: plan.queue.redrive is not None)),
        ("a maximum receive count", some(lambda plan: plan.limit is not None)),
        ("a destination", some(lambda plan: plan.limit is not None and plan.destination)),
        ("no destination", some(lambda plan: plan.limit is not None and not plan.destination)),
        ("partial answers", some(lambda plan: plan.reports)),
        ("a window", some(lambda plan: plan.window > 0)),
        ("a batch of several receives", some(lambda plan: plan.abreast > 1)),
        ("a limit of its own", some(lambda plan: plan.at_once is not None)),
        ("provisioned pollers", some(lambda plan: plan.most_polls is not None)),
        ("a circuit breaker", some(lambda plan: plan.breaker is not None)),
        ("a filter", some(lambda plan: plan.filtered)),
        ("a filter that gives back", some(lambda plan: plan.filtered and plan.on_filtered == "release")),
        ("a filter that reports", some(lambda plan: plan.filtered and plan.on_filtered == "destination")),
        ("released with a back-off", some(lambda plan: plan.release == "backoff")),
        ("released at once", some(lambda plan: plan.release == "at_once")),
        ("left to lapse", some(lambda plan: plan.release == "lapse")),
        ("a function slower than messages are hidden", some(lambda plan: plan.function.timeout > plan.hides)),
        ("one permit for all", lambda scenario: scenario.concurrency == 1),
        ("a reservation", lambda scenario: any(plan.function.reserved is not None for plan in scenario.queue_mappings)),
    ],
)
def test_every_trait_is_in_many_scenarios(what: str, holds: Callable[[Scenario], bool]) -> None:
    assert sum(holds(scenario) for scenario in SCENARIOS) >= 8, what
