"""The circuit breaker of a mapping: after too many failed batches nothing is received until one batch shows that all is well.

Its three states are those of the pattern: closed (all goes on), open (nothing is received), half-open (one batch is a probe).
Lambda has none: there a function that fails uses up the receives of the whole queue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from poller.core.model import Accepted, Failed, Partial, Refused

if TYPE_CHECKING:
    from poller.core.model import Attempt, Outcome

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """When it opens, and for how long.

    Attributes:
        failures: failed batches in a row; None: their number does not matter.
        error_rate: part of the last `batches` that failed, from 0 to 1; None: it does not matter.
        batches: over which the error rate is taken; before there have been so many it is not.
        probe_interval: seconds from its opening, or from a probe that failed, to the next probe.
    """

    failures: int | None = 5
    error_rate: float | None = None
    batches: int = 20
    probe_interval: float = 30.0


class Breaker:
    """Whether more may be received. Time is the steady clock's."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._in_a_row = 0
        self._last: deque[bool] = deque(maxlen=limits.batches)
        self._opened_at = 0.0
        self.state: BreakerState = "closed"

    def patience(self, now: float) -> float:
        """Seconds until a receive may start: 0 while it is closed, and for the probe; without end while a probe is out."""
        match self.state:
            case "closed":
                return 0.0
            case "open":
                return max(0.0, self._opened_at + self._limits.probe_interval - now)
            case "half_open":
                return float("inf")
        assert_never(self.state)

    def probe(self) -> None:
        """It was open for long enough: who asks now receives the batch that decides. Nobody else, until `judge` or `abandon`."""
        self.state = "half_open"

    def abandon(self) -> None:
        """The probe has come to nothing: its slot ended before its batch was judged. Another may try at once."""
        if self.state == "half_open":
            self.state = "open"

    def judge(self, attempt: Attempt, outcome: Outcome, now: float, *, probe: bool = False) -> None:
        """A batch has come back. While it is open only the probe's counts: others were received before."""
        failed = failure(attempt, outcome)
        if failed is None:
            return
        if self.state == "closed":
            self._count(failed=failed, now=now)
        elif probe and failed:
            self._open(now)
        elif probe:
            self._close()

    def _count(self, *, failed: bool, now: float) -> None:
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._last.append(failed)
        if self._too_many_in_a_row() or self._too_many_of_the_last():
            self._open(now)

    def _too_many_in_a_row(self) -> bool:
        return self._limits.failures is not None and self._in_a_row >= self._limits.failures

    def _too_many_of_the_last(self) -> bool:
        rate, count = self._limits.error_rate, self._limits.batches
        return rate is not None and len(self._last) == count and sum(self._last) >= rate * count and any(self._last)

    def _open(self, now: float) -> None:
        self.state, self._opened_at = "open", now

    def _close(self) -> None:
        self.state, self._in_a_row = "closed", 0
        self._last.clear()


def failure(attempt: Attempt, outcome: Outcome) -> bool | None:
    """Whether a batch counts as failed: as a whole, or in all its messages. None: nobody has run it, so it says nothing."""
    match outcome:
        case Accepted():
            return False
        case Failed():
            return True
        case Partial(failed):
            return all(record.id in failed for record in attempt.records)
        case Refused():
            return None
    assert_never(outcome)
