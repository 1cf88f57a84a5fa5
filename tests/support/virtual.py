"""A virtual-clock event loop: time passes only when everybody waits, and then at once.

asyncio's order of ready callbacks is kept, as is its code; only `time()` and the waiting of the selector are replaced. Threads
and processes are refused: what they do could not be told again from a seed. For the same reason tasks are numbered: sets of
them, as `TaskGroup` keeps, would else be gone through in the order of their addresses.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from random import Random

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = 1_700_000_000.0
"""Unix time at which virtual time begins."""

RESOLUTION = 1e-6
"""Timers that are due within so many seconds of each other are due at once."""

HOT_LOOP = 100_000
"""Turns of the loop without any time passing that no honest program makes."""


class DeadlockError(RuntimeError):
    """Everybody waits, and nobody for time."""


class HotLoopError(RuntimeError):
    """Somebody works on and on, and never waits for time."""


class _TimeSelector(selectors.SelectSelector):
    """Instead of waiting, lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("every task waits for something that no timer will bring")
        if timeout > 0:
            self.now += timeout
            self._turns = 0
            return []
        self._turns += 1
        if self._turns > HOT_LOOP:
            raise HotLoopError(f"{HOT_LOOP} turns of the loop, and it is still {self.now}")
        return []


class Freezer:
    """Whatever was started `inside` stands still while it is frozen, as a process does that the system has stopped.

    Time goes on meanwhile, and what became due is made up for at the thaw, in the order in which it became due.
    """

    def __init__(self) -> None:
        self.frozen = False
        self._due: list[asyncio.Handle] = []

    def inside(self) -> Context:
        """A context for tasks that this can freeze, with all that they start."""
        context = copy_context()
        context.run(_FREEZER.set, self)
        return context

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        due, self._due = self._due, []
        for handle in due:
            handle._loop._ready.append(handle)  # type: ignore[attr-defined]

    def keeps(self, handle: asyncio.Handle) -> bool:
        """Whether the handle has to wait for the thaw."""
        if self.frozen:
            self._due.append(handle)
        return self.frozen


_FREEZER: ContextVar[Freezer | None] = ContextVar("freezer", default=None)


class _Handle(asyncio.Handle):
    def _run(self) -> None:
        freezer = self._context.get(_FREEZER)  # type: ignore[attr-defined]
        if freezer is None or not freezer.keeps(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    def _run(self) -> None:
        freezer = self._context.get(_FREEZER)  # type: ignore[attr-defined]
        if freezer is None or not freezer.keeps(self):
            super()._run()


class _NumberedTask(asyncio.Task[Any]):
    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        self._number = number  # the constructor below needs it
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that is its own `Clock`. With `chance`, timers that are due at once fire in an order that it draws."""

    def __init__(self, chance: Random | None = None) -> None:
        self._virtual = _TimeSelector()
        self._chance = chance
        self._tasks_made = 0
        super().__init__(self._virtual)
        self._clock_resolution = RESOLUTION
        self.set_task_factory(self._numbered)

    def time(self) -> float:
        return self._virtual.now

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        late = 0.0 if self._chance is None else self._chance.random() * RESOLUTION
        timer = _TimerHandle(when + late, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _call_soon(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def run_in_executor(self, *_: object) -> NoReturn:
        raise RuntimeError("no threads under a virtual clock")

    def call_soon_threadsafe(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("no threads under a virtual clock")

    def _numbered(self, _: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _NumberedTask:
        self._tasks_made += 1
        return _NumberedTask(self._tasks_made, coro, loop=self, **options)


class VirtualClock:
    """The `Clock` of the running virtual loop. `jump` moves the wall clock alone, as an operator or NTP may.

    Attributes:
        skew: Unix time less the loop's time.
    """

    def __init__(self) -> None:
        self.skew = EPOCH

    def time(self) -> float:
        return self.monotonic() + self.skew

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def jump(self, seconds: float) -> None:
        self.skew += seconds


def run_virtually(main: Coroutine[Any, Any, T], chance: Random | None = None) -> T:
    """Runs it to its end on a loop of its own; a task that failed and that nobody awaited fails the run."""
    loop = VirtualLoop(chance)
    unheard: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    try:
        result = loop.run_until_complete(main)
        leftovers = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not leftovers, f"tasks left behind: {leftovers}"
        assert not unheard, unheard
        return result
    finally:
        loop.close()
