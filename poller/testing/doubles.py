"""What an executor is given besides its function, made for tests: a clock that is set by hand, and events that are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from poller.ports import WorkerCount

if TYPE_CHECKING:
    from collections.abc import Callable

    from poller.ports import WorkerEnd

__all__ = ["Line", "RecordedEvents", "SetClock"]


class SetClock:
    """A `poller.ports.Clock` that stands still until it is told to go on.

    It serves what an executor computes; waits of the event loop go by the loop's own time. `poller.clock.SystemClock` is the real
    one.
    """

    def __init__(self, time: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._time = time
        self._monotonic = monotonic

    def time(self) -> float:
        """Unix seconds."""
        return self._time

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """So much time passes."""
        self._time += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock, by so much, forwards or (negative) back; no time passes."""
        self._time += seconds


class Line(NamedTuple):
    """A line that the function printed; `request_id` None outside of any invocation."""

    text: str
    stream: Literal["stdout", "stderr"]
    request_id: str | None


@dataclass(slots=True)
class RecordedEvents:
    """A `poller.ports.WorkerEvents` that keeps what it is told, in order.

    Attributes:
        lines: what the function printed.
        initialisations: seconds that each worker took to be ready.
        not_ready: why workers did not become ready.
        endings: why workers ended, or were ended.
        pauses: after how many failures in a row none is started for how many seconds.
        count: how many workers there are now; none where the executor has none.
    """

    lines: list[Line] = field(default_factory=list)
    initialisations: list[float] = field(default_factory=list)
    not_ready: list[Literal["failed", "refused"]] = field(default_factory=list)
    endings: list[WorkerEnd] = field(default_factory=list)
    pauses: list[tuple[int, float]] = field(default_factory=list)
    count: Callable[[], WorkerCount] = WorkerCount

    def output(self, line: str, *, stream: Literal["stdout", "stderr"], request_id: str | None) -> None:
        """See `WorkerEvents.output`."""
        self.lines.append(Line(line, stream, request_id))

    def initialised(self, seconds: float) -> None:
        """See `WorkerEvents.initialised`."""
        self.initialisations.append(seconds)

    def not_initialised(self, why: Literal["failed", "refused"]) -> None:
        """See `WorkerEvents.not_initialised`."""
        self.not_ready.append(why)

    def ended(self, reason: WorkerEnd) -> None:
        """See `WorkerEvents.ended`."""
        self.endings.append(reason)

    def backing_off(self, failures: int, seconds: float) -> None:
        """See `WorkerEvents.backing_off`."""
        self.pauses.append((failures, seconds))

    def workers(self, count: Callable[[], WorkerCount]) -> None:
        """See `WorkerEvents.workers`."""
        self.count = count

    def printed(self, request_id: str | None) -> list[str]:
        """The lines of one invocation, or of none."""
        return [line.text for line in self.lines if line.request_id == request_id]
