"""Plays a scenario: the storm, in which nothing may ever be wrong, and the calm, in which everything has to be worked off."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, NoReturn
from unittest.mock import patch

import structlog

from poller import checkpointer, compose, daemon
from poller.core import windows
from poller.sources import dynamodb, kinesis
from support.sim.closing import check_outcome, unread
from support.sim.draw import draw
from support.sim.dry import left_dry
from support.sim.figures import check_ages, check_figures, iterator_ages
from support.sim.journal import Trace, Violation
from support.sim.process import Process
from support.sim.queue_closing import check_drained, check_messages, waiting
from support.sim.queue_draw import draw_queues
from support.sim.queue_scenario import Send
from support.sim.scenario import Crash, Freeze, Join, Jump, Pause, Put, Reshard, Restart
from support.sim.surroundings import Surroundings
from support.sim.weather import PATIENCE
from support.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from support.sim.ledger import Ledger
    from support.sim.scenario import Act, Limits, Scenario

COMMAND = "PYTHONPATH=tests .venv/bin/python -m support.sim --trace"
LOOK = 0.5
"""Seconds between two looks at whether everything is done."""

AGE_LOOK = 2.3
"""Seconds between two looks at the iterator ages."""

AGE_SETTLES = 40.0
"""Seconds in which every iterator age is 0 once everything is done: the longest pause after failed reads is 30."""

LOST = 20.0
"""Seconds of calm after which nobody seems to hold a lease that he has lost before: longer than any lease."""

SILENCE = 20.0
"""Seconds after which a window is over whose source does not say how far it is read: two minutes would make long runs."""

STEADY = 3.0
"""Seconds after which a shard whose lease was lost is held again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A run in which nothing was wrong: its trace's digest, and the virtual seconds that the calm took to work everything off."""

    digest: str
    calm: float


def run(seed: int, trace: Trace | None = None, *, queues: bool = False, logs: bool = False) -> Played:
    """Plays the scenario of a seed, of streams or with `queues`. Raises `Violation`.

    With `logs` the trace has the daemon's log between its lines.
    """
    trace, scenario = trace or Trace(), draw_queues(seed) if queues else draw(seed)
    try:
        calm = run_virtually(_supervised(scenario, trace, logs=logs), Random(f"loop {seed}"))
    except Exception as error:
        lines = "\n".join(trace.lines)
        again = f"{COMMAND}{' --queues' if queues else ''} --seeds {seed}"
        raise Violation(f"seed {seed}: {error}\n\n{lines}\n\nAgain, in full: {again}") from error
    return Played(digest=trace.digest, calm=calm)


async def _supervised(scenario: Scenario, trace: Trace, *, logs: bool) -> float:
    """The run, until it is over or the ledger finds something wrong; then nothing is left."""
    play = Play(scenario, trace)
    with _limits(scenario.limits), _logging(play.ledger, logs=logs):
        playing = asyncio.get_running_loop().create_task(play.run())
        play.ledger.broken.add_done_callback(lambda _: playing.cancel())
        await asyncio.wait([playing])
        await play.end()
    if play.ledger.broken.done():
        raise Violation(play.ledger.broken.result())
    return playing.result()


class Play:
    """A run under way: the surroundings, and who lives in them."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self._scenario = scenario
        self._around = Surroundings(scenario, trace)
        self._living: dict[int, Process] = {}
        self._born = 0
        self._loop = asyncio.get_running_loop()
        self.ledger = self._around.ledger

    async def run(self) -> float:
        """Storm, calm, and the end. Returns how long the calm took."""
        async with asyncio.TaskGroup() as acts:
            acts.create_task(self._watch_ages())
            for act in sorted((*self._scenario.puts, *self._scenario.acts, *self._scenario.sends), key=lambda act: act.at):
                await asyncio.sleep(max(0.0, act.at - self._loop.time()))
                self._perform(act, acts)
        await asyncio.sleep(max(0.0, self._scenario.calm_at - self._loop.time()))
        began = self._loop.time()
        self._calm_down()
        await asyncio.sleep(PATIENCE)  # the last calls that hang
        await self._work_off()
        took = self._loop.time() - began
        await self._ages_settle()
        await self._close()
        return took

    async def end(self) -> None:
        """Whoever lives dies, and nothing is under way any more."""
        for process in self.ledger.processes.values():
            if not process.task.done():
                await process.crash(loose=False)
        await self._around.end()

    async def _watch_ages(self) -> None:
        """Looks at the iterator ages now and then, until the calm."""
        while self._loop.time() < self._scenario.calm_at:
            for process in self._living.values():
                check_ages(process)
                if self._scenario.leases_last and (starved := left_dry(process)):
                    self._fail(f"nobody reads on for lanes that have nothing to do: {starved}")
            await asyncio.sleep(AGE_LOOK)

    # --------------------------------------------------------------------------------------------------------------- acts

    def _perform(self, act: Act | Put | Send, acts: asyncio.TaskGroup) -> None:
        match act:
            case Put():
                self._around.put(act)
            case Send():
                self._around.send(act)
            case Reshard():
                self._around.reshard(act)
            case Join(slot=slot):
                self._start(slot)
            case Crash(slot=slot) | Restart(slot=slot):
                if process := self._living.pop(slot, None):
                    acts.create_task(self._away(act, process))
            case _:
                if process := self._living.get(act.slot):
                    self._disturb(process, act, acts)

    def _disturb(self, process: Process, act: Pause | Freeze | Jump, acts: asyncio.TaskGroup) -> None:
        """Until the calm at the longest."""
        left = self._scenario.calm_at - self._loop.time()
        match act:
            case Pause(seconds=seconds):
                self._around.weather.paused_until[process.name] = self._loop.time() + min(seconds, left)
                self.ledger.trace.note(f"the store of {process.name} is paused for {seconds:.1f} s")
            case Freeze(seconds=seconds):
                acts.create_task(process.freeze(min(seconds, left)))
            case Jump(seconds=seconds):
                process.clock.jump(seconds)
                self.ledger.trace.note(f"the clock of {process.name} jumps by {seconds:.0f} s")

    def _start(self, slot: int) -> None:
        self._born += 1
        self._living[slot] = Process(f"{'ab'[slot]}{self._born}", self._around)

    async def _away(self, act: Crash | Restart, process: Process) -> None:
        if isinstance(act, Crash):
            await process.crash(loose=act.loose)
        else:
            await self._stop(process)
        await asyncio.sleep(act.away)
        if act.slot not in self._living:
            self._start(act.slot)

    async def _stop(self, process: Process) -> None:
        await process.stop()
        check_figures(self._scenario, process)
        if process.alive:
            check_drained(self._scenario, process)

    # --------------------------------------------------------------------------------------------------------------- calm

    def _calm_down(self) -> None:
        self.ledger.trace.note("calm")
        self._around.calm_down()
        for process in self._living.values():
            process.clock.right()

    async def _work_off(self) -> None:
        """Until everything is done and every shard has its reader."""
        until, steady = self._loop.time() + patience(self._scenario), self._loop.time() + LOST
        while not (self._done() and not self._orphans()):
            await asyncio.sleep(LOOK)
            if self._loop.time() > steady and (starved := [each for _ in self._living.values() for each in left_dry(_)]):
                self._fail(f"nobody reads on for lanes that have nothing to do: {starved}")
            if self._loop.time() > until:
                left = [f"{line} {line.reached}/{len(line.book.entries)}" for line in self.ledger.lines() if not line.done]
                left += waiting(self.ledger)
                self._fail(
                    f"in {patience(self._scenario):.0f} s of calm not everything was worked off: {left}, {self._orphans()}"
                )

    def _done(self) -> bool:
        return all(line.done for line in self.ledger.lines()) and not waiting(self.ledger)

    def _orphans(self) -> list[str]:
        return unread(self.ledger, self._around.contents, list(self._living.values()))

    async def _ages_settle(self) -> None:
        until = self._loop.time() + AGE_SETTLES
        while ages := self._ages():
            await asyncio.sleep(1.0)
            if self._loop.time() > until:
                self._fail(f"everything is done, and iterator ages are {ages}")
        await asyncio.sleep(STEADY)

    def _ages(self) -> list[float]:
        """All that are not 0."""
        return [age for process in self._living.values() for age in iterator_ages(process).values() if age]

    async def _close(self) -> None:
        """Everybody drains; what is left is looked at."""
        for process in tuple(self._living.values()):
            await self._stop(process)
        self._living.clear()
        check_outcome(self.ledger, self._around.contents, self._around.queues[1])
        check_messages(self.ledger, self._around.queues[1])

    def _fail(self, what: str) -> NoReturn:
        self.ledger.fail(what)
        raise asyncio.CancelledError


def patience(scenario: Scenario) -> float:
    """Seconds of calm in which everything must be done: back-offs and leases run out, poison is given up, old records expire."""
    worst = 0.0
    for plan in scenario.mappings:
        failing = sum(put.failures != 0 for put in scenario.puts if put.stream == plan.stream)
        tries = 1 + (plan.retries if plan.retries >= 0 else 8)
        old = plan.age + 80.0 if plan.age >= 0 else 0.0
        slow = sum(put.slow for put in scenario.puts if put.stream == plan.stream)
        worst += old + failing * tries * (plan.function.timeout + 4.0) + slow * tries + len(scenario.puts) * plan.function.usual
    return 240.0 + min(worst, 2000.0) + queue_patience(scenario)


def queue_patience(scenario: Scenario) -> float:
    """The same for queues: what failed, or got lost, comes back when it is not hidden any more, often one after the other."""
    worst = 0.0
    for plan in scenario.queue_mappings:
        sends = [send for send in scenario.sends if send.queue == plan.queue]
        tries = 2 + (plan.maximum or plan.queue.redrive or 6)
        hidden = max(float(plan.hides), 60.0 if plan.release == "backoff" else 0.0)
        failing = sum(send.failures != 0 for send in sends)
        closed = plan.breaker.interval if plan.breaker is not None else 0.0
        worst += 4 * hidden + failing * tries * (hidden + plan.function.timeout + closed)
        worst += sum(plan.function.usual + send.slow for send in sends) * tries
    return min(worst, 6000.0)


# -------------------------------------------------------------------------------------------------------------- the process-wide


@contextmanager
def _limits(limits: Limits) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(patch.object(kinesis, "READ_LIMIT", limits.read_limit))
        stack.enter_context(patch.object(dynamodb, "READ_LIMIT", min(1000, limits.read_limit)))
        stack.enter_context(patch.object(compose, "READ_AHEAD_RECORDS", limits.read_ahead))
        stack.enter_context(patch.object(compose, "SOON_RECORDS", limits.soon))
        stack.enter_context(patch.object(windows, "SILENCE", SILENCE))
        stack.enter_context(patch.object(daemon, "READ_AHEAD_BYTES", limits.read_ahead_bytes))
        stack.enter_context(patch.object(checkpointer, "MAX_PENDING", limits.pending))
        yield


@contextmanager
def _logging(ledger: Ledger, *, logs: bool) -> Iterator[None]:
    """Logs are read for one event, a crash of what is supervised: everything that the world does is foreseen, so it is a bug."""

    def read(_: object, level: str, event: MutableMapping[str, object]) -> NoReturn:
        name = event.pop("event", "")
        if name == "crashed":
            ledger.fail(f"the daemon's own code crashed: {event.get('what')}: {event.get('error')}")
        ledger.trace.aside(f"{level} {name} {' '.join(f'{key}={value}' for key, value in event.items())}")
        raise structlog.DropEvent

    before = structlog.get_config()
    wrapper = structlog.make_filtering_bound_logger("debug" if logs else "error")
    structlog.configure(processors=[read], wrapper_class=wrapper, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
