"""A virtual-clock event loop: time passes only when everybody waits, and then at once.

asyncio's order of ready callbacks is kept, as is its code; only `time()` and the waiting of the selector are replaced. Threads and
processes are refused: what they do could not be told again from a seed.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""Unix time at which virtual time begins."""


class DeadlockError(RuntimeError):
    """Everybody waits, and nobody for time."""


class _TimeSelector(selectors.SelectSelector):
    """Instead of waiting, lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("every task waits for something that no timer will bring")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that is its own `Clock`."""

    def __init__(self) -> None:
        self._virtual = _TimeSelector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(self, *_: object) -> NoReturn:
        raise RuntimeError("no threads under a virtual clock")

    def call_soon_threadsafe(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError("no threads under a virtual clock")


class VirtualClock:
    """The `Clock` of the running virtual loop. `jump` moves the wall clock alone, as an operator or NTP may."""

    def __init__(self) -> None:
        self.skew = EPOCH

    def time(self) -> float:
        return self.monotonic() + self.skew

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def jump(self, seconds: float) -> None:
        self.skew += seconds


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end on a loop of its own; a task that failed and that nobody awaited fails the run."""
    loop = VirtualLoop()
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
