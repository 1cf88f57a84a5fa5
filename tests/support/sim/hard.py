"""The hard half of streams, added to a scenario: lanes, windows, tables, and shards that are split and merged at bad moments.

It is drawn by a chance of its own, so that a scenario without any of it stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from support.sim.scenario import FOREVER, Crash, Freeze, Pause, Reshard, Restart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.sim.scenario import Act, MappingPlan, Scenario, Start, StreamPlan

FACTORS = (1, 1, 1, 1, 2, 3, 10)
STUCK = 0.06
"""How many scenarios are of one lane that is stuck."""

TABLES = 0.2
"""How many scenarios read the stream of a table."""

WINDOWS = (*(0,) * 10, 1, 3, 10, 30)
"""Seconds of tumbling windows."""


def hardened(scenario: Scenario) -> Scenario:
    """The same with some of it."""
    chance = Random(f"hard {scenario.seed}")
    mappings = tuple(_mapping(plan, chance) for plan in scenario.mappings)
    acts = sorted((*scenario.acts, *_reshards(scenario, chance)), key=lambda act: act.at)
    stale = chance.choice((0.0, 0.0, 2.0, 20.0, 90.0))
    if chance.random() < TABLES and scenario.streams:
        scenario, mappings, acts = _of_table(scenario, mappings, acts)
    limits = replace(scenario.limits, soon=chance.choice((500, 3, 10)))
    hard = replace(scenario, mappings=mappings, acts=tuple(acts), stale_lists=stale, limits=limits)
    return _stuck(hard) if Random(f"stuck {scenario.seed}").random() < STUCK else hard


def _stuck(scenario: Scenario) -> Scenario:
    """One lane is stuck for a minute, there is much to do for the others, and nothing else goes wrong."""
    chance, plan = Random(f"lanes {scenario.seed}"), scenario.mappings[0]
    first = next((put for put in scenario.puts if put.stream == plan.stream), None)
    lanes = replace(plan, factor=chance.choice((3, 10)), tumbling=0, batch_size=chance.choice((1, 2)), window=0)
    lanes = replace(lanes, retries=8, age=FOREVER, destination=True)
    return replace(
        scenario,
        mappings=(lanes, *scenario.mappings[1:]),
        puts=tuple(replace(put, how="raise", failures=7) if put is first else put for put in scenario.puts),
        acts=tuple(act for act in scenario.acts if not isinstance(act, Pause | Freeze)),
        storm=replace(scenario.storm, refused=0.0, lost=0.0, timeout=0.0, late=0.0, expired=0.0),
        outages=(),
        limits=replace(scenario.limits, read_limit=5, read_ahead=10_000, read_ahead_bytes=2**28, soon=3),
    )


def _of_table(
    scenario: Scenario, mappings: tuple[MappingPlan, ...], acts: list[Act]
) -> tuple[Scenario, tuple[MappingPlan, ...], list[Act]]:
    """The first stream is a DynamoDB table's. It knows no iterator for a time."""
    before = scenario.streams[0]
    table = replace(before, table=True, shards=min(2, before.shards))  # which are read four times a second
    streams = (table, *scenario.streams[1:])
    puts = tuple(replace(put, stream=table) if put.stream == before else put for put in scenario.puts)
    read = tuple(_from_table(plan, table) if plan.stream == before else plan for plan in mappings)
    changed = [replace(act, stream=table) if isinstance(act, Reshard) and act.stream == before else act for act in acts]
    return replace(scenario, streams=streams, puts=puts), read, changed


def _from_table(plan: MappingPlan, table: StreamPlan) -> MappingPlan:
    start: Start = "TRIM_HORIZON" if plan.start == "AT_TIMESTAMP" else plan.start
    return replace(plan, stream=table, start=start, timestamp=None)


def _mapping(plan: MappingPlan, chance: Random) -> MappingPlan:
    """Windows go with one lane only."""
    factor, tumbling = chance.choice(FACTORS), chance.choice(WINDOWS)
    return replace(plan, factor=1 if tumbling else factor, tumbling=tumbling)


def _reshards(scenario: Scenario, chance: Random) -> Iterator[Act]:
    """Several at one moment, of one generation or of the next at once; also while a process is away."""
    if not scenario.streams or chance.random() < 0.7:
        return
    away = [act.at + act.away / 2 for act in scenario.acts if isinstance(act, Crash | Restart)]
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.choice(away) if away and chance.random() < 0.5 else chance.uniform(0.0, scenario.calm_at)
        stream = chance.choice(scenario.streams)
        for _ in range(chance.choice((2, 2, 3, 5))):
            yield Reshard(at=at, stream=stream, merge=chance.random() < 0.5, draw=chance.getrandbits(16))
