"""Who of a scenario has a right to run before others: reservations of functions, priorities of mappings."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.sim.books import Call
    from support.sim.queue_books import QueueCall
    from support.sim.scenario import FunctionPlan, Scenario


def shared_out(scenario: Scenario) -> Scenario:
    """Some functions reserve a part of the process, with one permit left for the others; some mappings go before others."""
    chance = Random(f"shares {scenario.seed}")
    left = scenario.concurrency - 1
    plans: dict[str, FunctionPlan] = {}
    for function in scenario.functions:
        reserved = chance.randint(1, min(3, left)) if left and chance.random() < 0.3 else None
        left -= reserved or 0
        most = function.concurrency if reserved is None else min(function.concurrency, reserved)
        plans[function.name] = replace(function, reserved=reserved, concurrency=most)
    priorities = (0, 1, -7) if chance.random() < 0.3 else (0,)
    return replace(
        scenario,
        functions=tuple(plans.values()),
        mappings=tuple(
            replace(_, function=plans[_.function.name], priority=chance.choice(priorities)) for _ in scenario.mappings
        ),
        queue_mappings=tuple(
            replace(_, function=plans[_.function.name], priority=chance.choice(priorities)) for _ in scenario.queue_mappings
        ),
    )


def has_room(scenario: Scenario, running: Sequence[Call | QueueCall], function: FunctionPlan) -> bool:
    """Whether a process that runs these may run one more of the function."""
    if len(running) >= scenario.concurrency or sum(call.function == function for call in running) >= function.concurrency:
        return False
    unreserved = scenario.concurrency - sum(each.reserved or 0 for each in scenario.functions)
    return function.reserved is not None or sum(call.function.reserved is None for call in running) < unreserved
