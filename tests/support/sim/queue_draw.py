"""From a seed to a scenario with queues. Every fifth has streams as well, which share functions with the queues."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from poller.apis.memory_queues import QueueBehaviour
from support.sim.draw import HOWS, UNLIMITED, Moments, draw, draw_acts, draw_outages, draw_storm
from support.sim.queue_scenario import RECEIVE, BreakerPlan, QueueMappingPlan, QueuePlan, QueueStorm, Send
from support.sim.scenario import FunctionPlan, Join, Restart
from support.sim.shares import shared_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.sim.queue_scenario import OnFiltered
    from support.sim.scenario import Act, Scenario

FIRST_NUMBER = 100_000
"""Of a message: records have smaller numbers."""


def draw_queues(seed: int) -> Scenario:
    """The scenario of a seed, with queues."""
    chance = Random(f"{seed} queues")
    base = draw(seed)
    if chance.random() < 0.8:
        base = _without_streams(chance, base)
    queues = tuple(_queue(chance, f"q{index}") for index in range(chance.choice((1, 1, 2, 3))))
    mappings = tuple(_mapping(chance, f"p{queue.name[1]}", queue, base) for queue in queues)
    mappings = _shared(chance, mappings)
    span = base.calm_at - chance.uniform(5.0, 20.0)
    functions = dict.fromkeys((*base.functions, *(mapping.function for mapping in mappings)))
    scenario = replace(
        base,
        queues=queues,
        queue_mappings=mappings,
        functions=tuple(functions),
        sends=_sends(chance, mappings, max(5.0, span)),
        queue_habits=_habits(chance),
        queue_storm=_queue_storm(chance),
        drain=float(chance.choice((1, 1, 5, 25))),
    )
    return shared_out(_guarded(scenario))


def _guarded(scenario: Scenario) -> Scenario:
    """Some mappings have a circuit breaker, and some filters do not delete what they keep out. Drawn apart from all else."""
    chance = Random(f"guards {scenario.seed}")
    mappings = tuple(_on_filtered(chance, replace(each, breaker=_breaker(chance))) for each in scenario.queue_mappings)
    return replace(scenario, queue_mappings=mappings)


def _breaker(chance: Random) -> BreakerPlan | None:
    if chance.random() < 0.6:
        return None
    failures, error_rate = chance.choice(((1, None), (2, None), (3, None), (3, 0.5), (None, 0.4)))
    return BreakerPlan(failures=failures, error_rate=error_rate, batches=5, interval=chance.choice((1.0, 4.0, 15.0)))


def _on_filtered(chance: Random, mapping: QueueMappingPlan) -> QueueMappingPlan:
    """Nothing of a FIFO queue may be released; released at once it would come again without end."""
    modes: tuple[OnFiltered, ...] = ("delete", "destination")
    if not mapping.queue.fifo and mapping.release != "at_once":
        modes = ("release", "release", "release", *modes)
    mode, filtered = chance.choice(modes), mapping.filtered or chance.random() < 0.4
    destination = mapping.destination or (filtered and mode == "destination")
    return replace(mapping, filtered=filtered, on_filtered=mode, destination=destination)


def _without_streams(chance: Random, base: Scenario) -> Scenario:
    """The same length, other misfortunes: those of SQS, and of processes, of which there are more often two."""
    first = next(act.at for act in base.acts if isinstance(act, Join))
    calm_at = chance.uniform(20.0, 70.0)
    outages = draw_outages(chance, calm_at, {"sqs": 0.4, "destination": 0.6, "function": 0.3})
    return replace(
        base,
        streams=(),
        mappings=(),
        puts=(),
        functions=(),
        acts=_acts(chance, Moments(chance, outages, first, calm_at)),
        outages=outages,
        storm=draw_storm(chance),
        calm_at=max([calm_at, *(outage.ends for outage in outages)]),
        concurrency=chance.choice((1, 2, 3, UNLIMITED, UNLIMITED)),
    )


def _acts(chance: Random, moments: Moments) -> tuple[Act, ...]:
    """With more drains than where there are leases to be taken over."""
    acts = draw_acts(chance, (), moments)
    more = [Restart(at=moments.draw(), slot=0, away=chance.choice((0.0, 1.0))) for _ in range(chance.choice((0, 1, 1, 2)))]
    return tuple(sorted((*acts, *more), key=lambda act: act.at))


# --------------------------------------------------------------------------------------------------------------- configuration


def _queue(chance: Random, name: str) -> QueuePlan:
    return QueuePlan(
        name=name + chance.choice(("", "", ".fifo", ".fifo")),
        visibility=chance.choice((2, 5, 5, 10, 30)),
        redrive=chance.choice((None, None, None, None, 1, 2, 3, 5)),
    )


def _mapping(chance: Random, name: str, queue: QueuePlan, base: Scenario) -> QueueMappingPlan:
    """A mapping of the queue, with a function of its own."""
    window = 0 if queue.fifo else chance.choice((0, 0, 0, 1, 3))
    maximum = chance.choice((None, 1, 2, 3, 5))
    quiet, most_polls = chance.choice(((1, None), (1, None), (1, None), (2, None), (1, 1), (2, 3)))
    return QueueMappingPlan(
        name=name,
        queue=queue,
        function=_function(chance, f"g{name[1]}"),
        batch_size=chance.choice((1, 5, 10, 25, 25, 60) if window else (1, 2, 3, 5, RECEIVE, RECEIVE)),
        window=window,
        reports=chance.random() < 0.6,
        release=chance.choice(("backoff", "backoff", "at_once", "lapse")),
        guard=chance.random() < 0.8 or not queue.fifo,
        receive_wait=chance.choice((0, 1, 3, 20, 20)),
        maximum=maximum,
        destination=maximum is not None and chance.random() < 0.7,
        filtered=chance.random() < 0.25,
        at_once=None if most_polls else chance.choice((None, None, 1, 2, 5)),
        quiet=quiet,
        most_polls=most_polls,
    )


def _function(chance: Random, name: str) -> FunctionPlan:
    """Some take longer than messages are hidden."""
    return FunctionPlan(
        name=name,
        concurrency=chance.choice((1, 2, 3, 6, UNLIMITED)),
        timeout=float(chance.choice((1, 2, 5, 15, 40))),
        usual=chance.choice((0.01, 0.1, 0.5, 2.0, 6.0)),
    )


def _shared(chance: Random, mappings: tuple[QueueMappingPlan, ...]) -> tuple[QueueMappingPlan, ...]:
    """Sometimes all feed one function."""
    if chance.random() < 0.6:
        return mappings
    return tuple(replace(mapping, function=mappings[0].function) for mapping in mappings)


def _habits(chance: Random) -> QueueBehaviour:
    return QueueBehaviour(
        in_flight=chance.choice((120_000, 120_000, 120_000, 12)),
        duplicate_every=chance.choice((0, 0, 5, 20)),
        fewer_every=chance.choice((0, 2, 5)),
        fail_every=chance.choice((0, 0, 4, 11)),
    )


def _queue_storm(chance: Random) -> QueueStorm:
    return QueueStorm(
        unlucky=chance.choice((0, 2, 3, 8)),
        luck=chance.choice((0, 1, 1)),
        slow=chance.choice((0.0, 1.5, 4.0)),
    )


# -------------------------------------------------------------------------------------------------------------------- messages


def _sends(chance: Random, mappings: Sequence[QueueMappingPlan], span: float) -> tuple[Send, ...]:
    """Ten to two hundred over a few groups; many at once at the start, or never."""
    count = int(10 ** chance.uniform(1.0, 2.3))
    groups = [f"k{index}" for index in range(chance.choice((1, 3, 20)))]
    poison, flaky = chance.choice((0.0, 0.03, 0.12)), chance.choice((0.0, 0.05, 0.2))
    slow, unwanted = chance.choice((0.0, 0.05, 0.05)), chance.choice((0.1, 0.5))
    hows = chance.choice((HOWS, HOWS, ("report",), ("report", "raise"), ("raise", "timeout", "crash")))
    burst = chance.choice((0.0, 0.6, 0.9))
    times = sorted(0.0 if chance.random() < burst else chance.uniform(0.0, span) for _ in range(count))
    sends: list[Send] = []
    for number, at in enumerate(times):
        mapping, dice = chance.choice(mappings), chance.random()
        failures: int | None = 0
        if dice < poison:
            failures = 3 if mapping.maximum is None and mapping.queue.redrive is None else None
        elif dice < poison + flaky:
            failures = chance.choice((1, 1, 2, 3))
        send = Send(
            at=at,
            number=FIRST_NUMBER + number,
            queue=mapping.queue,
            group=chance.choice(groups) if mapping.queue.fifo else "",
            wanted=chance.random() >= unwanted,
            marked=chance.random() < 0.3,
            how=chance.choice(hows),
            failures=failures,
            slow=chance.uniform(0.5, 30.0) if chance.random() < slow else 0.0,
        )
        sends.append(send)
    return tuple(sends)
