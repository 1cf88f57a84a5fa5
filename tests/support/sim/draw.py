"""From a seed to a scenario. Most runs are small and mixed; each kind of trouble is common enough to meet every other."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, get_args

from support.sim.hard import hardened
from support.sim.scenario import (
    FOREVER,
    Act,
    Crash,
    Freeze,
    FunctionPlan,
    How,
    Join,
    Jump,
    Limits,
    MappingPlan,
    Outage,
    Pause,
    Put,
    Reshard,
    Restart,
    Scenario,
    Start,
    Storm,
    StreamPlan,
)
from support.sim.shares import shared_out
from support.virtual import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.sim.weather import Service

HOWS: tuple[How, ...] = get_args(How)
STARTS: tuple[Start, ...] = ("TRIM_HORIZON", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
UNLIMITED = 1000
OUTAGES: Mapping[Service, float] = {"store": 0.4, "kinesis": 0.25, "sqs": 0.4}
"""How often each service has one."""
TWO_HOURS = 7200.0


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = Random(f"scenario {seed}")
    streams = tuple(
        StreamPlan(name=name, shards=chance.choice((1, 1, 2, 3, 4))) for name in ("a", "b")[: chance.choice((1, 1, 2))]
    )
    first = chance.choice((0.0, 0.5, 8.0))
    mappings = _mappings(chance, streams, first)
    span = chance.uniform(5.0, 40.0)
    lease = float(chance.choice((4, 6, 10, 15)))
    calm_at = span + chance.uniform(10.0, 30.0)
    outages = draw_outages(chance, calm_at)
    acts = draw_acts(chance, streams, Moments(chance, outages, first, calm_at))
    scenario = Scenario(
        seed=seed,
        streams=streams,
        mappings=mappings,
        functions=tuple(dict.fromkeys(mapping.function for mapping in mappings)),
        puts=_puts(chance, streams, mappings, (first, span)),
        acts=acts,
        outages=outages,
        storm=draw_storm(chance),
        limits=_limits(chance),
        calm_at=max([calm_at, *(outage.ends for outage in outages)]),
        lease=lease,
        drain=float(chance.choice((1, 5, 20))),
        concurrency=chance.choice((1, 2, 3, UNLIMITED, UNLIMITED)),
        reads_per_second=chance.choice((None, 5)),
        empty_every=chance.choice((0, 0, 3, 5)),
        late_end=chance.random() < 0.5,
    )
    return hardened(shared_out(scenario))


# --------------------------------------------------------------------------------------------------------------- configuration


def _mappings(chance: Random, streams: Sequence[StreamPlan], first: float) -> tuple[MappingPlan, ...]:
    """One to three. Two share a function only where they read different streams, so that an event tells its mapping."""
    mappings: list[MappingPlan] = []
    for index in range(chance.choice((1, 2, 2, 3))):
        stream = chance.choice(streams)
        shared = [
            other.function
            for other in mappings
            if all(each.stream != stream for each in mappings if each.function == other.function)
        ]
        function = chance.choice(shared) if shared and chance.random() < 0.6 else _function(chance, f"f{index}")
        mappings.append(_mapping(chance, (f"m{index}", first), stream, function))
    return tuple(mappings)


def _function(chance: Random, name: str) -> FunctionPlan:
    return FunctionPlan(
        name=name,
        concurrency=chance.choice((1, 2, 3, 4, UNLIMITED)),
        timeout=float(chance.choice((1, 2, 5))),
        usual=chance.choice((0.01, 0.1, 0.5, 2.0)),
    )


def _mapping(chance: Random, called: tuple[str, float], stream: StreamPlan, function: FunctionPlan) -> MappingPlan:
    """A mapping by its name; a time to begin at is no later than the first start of a process."""
    name, first = called
    start = chance.choice(STARTS)
    return MappingPlan(
        name=name,
        stream=stream,
        function=function,
        batch_size=chance.choice((1, 2, 3, 5, 10, 25, 100)),
        window=chance.choice((0, 0, 0, 1, 2, 5)),
        retries=chance.choice((FOREVER, 0, 1, 2, 3, 4)),
        age=chance.choice((FOREVER, FOREVER, 60, 60, 90, 150)),
        bisect=chance.random() < 0.4,
        reports=chance.random() < 0.5,
        destination=chance.random() < 0.7,
        start=start,
        timestamp=EPOCH + int(chance.uniform(-5.0, first) * 1000) / 1000 if start == "AT_TIMESTAMP" else None,
    )


def _limits(chance: Random) -> Limits:
    return Limits(
        read_limit=chance.choice((1000, 1000, 5, 20)),
        read_ahead=chance.choice((10_000, 10_000, 10, 40)),
        read_ahead_bytes=chance.choice((256 * 1024 * 1024, 256 * 1024 * 1024, 5_000, 40_000)),
        pending=chance.choice((10_000, 10_000, 1, 10)),
    )


# --------------------------------------------------------------------------------------------------------------------- records


def _puts(
    chance: Random, streams: Sequence[StreamPlan], mappings: Sequence[MappingPlan], during: tuple[float, float]
) -> tuple[Put, ...]:
    """Twenty to three hundred, more often few, over a few keys; many at once before the first start, or right at it, or never."""
    first, span = during
    count = int(10 ** chance.uniform(1.3, 2.48))
    keys = [f"k{index}" for index in range(chance.choice((2, 5, 20)))]
    moods = _Moods(chance, mappings)
    share, burst = chance.choice(((0.0, (0.0, 0.0)), (0.8, (0.0, 0.0)), (0.6, (first, first + 1.5))))
    times = sorted(chance.uniform(*(burst if chance.random() < share else (0.0, span))) for _ in range(count))
    return tuple(moods.put(at, number, chance.choice(streams), chance.choice(keys)) for number, at in enumerate(times))


class _Moods:
    """How records fail in this run: which of them, how often, and by which means."""

    def __init__(self, chance: Random, mappings: Sequence[MappingPlan]) -> None:
        self._chance = chance
        self._ending = {mapping.stream: True for mapping in mappings}
        for mapping in mappings:
            self._ending[mapping.stream] &= (mapping.retries, mapping.age) != (FOREVER, FOREVER)
        self._poison = chance.choice((0.0, 0.02, 0.05))
        self._flaky = chance.choice((0.0, 0.03, 0.1))
        self._slow = chance.choice((0.0, 0.0, 0.03))
        self._hows = chance.choice((HOWS, HOWS, ("report",), ("report", "raise"), ("raise", "timeout", "crash")))

    def put(self, at: float, number: int, stream: StreamPlan, key: str) -> Put:
        """A record. One that always fails goes only where somebody gives it up some day."""
        chance, dice = self._chance, self._chance.random()
        failures: int | None = 0
        if dice < self._poison:
            failures = None if self._ending.get(stream, False) else 3
        elif dice < self._poison + self._flaky:
            failures = chance.choice((1, 1, 2, 3, 5))
        slow = chance.uniform(0.5, 6.0) if chance.random() < self._slow else 0.0
        return Put(at=at, number=number, stream=stream, key=key, how=chance.choice(self._hows), failures=failures, slow=slow)


# ------------------------------------------------------------------------------------------------------------------ misfortunes


def draw_storm(chance: Random) -> Storm:
    """A quarter of the runs has no faulty calls at all, so that crashes and outages are also seen alone."""
    worst = chance.choice((0.0, 0.03, 0.08, 0.2))

    def rate(most: float = 1.0) -> float:
        return chance.choice((0.0, 1.0, 1.0)) * worst * most

    return Storm(
        latency=chance.choice((0.005, 0.05, 0.5)),
        refused=rate(),
        lost=rate(0.5),
        timeout=rate(0.2),
        late=rate(0.3),
        expired=rate(),
        stutter=rate(),
        refusal=rate(),
        failure=rate(0.5),
    )


def draw_outages(chance: Random, until: float, of: Mapping[Service, float] = OUTAGES) -> tuple[Outage, ...]:
    found: list[Outage] = []
    for service, odds in of.items():
        if chance.random() < odds:
            begins = chance.uniform(0.0, until * 0.8)
            ends = begins + chance.choice((5.0, 5.0, 15.0, 30.0, 60.0))
            found.append(Outage(service=service, begins=begins, ends=ends, hangs=chance.random() < 0.5))
    return tuple(found)


class Moments:
    """When things happen: at any time of the storm, and in outages more often than chance would have it."""

    def __init__(self, chance: Random, outages: Sequence[Outage], first: float, until: float) -> None:
        self._chance = chance
        self._outages = outages
        self.first = first
        self.until = until

    def draw(self) -> float:
        if self._outages and self._chance.random() < 0.3:
            outage = self._chance.choice(self._outages)
            return max(self.first, self._chance.uniform(outage.begins, outage.ends))
        return self._chance.uniform(self.first, self.until)


def draw_acts(chance: Random, streams: Sequence[StreamPlan], moments: Moments) -> tuple[Act, ...]:
    """At most three crashes and two drains, some a second owner; all before the calm, so that it shows what they left."""
    slots = (0, 1) if chance.random() < 0.4 else (0,)
    acts: list[Act] = [Join(at=moments.first, slot=0)]
    if len(slots) > 1:
        acts.append(Join(at=moments.first + chance.choice((0.0, 0.1, chance.uniform(0.0, 20.0))), slot=1))

    def some(most: int, odds: float) -> list[tuple[float, int]]:
        """When, and in which slot."""
        count = chance.randint(1, most) if chance.random() < odds else 0
        return [(moments.draw(), chance.choice(slots)) for _ in range(count)]

    for at, slot in some(3, 0.5):
        acts.append(Crash(at=at, slot=slot, away=chance.choice((0.0, 1.0, 8.0, 20.0)), loose=chance.random() < 0.5))
    for at, slot in some(2, 0.35):
        acts.append(Restart(at=at, slot=slot, away=chance.choice((0.0, 1.0, 8.0))))
    for at, slot in some(2, 0.7 if len(slots) > 1 else 0.1):
        acts.append(Pause(at=at, slot=slot, seconds=chance.uniform(3.0, 30.0)))
    for at, slot in some(2, 0.5 if len(slots) > 1 else 0.15):
        acts.append(Freeze(at=at, slot=slot, seconds=chance.choice((2.0, 8.0, 20.0)) * chance.uniform(0.5, 1.5)))
    for at, slot in some(2, 0.15):
        acts.append(Jump(at=at, slot=slot, seconds=chance.choice((-TWO_HOURS, TWO_HOURS))))
    for at, slot in some(2, 0.4) if streams else ():
        acts.append(Reshard(at=at, stream=chance.choice(streams), merge=chance.random() < 0.4, draw=chance.getrandbits(16)))
        if chance.random() < 0.4:  # while somebody works off the rest of what was closed
            acts.append(Restart(at=at + chance.uniform(0.3, 6.0), slot=slot, away=chance.choice((0.0, 1.0))))
    return tuple(sorted(acts, key=lambda act: act.at))
