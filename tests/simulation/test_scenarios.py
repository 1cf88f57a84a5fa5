"""The scenarios that every change meets: a trouble that none of them holds would be a trouble that nothing shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.sim.draw import draw
from support.sim.scenario import Crash, Freeze, Join, Jump, Pause, Reshard, Restart

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.sim.scenario import MappingPlan, Scenario

SCENARIOS = [draw(seed) for seed in range(100)]


def some(what: Callable[[MappingPlan], bool]) -> Callable[[Scenario], bool]:
    """Whether one of its mappings is like that."""
    return lambda scenario: any(what(plan) for plan in scenario.mappings)


def at_once(scenario: Scenario) -> list[float]:
    """When several shards are split or merged in one moment."""
    moments = Counter(act.at for act in scenario.acts if isinstance(act, Reshard))
    return [at for at, count in moments.items() if count > 1]


def test_a_scenario_is_drawn_from_its_seed_alone() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def test_every_kind_of_act_happens_in_many_scenarios() -> None:
    acts = Counter(kind for scenario in SCENARIOS for kind in {type(act) for act in scenario.acts})
    assert acts[Join] == 100
    assert all(acts[kind] >= 10 for kind in (Crash, Freeze, Jump, Pause, Reshard, Restart)), acts


def test_every_service_fails_in_many_scenarios() -> None:
    outages = Counter(service for scenario in SCENARIOS for service in {outage.service for outage in scenario.outages})
    assert all(outages[service] >= 10 for service in ("store", "kinesis", "sqs")), outages


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ("two owners", lambda scenario: sum(isinstance(act, Join) for act in scenario.acts) == 2),
        ("no faulty call", lambda scenario: scenario.storm.refused == scenario.storm.lost == scenario.storm.late == 0),
        ("lost answers", lambda scenario: scenario.storm.lost > 0),
        ("late effects", lambda scenario: scenario.storm.late > 0),
        ("expired iterators", lambda scenario: scenario.storm.expired > 0),
        ("repeated records", lambda scenario: scenario.storm.stutter > 0),
        ("refusals", lambda scenario: scenario.storm.refusal > 0),
        ("an outage longer than the lease", lambda scenario: any(o.ends - o.begins > scenario.lease for o in scenario.outages)),
        ("poison", lambda scenario: any(put.failures is None for put in scenario.puts)),
        ("a record that heals", lambda scenario: any(put.failures for put in scenario.puts)),
        ("TRIM_HORIZON", some(lambda plan: plan.start == "TRIM_HORIZON")),
        ("LATEST", some(lambda plan: plan.start == "LATEST")),
        ("AT_TIMESTAMP", some(lambda plan: plan.start == "AT_TIMESTAMP")),
        ("retries for ever", some(lambda plan: plan.retries < 0)),
        ("no retries", some(lambda plan: plan.retries == 0)),
        ("ages", some(lambda plan: plan.age > 0)),
        ("bisect", some(lambda plan: plan.bisect)),
        ("partial answers", some(lambda plan: plan.reports)),
        ("no destination", some(lambda plan: not plan.destination)),
        ("a window", some(lambda plan: plan.window > 0)),
        ("fewer permits than shards", some(lambda plan: plan.function.concurrency < plan.stream.shards)),
        ("one permit for all", lambda scenario: scenario.concurrency == 1),
        ("a reservation", some(lambda plan: plan.function.reserved is not None)),
        ("priorities", lambda scenario: len({plan.priority for plan in scenario.mappings}) > 1),
        ("a small read-ahead", lambda scenario: scenario.limits.read_ahead < 100),
        ("lanes", some(lambda plan: plan.factor > 1)),
        ("ten lanes", some(lambda plan: plan.factor == 10)),
        ("lanes that are split", some(lambda plan: plan.factor > 1 and plan.bisect)),
        ("lanes that are told which records failed", some(lambda plan: plan.factor > 1 and plan.reports)),
        ("the stream of a table", some(lambda plan: plan.stream.table)),
        ("tumbling windows", some(lambda plan: plan.tumbling > 0)),
        ("tumbling windows whose batches are split", some(lambda plan: plan.tumbling > 0 and plan.bisect)),
        ("tumbling windows whose records are given up", some(lambda plan: plan.tumbling > 0 and plan.ends)),
        ("lists of shards that are out of date", lambda scenario: scenario.stale_lists > 0),
        ("shards that are split or merged at one moment", lambda scenario: bool(at_once(scenario))),
        ("a shard that is split or merged while nobody runs", lambda scenario: any(map(scenario.nobody_at, at_once(scenario)))),
    ],
)
def test_every_trait_is_in_many_scenarios(what: str, holds: Callable[[Scenario], bool]) -> None:
    assert sum(holds(scenario) for scenario in SCENARIOS) >= 10, what
