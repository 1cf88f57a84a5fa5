"""A mapping's observer that can also be asked how the mapping stands: for `/status`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poller.core.model import Accepted
from poller.errors import Unavailable
from poller.observe.mapping import MappingObserver
from poller.observe.outcomes import outcome_fields
from poller.observe.redact import without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poller.core.breaker import BreakerState
    from poller.core.model import Answer, Attempt, Outcome
    from poller.errors import PollerError
    from poller.observe.mapping import MappingFacts
    from poller.observe.metrics import Metrics
    from poller.observe.queues import InHand
    from poller.observe.shards import ShardStatus
    from poller.ports import Clock, QueueDescription

LONGEST = 300
"""Characters of an error, at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong last, and for how long the same has been going wrong.

    Attributes:
        what: the part of the mapping: `poll`, `function`, `destination`, a shard, ...
        kind: of the failure, in a word: `timeout`, `throttled`, ...
        text: in one line, without passwords.
        first, last: Unix seconds.
        times: how often in a row, nothing else in between.
    """

    what: str
    kind: str
    text: str
    first: float
    last: float
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStanding:
    """A queue and its slots.

    Attributes:
        slots: that poll it or work off what they received.
        in_hand_bytes: payload received and not yet deleted or given back.
        visible, in_flight, delayed: messages, about, as the queue said last; None: not yet.
        breaker: the state of the circuit breaker; None where there is none.
    """

    slots: int
    in_hand_bytes: int
    visible: int | None
    in_flight: int | None
    delayed: int | None
    breaker: BreakerState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingStanding:
    """How a mapping stands in this process, at the moment of asking.

    Attributes:
        state: one of Lambda's.
        last_success: Unix seconds of the last batch of which the function did something; None: none yet.
        shards: those at work, each asked when it is its turn: that takes a while where there are many.
        waiting_for_parent, finished: shards of the stream that are not at work.
        queue: None for a stream.
    """

    state: str
    last_error: Trouble | None
    last_success: float | None
    shards: Iterator[ShardStatus]
    waiting_for_parent: int
    finished: int
    queue: QueueStanding | None


class Troubles:
    """Remembers the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.last: Trouble | None = None

    def note(self, what: str, kind: str, text: str) -> None:
        """This went wrong."""
        now, last = self._clock.time(), self.last
        text = in_short(text)
        if last is not None and (last.what, last.kind) == (what, kind):
            self.last = replace(last, text=text, last=now, times=last.times + 1)
        else:
            self.last = Trouble(what=what, kind=kind, text=text, first=now, last=now)


class StandingObserver(MappingObserver):
    """Counts and logs as every observer of a mapping, and remembers what went wrong last."""

    def __init__(self, metrics: Metrics, facts: MappingFacts, clock: Clock) -> None:
        super().__init__(metrics, facts, clock)
        self._troubles = Troubles(clock)
        self._succeeded_at: float | None = None
        self._waiting = self._finished = self._slots = 0
        self._depth: QueueDescription | None = None

    def standing(self) -> MappingStanding:
        """As of now."""
        return MappingStanding(
            state=self._state,
            last_error=self._troubles.last,
            last_success=self._succeeded_at,
            shards=self._shards.statuses(),
            waiting_for_parent=self._waiting,
            finished=self._finished,
            queue=self._queue() if self._facts.unit == "slot" else None,
        )

    def poll_failed(self, error: Unavailable, *, seconds: float) -> None:
        """See `MappingObserver.poll_failed`."""
        super().poll_failed(error, seconds=seconds)
        self._troubles.note("poll", error.kind, str(error))

    def failing(self, what: str, error: PollerError) -> None:
        """See `MappingObserver.failing`."""
        super().failing(what, error)
        self._troubles.note(what, _kind(error), str(error))

    def answered(self, attempt: Attempt, shard: str, answer: Answer, outcome: Outcome, seconds: float) -> None:
        """See `MappingObserver.answered`."""
        super().answered(attempt, shard, answer, outcome, seconds)
        if isinstance(outcome, Accepted):
            self._succeeded_at = self._clock.time()
        else:
            fields = outcome_fields(attempt, outcome)
            self._troubles.note("function", str(fields["kind"]), str(fields["error"]))

    def undeliverable(self, error: PollerError) -> None:
        """See `MappingObserver.undeliverable`."""
        super().undeliverable(error)
        self._troubles.note("destination", _kind(error), str(error))

    def crashed(self, what: str, error: BaseException) -> None:
        """See `MappingObserver.crashed`."""
        super().crashed(what, error)
        self._troubles.note(what, "crash", f"{type(error).__name__}: {error}")

    def shards_waiting(self, waiting_for_parent: int, finished: int) -> None:
        """See `MappingObserver.shards_waiting`."""
        super().shards_waiting(waiting_for_parent, finished)
        self._waiting, self._finished = waiting_for_parent, finished

    def queue(self, now: QueueDescription) -> None:
        """See `QueueEvents.queue`."""
        super().queue(now)
        self._depth = now

    def pollers(self, count: int, in_hand: InHand | None = None) -> None:
        """See `QueueEvents.pollers`."""
        super().pollers(count, in_hand)
        self._slots = count

    def _queue(self) -> QueueStanding:
        depth = self._depth
        return QueueStanding(
            slots=self._slots,
            in_hand_bytes=0 if self._in_hand is None else self._in_hand.bytes,
            visible=None if depth is None else depth.visible,
            in_flight=None if depth is None else depth.in_flight,
            delayed=None if depth is None else depth.delayed,
            breaker=self._breaker,
        )


def in_short(text: str) -> str:
    """One line, not too long, without passwords."""
    return " ".join(without_passwords(text).split())[:LONGEST]


def _kind(error: PollerError) -> str:
    return error.kind if isinstance(error, Unavailable) else type(error).__name__
